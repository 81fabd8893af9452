"""From a scene's name and pictures to the bytes of a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from PIL import Image

from kling_effects_async.preview.badge import Badge
from kling_effects_async.preview.drift import Drift
from kling_effects_async.preview.encode import encode_mp4
from kling_effects_async.preview.errors import RenderError
from kling_effects_async.preview.expansion import Expansion
from kling_effects_async.preview.fields import Frame
from kling_effects_async.preview.fuzzyfuzzy import FuzzyFuzzy
from kling_effects_async.preview.picture import clip_size, cover, open_picture
from kling_effects_async.preview.quality import PREVIEW, ClipQuality
from kling_effects_async.preview.squish import Squish
from kling_effects_async.preview.together import HeartGesture, Hug, Kiss, Together

__all__ = ["render_clip"]


class Animation(Protocol):
    """What moves: a pure function of time."""

    def frame(self, t: float) -> Frame:
        """The picture at ``t``, 0 at the clip's first frame and 1 at its last; (h, w, 3) RGB."""


SINGLE: Mapping[str, Callable[[Image.Image], Animation]] = MappingProxyType(
    {"squish": Squish, "expansion": Expansion, "fuzzyfuzzy": FuzzyFuzzy}
)
DUAL: Mapping[str, Callable[[Image.Image, Image.Image, tuple[int, int]], Animation]] = (
    MappingProxyType({"hug": Hug, "kiss": Kiss, "heart_gesture": HeartGesture})
)

# Two pictures of any shape meet in a frame of this one.
DUAL_ASPECT = (16, 9)


def render_clip(
    scene: str,
    images: Sequence[bytes],
    *,
    duration_s: int = 5,
    quality: ClipQuality = PREVIEW,
) -> bytes:
    """Make a clip: the same scene, images and quality always give the same frames.

    Takes seconds of processor time, so call it in another process than the one that has to answer.

    Args:
        scene: a name with no effect of its own, or made for another number of pictures, gets a
            quiet movement. A successor's name (``hug_pro``) counts as the name before it.
        images: one encoded picture, or the left and the right one.

    Returns:
        An mp4 of H.264 in yuv420p, with the index in front.

    Raises:
        RenderError: a picture cannot be decoded, or there are not one or two.
    """
    effect, size = _prepared(scene.removesuffix("_pro"), images, quality.longest_side_px)
    seconds = min(float(duration_s), quality.max_duration_s or duration_s)
    count = max(1, round(seconds * quality.fps))
    frames = _frames(effect, count, Badge(size))
    return encode_mp4(frames, size=size, fps=quality.fps, count=count)


def _prepared(
    scene: str, images: Sequence[bytes], longest_px: int
) -> tuple[Animation, tuple[int, int]]:
    """The effect on its pictures, and the size of its frames."""
    pictures = [open_picture(image, longest_px) for image in images]
    match pictures:
        case [picture]:
            size = clip_size(picture.size, longest_px)
            return SINGLE.get(scene, Drift)(cover(picture, size)), size
        case [left, right]:
            size = clip_size(DUAL_ASPECT, longest_px)
            return DUAL.get(scene, Together)(left, right, size), size
    raise RenderError(f"a clip is made of one or two pictures, not of {len(pictures)}")


def _frames(effect: Animation, count: int, badge: Badge) -> Iterator[Frame]:
    for number in range(count):
        yield badge.on(effect.frame(number / max(1, count - 1)))
