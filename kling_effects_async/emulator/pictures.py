"""What the service finds out about a picture, and what stands in for one it cannot fetch."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from importlib.resources import files

from PIL import Image

from kling_effects_async.emulator.submit_request import ImageUrl

__all__ = ["are_usable", "read_photographs", "with_stand_ins"]

# Source: every effects page, input.image: jpg or png, 300 px a side or more, 1:2.5 to 2.5:1.
_SHORTEST_SIDE_PX = 300
_WIDEST_ASPECT = 2.5
_FORMATS = ("JPEG", "PNG")


def are_usable(images: Sequence[bytes | ImageUrl]) -> bool:
    """Every picture has a header that can be read, and an allowed size.

    Headers only: a picture broken further in is found out by the renderer, if there is one.
    """
    return all(isinstance(image, ImageUrl) or _is_usable(image) for image in images)


def _is_usable(image: bytes) -> bool:
    try:
        # The formats are named, as Pillow would read dozens of others that Kling does not take.
        with Image.open(io.BytesIO(image), formats=_FORMATS) as opened:
            shorter_px, longer_px = sorted(opened.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return shorter_px >= _SHORTEST_SIDE_PX and longer_px <= shorter_px * _WIDEST_ASPECT


def read_photographs() -> tuple[bytes, ...]:
    """The shipped photographs. Reads files: call it in a thread."""
    folder = files(__package__).joinpath("photos")
    jpegs = (entry for entry in folder.iterdir() if entry.name.endswith(".jpg"))
    return tuple(entry.read_bytes() for entry in sorted(jpegs, key=lambda entry: entry.name))


def with_stand_ins(images: Sequence[bytes | ImageUrl], photographs: Sequence[bytes]) -> list[bytes]:
    """The pictures to render: one given by address becomes a photograph, the same each time."""
    # Not hash(): that of a text differs in each process.
    return [
        photographs[zlib.crc32(image.url.encode()) % len(photographs)]
        if isinstance(image, ImageUrl)
        else image
        for image in images
    ]
