"""What is done with Pillow: reading a header, and mending a picture in small steps.

Imported only when used, because Pillow takes 40 ms to import.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Callable
from typing import IO, TypeAlias

from PIL import Image, ImageFilter, ImageOps, features
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base as ExifTag
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from kling_effects_async.images.files import ImageFacts
from kling_effects_async.images.limits import ASPECT_MAX, IMAGE_LIMIT_BYTES, SIDE_MIN_PX
from kling_effects_async.images.parts import Layout
from kling_effects_async.images.parts.layout import Span
from kling_effects_async.protocol.messages import FileState

__all__ = ["READERS", "UNREADABLE", "decode", "mended", "read_facts", "reduced"]

# The kinds we let Pillow open. By class, because Image.open warns about decompression bombs before
# anybody can look at the size.
READERS: dict[str, Callable[[IO[bytes]], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}
if features.check("webp"):  # a build of Pillow may lack it
    READERS["WebP"] = WebPImageFile
try:  # Pillow can read AVIF since 11.2
    from PIL import AvifImagePlugin
except ImportError:
    pass
else:
    if AvifImagePlugin.SUPPORTED:
        READERS["AVIF"] = AvifImagePlugin.AvifImageFile

# What damaged pictures make Pillow raise, by fuzzing every reader; warnings, where they are errors.
UNREADABLE = (
    ArithmeticError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
)

_TURNED = range(2, 9)  # of EXIF's orientations, 1 is upright and others mean nothing

# An effect is a video of at most 1080p; more pixels only cost time. A phone's 8064 x 6048 px can
# then be decoded at half the size, which costs a JPEG decoder a quarter.
_SIDE_MAX_PX = 4000

# Nobody sees what 95 loses, and below 80 edges begin to show it. 50 is for what is nothing but
# noise: 4000 x 4000 random pixels of the eight purest colours then make 9.0 MB.
_QUALITIES = (95, 88, 80, 50)

# Print colours, sixteen bits and the like: what other readers of pictures take for granted least.
_UNCOMMON_MODES = ("CMYK", "F", "I", "I;16", "I;16B", "I;16L", "LAB", "YCbCr")

# A colour profile of a camera or screen has some kilobytes; one for print can have megabytes.
_PROFILE_LIMIT_BYTES = 2**20

_Step: TypeAlias = Callable[[Image.Image, ImageFacts], tuple[Image.Image, str]]


def read_facts(file: IO[bytes], kind: str, state: FileState | None) -> ImageFacts:
    """Read the header, of one of the kinds in ``READERS``; nothing is decoded.

    Raises one of ``UNREADABLE`` where it is damaged.
    """
    file.seek(0)
    picture = READERS[kind](file)
    return ImageFacts(
        format=kind,
        width_px=picture.width,
        height_px=picture.height,
        size_bytes=file.seek(0, os.SEEK_END),
        is_rotated=_is_rotated(picture),
        is_animated=getattr(picture, "is_animated", False),
        mtime_ns=None if state is None else state.mtime_ns,
    )


def _opened(file: IO[bytes], facts: ImageFacts, layout: Layout | None) -> ImageFile:
    """The picture; a JPEG or PNG without metadata, because odd ones make Pillow reject it."""
    reader = READERS[facts.format]
    if layout is None:
        file.seek(0)
        return reader(file)
    picture = reader(io.BytesIO(b"".join(_read(file, span) for span in layout.essential)))
    if facts.is_rotated:
        picture.getexif()[ExifTag.Orientation] = layout.orientation
    if layout.profile is not None:
        picture.info["icc_profile"] = _inflated_profile(_read(file, layout.profile))
    return picture


def _read(file: IO[bytes], span: Span) -> bytes:
    file.seek(span.start)
    return file.read(span.end - span.start)


def _inflated_profile(chunk: bytes) -> bytes | None:
    """The content of an iCCP chunk; ``None`` where it cannot be read or is too large to keep.

    Source: PNG specification (third edition), 11.3.2.3: name, 0, compression method 0, data.
    """
    _name, _separator, compressed = chunk[8:-4].partition(b"\0")
    inflating = zlib.decompressobj()
    try:
        profile = inflating.decompress(compressed[1:], _PROFILE_LIMIT_BYTES)
    except zlib.error:
        return None
    return profile if inflating.eof else None


def _is_rotated(picture: ImageFile) -> bool:
    if "exif" not in picture.info:
        return False  # to seek further makes Pillow decode a PNG, as it reads behind the pixels
    try:
        return picture.getexif().get(ExifTag.Orientation) in _TURNED
    except UNREADABLE:
        return False  # no viewer turns a picture on damaged EXIF data


def decode(file: IO[bytes], facts: ImageFacts, layout: Layout | None) -> None:
    """Decode the pixels, so that damage shows: as one of ``UNREADABLE``."""
    _load(_opened(file, facts, layout))


def mended(
    file: IO[bytes], facts: ImageFacts, layout: Layout | None, *, is_sound: bool
) -> tuple[bytes, tuple[str, ...]]:
    """An acceptable encoding and what was done for it; the content itself if nothing had to be.

    Pixels are decoded in any case, so that damage shows: as one of ``UNREADABLE``.
    """
    picture: Image.Image = _opened(file, facts, layout)
    if is_sound and not facts.is_rotated and picture.mode not in _UNCOMMON_MODES:
        _load(picture)
        return _read(file, Span(0, facts.size_bytes)), ()
    picture.draft(None, _within_largest(picture.size))
    profile = _profile(picture)
    changes = []
    for step in _STEPS:
        picture, change = step(picture, facts)
        changes.append(change)
    content, change = _encoded(picture, profile)
    return content, tuple(filter(None, (*changes, change)))


def reduced(file: IO[bytes], kind: str, longest_px: int) -> Image.Image:
    """An upright RGB copy whose longer side has at most ``longest_px``, without its metadata.

    Raises one of ``UNREADABLE`` where the picture is damaged.
    """
    facts = read_facts(file, kind, None)
    picture: Image.Image = _opened(file, facts, None)
    picture.draft(None, (longest_px, longest_px))
    for step in (_upright, _plain):
        picture, _change = step(picture, facts)
    picture.thumbnail((longest_px, longest_px), reducing_gap=2.0)
    picture.load()  # before the file is closed: nothing above decodes one that is small already
    return picture


def _load(picture: Image.Image) -> None:
    picture.draft(None, (1, 1))  # an eighth of the size shows a JPEG's damage just as well
    picture.load()


def _profile(picture: Image.Image) -> bytes | None:
    """The colour profile, where the copy's pixels will still be of that kind."""
    profile = picture.info.get("icc_profile")
    if picture.mode not in ("RGB", "RGBA") or not isinstance(profile, bytes):
        return None
    return profile if len(profile) <= _PROFILE_LIMIT_BYTES else None


