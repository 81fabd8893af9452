"""What Kling accepts as an image, checked before money is spent.

The rules, the same on every page since 2025: a JPEG or PNG of at most 10 MB, both sides at least
300 px, the longer at most 2.5 times the shorter. A check reads the header alone, so a decompression
bomb stays harmless, and damage further down is not noticed; ``prepare`` decodes, notices, and mends
what can be mended.

Everything here blocks: call it through ``asyncio.to_thread``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from attrs import field, frozen

from kling_effects_async.effects import ImageSource, image_label
from kling_effects_async.errors import ImageRejectedError
from kling_effects_async.image_files import ImageFacts, explain_failure, kind_of, open_image

__all__ = [
    "ASPECT_MAX",
    "IMAGE_LIMIT_BYTES",
    "SIDE_MIN_PX",
    "ImageFacts",
    "PreparedImage",
    "check_image",
    "image_hash",
    "prepare",
]

# Kling refuses what breaks these, and a refusal can come after the task was accepted, so we refuse
# first. Source: video effects page, input.image, seen 2026-09; the gateway's page says the same.
IMAGE_LIMIT_BYTES = 10 * 2**20
SIDE_MIN_PX = 300
ASPECT_MAX = 2.5

# Ours, not Kling's: 267 MB once decoded, and from 89.5 million pixels on Pillow suspects a bomb.
# A phone's 48-megapixel photograph passes.
_PIXELS_MAX = 89_000_000
# Ours too: those pixels as an uncompressed TIFF. Nothing larger is looked into.
_FILE_LIMIT_BYTES = 2**28

_ADVICE = {
    "HEIC picture": "save it as JPEG first (Pillow cannot read it).",
    "data: URL": "decode it and pass the image's bytes.",
    "http URL": "pass it as a str.",
    "base64 text": "decode it first: the bytes are encoded while sending.",
}


@frozen(kw_only=True)
class PreparedImage:
    """An image that Kling accepts.

    Attributes:
        content: the encoded image; the original, byte for byte, where that was fine.
        changes: one sentence for each thing that was done; empty where nothing had to be.
        facts: those of ``content``.
    """

    content: bytes = field(repr=lambda content: f"<{len(content):,} bytes>")
    changes: tuple[str, ...]
    facts: ImageFacts


def check_image(image: Path | bytes) -> ImageFacts:
    """Read the header and hold it against Kling's rules; a file's name does not matter.

    Raises:
        ImageRejectedError: with every problem that was found; ``prepare`` mends those that name it.
    """
    with open_image(image) as file:
        facts, problems = _examine(file)
    if facts is None or problems:
        raise ImageRejectedError(image_label(image), problems)
    return facts


def image_hash(image: ImageSource) -> str:
    """SHA-256 in hex: of the content, or of a URL's text (nothing is fetched).

    Raises:
        ImageRejectedError: the file cannot be read.
    """
    if isinstance(image, str):
        return hashlib.sha256(image.encode()).hexdigest()
    with open_image(image) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageRejectedError(image_label(image), [explain_failure(error)]) from error


def prepare(image: Path | bytes) -> PreparedImage:
    """Make an acceptable copy of an image that is not, and change no more than that takes.

    JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF are read. A copy is an upright JPEG without metadata.
    Nothing is cropped: where the picture is too long, blurred copies of it fill the sides.

    Raises:
        ImageRejectedError: it is no such image, is damaged, or has more than 89 million pixels.
    """
    with open_image(image) as file:
        facts, problems = _examine(file)
        if facts is None or not _is_decodable(facts):
            raise ImageRejectedError(image_label(image), problems)
        from kling_effects_async import preparing

        try:
            content, changes = preparing.mended(file, facts, is_sound=not problems)
        except preparing.UNREADABLE as error:
            problem = f"It is damaged ({error}); take another copy of the picture."
            raise ImageRejectedError(image_label(image), [problem]) from error
    return PreparedImage(content=content, changes=changes, facts=check_image(content))


def _examine(file: IO[bytes]) -> tuple[ImageFacts | None, list[str]]:
    """The facts (``None`` where no header can be read), and all that is wrong."""
    size_bytes = file.seek(0, os.SEEK_END)
    if not size_bytes:
        return None, ["It is empty."]
    if size_bytes > _FILE_LIMIT_BYTES:
        return None, [f"It has {size_bytes:,} bytes, too many for a picture; make a smaller copy."]
    from kling_effects_async import preparing

    try:
        kind = kind_of(file)
        if kind is None or kind not in preparing.READERS:
            return None, [_explain_kind(kind)]
        facts = preparing.read_facts(file, kind)
    except preparing.UNREADABLE:
        return None, ["Its header is damaged; take another copy of the picture."]
    return facts, list(_problems(facts))


def _explain_kind(kind: str | None) -> str:
    if kind is None:
        return "It is no image of a known kind; Kling takes JPEG and PNG."
    advice = _ADVICE.get(kind, "pass a picture.")
    return f"Its content is of the kind {kind}, and Kling takes JPEG and PNG; {advice}"


def _problems(facts: ImageFacts) -> Iterator[str]:
    width_px, height_px = facts.width_px, facts.height_px
    if not _is_decodable(facts):
        yield (
            f"It has {width_px * height_px:,} pixels, as only decompression bombs have; "
            f"make a copy with at most {_PIXELS_MAX:,}."
        )
    if facts.format not in ("JPEG", "PNG"):
        yield f"It is a {facts.format}, and Kling takes JPEG and PNG; prepare() converts it."
    elif facts.is_animated:
        yield "It is animated, and Kling takes still pictures; prepare() keeps the first frame."
    if facts.size_bytes > IMAGE_LIMIT_BYTES:
        yield (
            f"It has {facts.size_bytes:,} bytes, and Kling takes {IMAGE_LIMIT_BYTES:,}; "
            "prepare() makes it smaller."
        )
    if min(width_px, height_px) < SIDE_MIN_PX:
        yield (
            f"It measures {width_px} x {height_px} px, and Kling wants at least {SIDE_MIN_PX} px "
            "each way; prepare() enlarges it."
        )
    if max(width_px, height_px) > ASPECT_MAX * min(width_px, height_px):
        yield (
            f"It measures {width_px} x {height_px} px, and Kling wants a ratio between 1:2.5 and "
            "2.5:1; prepare() fills the sides."
        )


def _is_decodable(facts: ImageFacts) -> bool:
    return facts.width_px * facts.height_px <= _PIXELS_MAX
