"""Small JPEGs of pictures, and of a clip's first frame. Blocks: call it in a thread."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.images.files import kind_of, reading

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["first_frame", "thumbnail", "thumbnail_px"]

# At 55 a face of 120 px is still a face, and takes 2 to 3 kB.
_QUALITY = 55
_GAP_PX = 4
# So that two pictures an item make a page of at most about 40 MB: see ``thumbnail_px``.
_SIZES_PX = ((300, 320), (1_500, 224))
_SMALLEST_PX = 120


def thumbnail_px(items: int) -> int:
    """The longer side of thumbnails for a report of so many items; fewer may be larger."""
    return next((size for most, size in _SIZES_PX if items <= most), _SMALLEST_PX)


def thumbnail(*images: Path | bytes, longest_px: int = 224) -> bytes | None:
    """A small JPEG of one picture, or of the left and the right one beside each other.

    Without metadata: no place and no camera of a photograph gets into it.

    Returns:
        ``None`` where one of them cannot be read, or is no picture.
    """
    side_px = longest_px if len(images) == 1 else (longest_px - _GAP_PX) // 2
    small = [_reduced(image, side_px) for image in images]
    whole = [picture for picture in small if picture is not None]
    return _jpeg(_beside(whole)) if whole and len(whole) == len(images) else None


def first_frame(clip: Path, longest_px: int = 224) -> bytes | None:
    """A small JPEG of an mp4's first frame.

    Returns:
        ``None`` where the clip cannot be read, or PyAV (extra ``emulator``) is not installed.
    """
    try:
        import av
    except ImportError:
        return None
    try:
        # An open file and a named format, so that no content makes FFmpeg open anything else.
        with clip.open("rb") as file, av.open(file, "r", format="mp4") as container:
            frame = next(container.decode(video=0))
            picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]  # PyAV's
    except (OSError, ValueError, IndexError, StopIteration):  # FFmpeg's errors are of these
        return None
    picture.thumbnail((longest_px, longest_px), reducing_gap=2.0)
    return _jpeg(picture)


def _reduced(image: Path | bytes, longest_px: int) -> Image.Image | None:
    from kling_effects_async.images import pillow

    try:
        with reading(image) as file:
            kind = kind_of(file)
            return pillow.reduced(file, kind, longest_px) if kind in pillow.READERS else None
    except (KlingEffectsError, MemoryError, *pillow.UNREADABLE):
        return None


def _beside(pictures: list[Image.Image]) -> Image.Image:
    from PIL import Image

    if len(pictures) == 1:
        return pictures[0]
    width = sum(picture.width for picture in pictures) + _GAP_PX * (len(pictures) - 1)
    canvas = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        canvas.paste(picture, (left, (canvas.height - picture.height) // 2))
        left += picture.width + _GAP_PX
    return canvas


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.info = {}  # Pillow would write a comment and XMP of the source into the copy
    picture.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()
