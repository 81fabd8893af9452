"""What Kling accepts as an image, checked before money is spent.

The rules, the same on every page since 2025: a JPEG or PNG of at most 10 MB, both sides at least
300 px, the longer at most 2.5 times the shorter. A check reads a file once, finds out whether it is
whole, and decodes nothing, so a decompression bomb stays harmless. ``prepare`` decodes, and mends
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
from kling_effects_async.images.files import ImageFacts, file_state, kind_of, reading
from kling_effects_async.images.limits import ASPECT_MAX, IMAGE_LIMIT_BYTES, SIDE_MIN_PX
from kling_effects_async.images.parts import WALKED_KINDS, Layout, walked
from kling_effects_async.protocol.messages import FileState

__all__ = [
    "ImageFacts",
    "Inspection",
    "PreparedImage",
    "check_image",
    "image_hash",
    "inspect_image",
    "prepare",
]

# Ours, not Kling's, and only for what is decoded here: 267 MB then, and from 89.5 million pixels on
# Pillow suspects a bomb.
_PIXELS_MAX = 89_000_000
# Ours too: those pixels as an uncompressed TIFF. Nothing larger is looked into.
_FILE_LIMIT_BYTES = 2**28

_ADVICE = {
    "HEIC picture": "save it as JPEG first (Pillow cannot read it).",
    "AVIF": "save it as JPEG first (this Pillow cannot read it).",
    "WebP": "save it as JPEG first (this Pillow cannot read it).",
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


@frozen(kw_only=True)
class Inspection:
    """What one reading of an image found.

    Attributes:
        state: what the file was; ``None`` for bytes.
        sha256: of the content, in hex; ``""`` where no hash was wanted.
    """

    facts: ImageFacts
    state: FileState | None
    sha256: str


def check_image(image: Path | bytes, *, decode: bool = False) -> ImageFacts:
    """Hold an image against Kling's rules, and see that it is whole; its name does not matter.

    Metadata are never a reason to reject it.

    Args:
        decode: decode the pixels too, which finds damage inside them and takes ten times as long.
            Rejects more than 89 million pixels.

    Raises:
        ImageRejectedError: with every problem that was found; ``prepare`` mends those that name it.
        ImageUnreadableError: this machine cannot read the file now; try again.
    """
    with reading(image) as file:
        found = _examined(file, with_hash=False)
        problems = [*found.problems, *_too_many_pixels(found)] if decode else found.problems
        if found.facts is None or problems:
            raise ImageRejectedError(image_label(image), problems)
        if decode:
            _decode(image, file, found.facts, found.layout)
    return found.facts


def inspect_image(image: Path | bytes, *, with_hash: bool) -> Inspection:
    """``check_image`` and ``image_hash`` in one reading.

    Raises:
        ImageRejectedError, ImageUnreadableError: as ``check_image``.
    """
    with reading(image) as file:
        found = _examined(file, with_hash=with_hash)
    if found.facts is None or found.problems:
        raise ImageRejectedError(image_label(image), found.problems)
    return Inspection(facts=found.facts, state=found.state, sha256=found.sha256)


def image_hash(image: ImageSource) -> str:
    """SHA-256 in hex: of the content, or of a URL's text (nothing is fetched).

    Raises:
        ImageRejectedError, ImageUnreadableError: the file cannot be read.
    """
    if isinstance(image, str):
        return hashlib.sha256(image.encode()).hexdigest()
    with reading(image) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prepare(image: Path | bytes) -> PreparedImage:
    """Make an acceptable copy of an image that is not, and change no more than that takes.

    JPEG, PNG, WebP, GIF, BMP and TIFF are read, and AVIF where Pillow can. A copy is an upright
    JPEG without metadata. Nothing is cropped: where the picture is too long, blurred copies of it
    fill the sides.

    Raises:
        ImageRejectedError: it is no such image, is damaged, or has more than 89 million pixels.
        ImageUnreadableError: this machine cannot read the file now; try again.
    """
    with reading(image) as file:
        found = _examined(file, with_hash=False)
        bomb = _too_many_pixels(found)
        if found.facts is None or not found.is_whole or bomb:
            raise ImageRejectedError(image_label(image), [*found.problems, *bomb])
        from kling_effects_async.images import pillow

        is_sound = not found.problems
        try:
            content, changes = pillow.mended(file, found.facts, found.layout, is_sound=is_sound)
        except pillow.UNREADABLE as error:
            raise _damaged(image, error) from error
    return PreparedImage(content=content, changes=changes, facts=check_image(content))


@frozen(kw_only=True)
class _Examined:
    """All that is known of an image before it is decoded.

    Attributes:
        facts: ``None`` where no header can be read.
        layout: of a JPEG or PNG.
    """

    problems: list[str]
    facts: ImageFacts | None = None
    state: FileState | None = None
    layout: Layout | None = None
    sha256: str = ""

    @property
    def is_whole(self) -> bool:
        return self.layout is None or self.layout.damage is None


def _examined(file: IO[bytes], *, with_hash: bool) -> _Examined:
    state = file_state(file)
    size_bytes = file.seek(0, os.SEEK_END)
    if not size_bytes:
        return _Examined(problems=["It is empty."])
    if size_bytes > _FILE_LIMIT_BYTES:
        problem = f"It has {size_bytes:,} bytes, too many for a picture; make a smaller copy."
        return _Examined(problems=[problem])
    kind = kind_of(file)
    if kind not in WALKED_KINDS:
        return _examined_by_pillow(file, kind, state)
    layout, sha256 = walked(file, kind, with_hash=with_hash)
    if not layout.has_header:
        return _Examined(problems=[_DAMAGED_HEADER])
    facts = _facts(kind, layout, size_bytes, state)
    problems = [*_damage_problems(layout), *_problems(facts)]
    return _Examined(problems=problems, facts=facts, state=state, layout=layout, sha256=sha256)


def _examined_by_pillow(file: IO[bytes], kind: str | None, state: FileState | None) -> _Examined:
    """Of the kinds that Kling does not take, the header is enough."""
    from kling_effects_async.images import pillow

    if kind is None or kind not in pillow.READERS:
        return _Examined(problems=[_explain_kind(kind)])
    try:
        facts = pillow.read_facts(file, kind, state)
    except pillow.UNREADABLE as error:
        _raise_os_error(error)
        return _Examined(problems=[_DAMAGED_HEADER])
    return _Examined(problems=list(_problems(facts)), facts=facts, state=state)


def _facts(kind: str, layout: Layout, size_bytes: int, state: FileState | None) -> ImageFacts:
    return ImageFacts(
        format=kind,
        width_px=layout.width_px,
        height_px=layout.height_px,
        size_bytes=size_bytes,
        is_rotated=layout.orientation > 1,
        is_animated=layout.is_animated,
        mtime_ns=None if state is None else state.mtime_ns,
    )


def _decode(image: Path | bytes, file: IO[bytes], facts: ImageFacts, layout: Layout | None) -> None:
    from kling_effects_async.images import pillow

    try:
        pillow.decode(file, facts, layout)
    except pillow.UNREADABLE as error:
        raise _damaged(image, error) from error


def _damaged(image: Path | bytes, error: Exception) -> ImageRejectedError:
    _raise_os_error(error)
    problem = f"It is damaged ({error}); take another copy of the picture."
    return ImageRejectedError(image_label(image), [problem])


def _raise_os_error(error: Exception) -> None:
    """Pillow raises OSError for damage, too, but without a number of the system."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


_DAMAGED_HEADER = "Its header is damaged; take another copy of the picture."


def _damage_problems(layout: Layout) -> Iterator[str]:
    if layout.damage is not None:
        yield f"It is damaged: {layout.damage}; take another copy of the picture."


def _explain_kind(kind: str | None) -> str:
    if kind is None:
        return "It is no image of a known kind; Kling takes JPEG and PNG."
    advice = _ADVICE.get(kind, "pass a picture.")
    return f"Its content is of the kind {kind}, and Kling takes JPEG and PNG; {advice}"


def _problems(facts: ImageFacts) -> Iterator[str]:
    width_px, height_px = facts.width_px, facts.height_px
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


def _too_many_pixels(found: _Examined) -> list[str]:
    if found.facts is None:
        return []
    pixels = found.facts.width_px * found.facts.height_px
    if pixels <= _PIXELS_MAX:
        return []
    return [
        f"It has {pixels:,} pixels, and at most {_PIXELS_MAX:,} are decoded here, because of "
        "decompression bombs; make a smaller copy."
    ]
