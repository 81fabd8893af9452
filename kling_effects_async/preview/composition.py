"""Where two portraits meet: what is seen of whom, and in what light.

At first each fills its half of the frame, with a soft seam between. Then their backgrounds dissolve
into one that is out of focus, and the subjects alone remain. The right one stands in front of the
left one's body but never hides its face: around the faces, the nearer face wins.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from kling_effects_async.preview.fields import (
    Field,
    coordinates,
    grey,
    soft_step,
    tinted,
)
from kling_effects_async.preview.portrait import Portrait, Pose

__all__ = ["Composition"]

Box = tuple[int, int, int, int]  # left, top, right, bottom

# Masks are soft, so they are computed at a fraction of the frame's width and height.
SHRINK = 4

SEAM = 0.09  # half the width of the seam, of the frame's width
SHADOW = 0.35  # how much the right one darkens the left one close behind it

GLOW = (255, 170, 100)  # the light between the two
VIGNETTE = (255, 250, 242)


class Composition:
    """A frame of ``size`` with room for a left and a right portrait."""

    def __init__(self, left: Portrait, right: Portrait, size: tuple[int, int]) -> None:
        self._pair = left, right
        self._size = width, height = size
        self._whole = 0, 0, SHRINK * -(-width // SHRINK), SHRINK * -(-height // SHRINK)
        shrunk = self._whole[2] // SHRINK, self._whole[3] // SHRINK
        self._x, self._y = (SHRINK * place for place in coordinates(shrunk))
        rightness = soft_step(self._x, width / 2, SEAM * width)
        self._halves = 1 - rightness, rightness
        self._white, self._black = (Image.new("RGB", size, tone) for tone in ("white", "black"))
        self._backdrop = self._merged_backdrops()
        far = np.hypot((self._x / width - 0.5) / 0.62, (self._y / height - 0.48) / 0.75)
        self._vignette = self._light(1 - 0.4 * np.clip(far, 0, 1) ** 2.5, VIGNETTE)
        near = ((self._x / width - 0.5) / 0.24) ** 2 + ((self._y / height - 0.45) / 0.36) ** 2
        self._glow = self._light(np.exp(-near), GLOW)

    def seen(self, poses: tuple[Pose, Pose], released: float) -> Image.Image:
        """Both portraits at their poses; ``released`` 0 in whole halves, 1 the subjects alone."""
        cut_outs = [self._cut_out(p, pose) for p, pose in zip(self._pair, poses, strict=True)]
        allowed = np.ones_like(self._x), self._clear_of_left_face(poses)
        picture = self._backdrop.copy()
        for side in (0, 1):
            subject = cut_outs[side] * allowed[side]
            mask = self._halves[side] * (1 - released) + subject * released
            if side == 1:
                self._shade(picture, subject * cut_outs[0] * (SHADOW * released))
            self._lay(picture, self._pair[side], poses[side], mask)
        return picture

    def lit(self, picture: Image.Image, dusk: float, warmth: float) -> Image.Image:
        """Darken the corners and warm the middle, each by 0..1."""
        picture = ImageChops.multiply(picture, Image.blend(self._white, self._vignette, dusk))
        return ImageChops.screen(picture, Image.blend(self._black, self._glow, warmth))

    def _cut_out(self, portrait: Portrait, pose: Pose) -> Field:
        shown = portrait.shown(portrait.matte, pose, self._whole, SHRINK)
        return np.asarray(shown, np.float32) / 255

    def _clear_of_left_face(self, poses: tuple[Pose, Pose]) -> Field:
        """1 where the right subject may be seen, 0 where it would hide the left one's face."""
        left, right = (
            np.hypot(self._x - pose.x, (self._y - pose.y) * 0.8)
            / (portrait.face_radius * pose.scale)
            for portrait, pose in zip(self._pair, poses, strict=True)
        )
        nearer = soft_step(left - right, 0, 0.45)
        return np.maximum(nearer, soft_step(left, 2.1, 0.5))

    def _shade(self, picture: Image.Image, strength: Field) -> None:
        """Darken the picture softly around where the strength is."""
        small = grey(strength).filter(ImageFilter.BoxBlur(self._size[1] / SHRINK / 20))
        box = small.getbbox()
        if box is not None:
            mask = _grown(small, box)
            picture.paste(self._black.crop((0, 0, *mask.size)), _scaled(box), mask)

    def _lay(self, picture: Image.Image, portrait: Portrait, pose: Pose, mask: Field) -> None:
        """Paste a portrait into the picture, drawn only where the mask lets it through."""
        small = grey(mask)
        box = small.getbbox()
        if box is not None:
            shown = portrait.shown(portrait.canvas, pose, _scaled(box))
            picture.paste(shown, _scaled(box), _grown(small, box))

    def _merged_backdrops(self) -> Image.Image:
        """Both backgrounds, one passing into the other as widely as both canvases reach."""
        frame = (0, 0, *self._size)
        left, right = (p.shown(p.backdrop, p.home, frame) for p in self._pair)
        width = self._size[0]
        return Image.composite(right, left, self._full(soft_step(self._x, width / 2, 0.48 * width)))

    def _light(self, strength: Field, colour: tuple[int, int, int]) -> Image.Image:
        return tinted(self._full(strength), colour)

    def _full(self, field: Field) -> Image.Image:
        full = _grown(grey(field), (0, 0, field.shape[1], field.shape[0]))
        return full.crop((0, 0, *self._size))


def _scaled(box: Box) -> Box:
    """A box of the small masks, in the frame's pixels."""
    left, top, right, bottom = box
    return SHRINK * left, SHRINK * top, SHRINK * right, SHRINK * bottom


def _grown(small: Image.Image, box: Box) -> Image.Image:
    """What is in a box of a small mask, in the frame's pixels."""
    size = SHRINK * (box[2] - box[0]), SHRINK * (box[3] - box[1])
    return small.resize(size, Image.Resampling.BILINEAR, box=box)
