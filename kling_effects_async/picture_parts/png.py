"""A PNG's chunks, up to its end.

Source: PNG specification (third edition), 5.3 (chunks), 11.2 and 11.3 (what they hold). The
checksums of chunks that matter to the pixels must be right.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from attrs import evolve

from kling_effects_async.picture_parts import exif
from kling_effects_async.picture_parts.layout import Damage, Layout, Part, Span
from kling_effects_async.picture_parts.one_pass import OnePass

__all__ = ["parts", "updated"]

_SIGNATURE_BYTES = 8
_MATTER_TO_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))

# How much of the content is kept, where it tells something. Orientation is one of the first entries
# of EXIF data; the rest is a preview.
_KEPT_BYTES = {b"IHDR": 13, b"acTL": 8, b"eXIf": 64 * 1024}

_CHUNK = struct.Struct(">I4s")  # length of the content, type
_CHECKSUM = struct.Struct(">I")
_HEADER = struct.Struct(">IIBBBBB")  # width, height, depth, colour, compression, filter, interlace
_ANIMATION = struct.Struct(">II")  # frames, plays

# Colour type: the depths it may have.
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Colour type: how long a tRNS may be. Decoders leave out any other.
_TRANSPARENCY_BYTES = {0: range(2, 3), 2: range(6, 7), 3: range(1, 257)}


def parts(source: OnePass) -> Iterator[Part]:
    """All chunks that are whole, IEND last; those with a wrong checksum are left out.

    Raises:
        Damage: the picture is not whole.
    """
    source.skip(_SIGNATURE_BYTES)
    kind = b""
    while kind != b"IEND":
        start = source.offset
        size_bytes, kind = source.unpack(_CHUNK)
        if not kind.isalpha():
            raise Damage(f"at byte {start:,}, where a chunk should begin, is none")
        head, checksum = _content(source, kind, size_bytes)
        if source.unpack(_CHECKSUM) == (checksum,):
            yield Part(kind, Span(start, source.offset), head)
        elif kind in _MATTER_TO_PIXELS:
            raise Damage(f"the checksum of its {kind.decode()} chunk at byte {start:,} is wrong")


def _content(source: OnePass, kind: bytes, size_bytes: int) -> tuple[bytes, int]:
    """The first bytes of a chunk's content, if its kind tells something, and the checksum."""
    head = source.take(min(size_bytes, _KEPT_BYTES.get(kind, 0)))
    checksum = zlib.crc32(head, zlib.crc32(kind))
    for view in source.views(size_bytes - len(head)):
        checksum = zlib.crc32(view, checksum)
    return head, checksum


def updated(layout: Layout, part: Part) -> Layout:
    """What is known after one more part.

    Raises:
        Damage: the header means nothing.
    """
    if not layout.has_header:
        return _with_header(layout, part)
    if part.kind == b"eXIf":
        return evolve(layout, orientation=exif.orientation(part.head))
    if part.kind == b"iCCP":
        return evolve(layout, profile=part.span)
    if part.kind == b"acTL" and not layout.has_pixels and len(part.head) == _ANIMATION.size:
        frames, _plays = _ANIMATION.unpack(part.head)
        return evolve(layout, is_animated=frames > 1)
    if part.kind == b"IDAT" and not layout.has_pixels:
        layout = evolve(layout, has_pixels=True)
    return layout.with_essential(part.span) if _is_essential(layout, part) else layout


def _is_essential(layout: Layout, part: Part) -> bool:
    if part.kind == b"tRNS":
        size_bytes = part.span.end - part.span.start - _CHUNK.size - _CHECKSUM.size
        return size_bytes in _TRANSPARENCY_BYTES.get(layout.colour_type, ())
    return part.kind in _MATTER_TO_PIXELS


def _with_header(layout: Layout, part: Part) -> Layout:
    if part.kind != b"IHDR" or len(part.head) != _HEADER.size:
        raise Damage("its first chunk is no header")
    width_px, height_px, depth, colour, *methods, interlace = _HEADER.unpack(part.head)
    if depth not in _DEPTHS.get(colour, ()) or any(methods) or interlace > 1:
        raise Damage("its header means nothing")
    layout = layout.with_essential(Span(0, part.span.end))
    return evolve(layout, width_px=width_px, height_px=height_px, colour_type=colour)
