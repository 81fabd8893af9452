"""From the caller's bytes to a picture of the clip's size.

The bytes are a stranger's. The size in the header is checked before a pixel is decoded, because a
PNG of 10 KB can unpack to hundreds of megabytes.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from kling_effects_async.preview.errors import RenderError

__all__ = ["clip_size", "cover", "open_picture"]

# A PNG of 10 KB and 9000 x 9000 px takes 406 MB to decode (measured with Pillow 13).
SIDE_LIMIT_PX = 8192
AREA_LIMIT_PX = 40_000_000

# Kling rejects pictures beyond 1:2.5 and 2.5:1; here they lose their ends instead.
# Source: video effects page, input.image, seen 2026-09.
ASPECT_LIMIT = 2.5

PAPER = (238, 238, 240)


def open_picture(content: bytes, needed_px: int) -> Image.Image:
    """Decode an encoded JPEG, PNG or WebP to upright RGB on light paper.

    Args:
        needed_px: the longest side that will be used. A larger picture is made smaller while it
            is decoded, where the format can, but never below this.

    Raises:
        RenderError: not such a picture, a damaged one, or larger than anyone photographs.
    """
    try:
        return _open(content, needed_px)
    except RenderError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged input
        message = f"cannot decode the picture ({len(content)} bytes): {type(error).__name__}"
        raise RenderError(message) from error


def _open(content: bytes, needed_px: int) -> Image.Image:
    with _unread(content) as image:
        _reject_giants(image.size)
        image.draft(None, (needed_px, needed_px))
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((2 * needed_px, 2 * needed_px), reducing_gap=2.0)
        return _to_rgb(upright)


def _unread(content: bytes) -> Image.Image:
    """The picture with its header read and nothing decoded."""
    with warnings.catch_warnings():
        # Our own limit is lower, and an error.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP"))
        except Image.DecompressionBombError as error:
            raise RenderError(f"the picture is too large: {error}") from error


def _reject_giants(size: tuple[int, int]) -> None:
    width, height = size
    if max(size) > SIDE_LIMIT_PX or width * height > AREA_LIMIT_PX:
        raise RenderError(
            f"the picture is too large: {width}x{height}; at most {SIDE_LIMIT_PX} px a side "
            f"and {AREA_LIMIT_PX:,} px in all are decoded"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow cuts 16-bit grey at 255 instead of scaling it.
        image = Image.fromarray((np.asarray(image) // 256).clip(0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    see_through = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, PAPER)
    return Image.alpha_composite(paper, see_through).convert("RGB")


def clip_size(size: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """Even ``(width, height)`` with the picture's aspect, within 1:2.5 and 2.5:1."""
    aspect = min(max(size[0] / size[1], 1 / ASPECT_LIMIT), ASPECT_LIMIT)
    width = longest_px * min(1.0, aspect)
    height = longest_px * min(1.0, 1 / aspect)
    return 2 * round(width / 2), 2 * round(height / 2)


def cover(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture scaled to fill ``(width, height)``; what sticks out is cut evenly."""
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
