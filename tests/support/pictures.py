"""Small pictures in every form a test needs, made by Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from kling_effects_async.errors import ImageRejectedError
from kling_effects_async.images.checks import check_image

__all__ = [
    "KINDS",
    "SOUND",
    "black",
    "declaring_size",
    "encoded",
    "gradient",
    "jpeg_segment",
    "padded",
    "png_chunk",
    "png_of",
    "problems_of",
    "turned_by_exif",
    "with_chunks",
    "with_segments",
]

KINDS = ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "AVIF"]


def gradient(width_px: int = 320, height_px: int = 300, mode: str = "RGB") -> Image.Image:
    """Dark on the left, light on the right: a turned one is told from an upright one."""
    return Image.linear_gradient("L").rotate(90).resize((width_px, height_px)).convert(mode)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The picture as a file of that kind."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def black(width_px: int, height_px: int) -> bytes:
    """A PNG of this size in few bytes."""
    return encoded(Image.new("1", (width_px, height_px)), "PNG")


def turned_by_exif(orientation: int) -> bytes:
    """EXIF data that asks for the picture to be shown turned or mirrored."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def declaring_size(width_px: int, height_px: int, pixels: bytes = b"") -> bytes:
    """A grey PNG whose header declares these sizes, whatever ``pixels`` hold."""
    stream = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    stream.seek(0, io.SEEK_END)
    header = width_px.to_bytes(4, "big") + height_px.to_bytes(4, "big") + b"\x08\0\0\0\0"
    PngImagePlugin.putchunk(stream, b"IHDR", header)
    PngImagePlugin.putchunk(stream, b"IDAT", pixels)
    PngImagePlugin.putchunk(stream, b"IEND")
    return stream.getvalue()


def png_chunk(kind: bytes, content: bytes = b"", *, is_intact: bool = True) -> bytes:
    """A chunk of a PNG; on demand with a wrong checksum."""
    checksum = zlib.crc32(kind + content) ^ (not is_intact)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """The PNG with more chunks behind its header."""
    return b"".join((png[:33], *chunks, png[33:]))


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with more segments at its start."""
    return b"".join((jpeg[:2], *segments, jpeg[2:]))


def _noise(mode: str = "RGB") -> Image.Image:
    return Image.effect_noise((330, 310), 60).convert(mode)


def png_of(depth: int, colour_type: int, stream: bytes, *, is_interlaced: bool = False) -> bytes:
    """A PNG of 304 x 304 px whose compressed pixels are ``stream``."""
    header = struct.pack(">IIBBBBB", 304, 304, depth, colour_type, 0, 0, is_interlaced)
    palette = png_chunk(b"PLTE", bytes(range(256)) * 3) if colour_type == 3 else b""
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + palette
    return content + png_chunk(b"IDAT", stream) + png_chunk(b"IEND")


def _interlaced() -> bytes:
    """A black PNG of 8 x 8 blocks in seven passes. Source: PNG specification, 8.1."""
    passes = [(8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2)]  # steps across and down
    rows = b"".join(bytes(304 // down * (1 + 304 // across)) for across, down in passes)
    return png_of(8, 0, zlib.compress(rows), is_interlaced=True)


def _jpeg(mode: str = "RGB", **options: Any) -> bytes:
    return encoded(_noise(mode), "JPEG", **options)


def _png(mode: str) -> bytes:
    return encoded(_noise(mode), "PNG")


SOUND: dict[str, Callable[[], bytes]] = {
    "JPEG, baseline": _jpeg,
    "JPEG, progressive": lambda: _jpeg(progressive=True),
    "JPEG, grey": lambda: _jpeg("L"),
    "JPEG, print colours": lambda: _jpeg("CMYK"),
    "JPEG, restart markers": lambda: _jpeg(restart_marker_blocks=1),
    "JPEG, progressive, restart markers": lambda: _jpeg(
        progressive=True, restart_marker_rows=1, optimize=True
    ),
    "JPEG, a preview inside": lambda: _jpeg(exif=turned_by_exif(6) + encoded(gradient(40, 30))),
    "JPEG, a colour profile of many segments": lambda: _jpeg(icc_profile=bytes(200_000)),
    "JPEG, two pictures": lambda: encoded(
        _noise(), "MPO", save_all=True, append_images=[gradient(100, 100)]
    ),
    "JPEG, a film behind it": lambda: _jpeg() + b"\0\0\0\x18ftypmp42" + bytes(300_000),
    "JPEG, a comment": lambda: _jpeg(comment=b"\xff\xd9\xff\xd8\xff\xda"),
    "PNG, colours": lambda: _png("RGB"),
    "PNG, transparent": lambda: _png("RGBA"),
    "PNG, grey": lambda: _png("L"),
    "PNG, 16 bits": lambda: _png("I;16"),
    "PNG, one bit": lambda: _png("1"),
    "PNG, palette": lambda: encoded(_noise().quantize(64), "PNG", transparency=3),
    "PNG, interlaced": _interlaced,
    "PNG, something behind it": lambda: _png("L") + b"something" * 9999,
}
"""Pictures that every decoder reads, by what is special about them."""


def problems_of(image: Path | bytes) -> str:
    """All that is wrong with an image that is rejected."""
    with pytest.raises(ImageRejectedError) as caught:
        check_image(image)
    return " ".join(caught.value.problems)


def padded(content: bytes, size_bytes: int) -> bytes:
    return content + bytes(size_bytes - len(content))
