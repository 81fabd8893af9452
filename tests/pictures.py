"""Small pictures in every form a test needs, made by Pillow."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, PngImagePlugin

__all__ = ["declaring_size", "encoded", "gradient", "turned_by_exif"]


def gradient(width_px: int = 320, height_px: int = 300, mode: str = "RGB") -> Image.Image:
    """Dark on the left, light on the right: a turned one is told from an upright one."""
    return Image.linear_gradient("L").rotate(90).resize((width_px, height_px)).convert(mode)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The picture as a file of that kind."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


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