def _first_frame(picture: Image.Image, facts: ImageFacts) -> tuple[Image.Image, str]:
    return picture, "Only its first frame was kept." if facts.is_animated else ""


def _upright(picture: Image.Image, facts: ImageFacts) -> tuple[Image.Image, str]:
    if not facts.is_rotated:
        return picture, ""
    return ImageOps.exif_transpose(picture), "It was turned upright, as its EXIF data say."


def _plain(picture: Image.Image, _facts: ImageFacts) -> tuple[Image.Image, str]:
    if picture.mode == "RGB":
        return picture, ""
    if picture.has_transparency_data:
        return _on_white(picture.convert("RGBA")), "What was transparent became white."
    eight_bits = _eight_bits(picture) if picture.mode[0] in "IF" else picture
    change = "Its colours were converted to RGB." if picture.mode in _UNCOMMON_MODES else ""
    return eight_bits.convert("RGB"), change


def _on_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    low, high = (0, 65535) if picture.mode.startswith("I;16") else _brightness_range(picture)
    factor = 255 / ((high - low) or 1)
    wide = picture if picture.mode == "F" else picture.convert("I").convert("F")
    return wide.point(lambda value: value * factor - low * factor).convert("L")


def _brightness_range(picture: Image.Image) -> tuple[float, float]:
    match picture.getextrema():
        case (int() | float() as low, int() | float() as high):
            return low, high
    return 0, 255


def _reduced(picture: Image.Image, facts: ImageFacts) -> tuple[Image.Image, str]:
    if max(facts.width_px, facts.height_px) <= _SIDE_MAX_PX:
        return picture, ""
    size = _within_largest(picture.size)
    # A gap of 3 is the fast way to reduce that looks like the exact one.
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0), (
        f"It was scaled down to {size[0]} x {size[1]} px."
    )


def _within_largest(size: tuple[int, int]) -> tuple[int, int]:
    longest = max(*size, _SIDE_MAX_PX)
    return max(1, size[0] * _SIDE_MAX_PX // longest), max(1, size[1] * _SIDE_MAX_PX // longest)


def _filled(picture: Image.Image, _facts: ImageFacts) -> tuple[Image.Image, str]:
    width, height = picture.size
    shortest = math.ceil(max(width, height) / ASPECT_MAX)
    size = max(width, shortest), max(height, shortest)
    if size == picture.size:
        return picture, ""
    canvas = _blurred(picture, size)
    canvas.paste(picture, ((size[0] - width) // 2, (size[1] - height) // 2))
    return canvas, f"A blurred copy of it fills the sides, up to {size[0]} x {size[1]} px."


def _blurred(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    # At a sixteenth of the size, two pixels blur as thirty-two would, for a 256th of the work.
    small = max(1, size[0] // 16), max(1, size[1] // 16)
    cover = ImageOps.fit(picture, small, Image.Resampling.BILINEAR)
    return cover.filter(ImageFilter.GaussianBlur(2)).resize(size, Image.Resampling.BICUBIC)


def _enlarged(picture: Image.Image, _facts: ImageFacts) -> tuple[Image.Image, str]:
    shortest = min(picture.size)
    if shortest >= SIDE_MIN_PX:
        return picture, ""
    # Rounded up in whole numbers: exact at the limit of the ratio, where a float could cross it.
    width, height = (-(-side * SIDE_MIN_PX // shortest) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS), (
        f"It was enlarged to {width} x {height} px."
    )


_STEPS: tuple[_Step, ...] = (_first_frame, _upright, _plain, _reduced, _filled, _enlarged)


def _encoded(picture: Image.Image, profile: bytes | None) -> tuple[bytes, str]:
    for quality in _QUALITIES:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality, icc_profile=profile)
        if stream.tell() <= IMAGE_LIMIT_BYTES:
            break
    return stream.getvalue(), f"It was encoded as a JPEG of quality {quality}."
