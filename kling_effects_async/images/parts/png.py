"""A PNG's chunks, up to its end.

Source: PNG specification (third edition), 5.3 (chunks), 5.6 (their order), 11.2 and 11.3 (their
content). Chunks that matter to the pixels must have the right checksum; IEND only ends the file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from attrs import evolve

from kling_effects_async.images.parts import exif
from kling_effects_async.images.parts.layout import Damage, Layout, Part, Span
from kling_effects_async.images.parts.one_pass import OnePass
from kling_effects_async.images.parts.png_pixels import Inflation, Raster

__all__ = ["parts", "updated"]

_SIGNATURE_BYTES = 8
_PALETTE = 3  # the colour type whose pixels are numbers of colours; others only suggest a palette

# How much of the content is kept, where it matters. Orientation is one of the first entries
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
    """All chunks, IEND last.

    Raises:
        Damage: the picture is not whole.
    """
    source.skip(_SIGNATURE_BYTES)
    part = _chunk(source, None)
    pixels = Inflation(_raster(part))
    yield part
    while part.kind != b"IEND":
        before, part = part, _chunk(source, pixels)
        if before.kind == b"IDAT" != part.kind:  # decoders read no more of them
            pixels.check_complete()
        yield part


def _chunk(source: OnePass, pixels: Inflation | None) -> Part:
    start = source.offset
    size_bytes, kind = source.unpack(_CHUNK)
    if not kind.isalpha():
        raise Damage(f"at byte {start:,}, where a chunk should begin, is none")
    head, checksum = _content(source, kind, size_bytes, pixels)
    is_intact = source.unpack(_CHECKSUM) == (checksum,)
    return Part(kind, Span(start, source.offset), head, is_intact)


def _content(
    source: OnePass, kind: bytes, size_bytes: int, pixels: Inflation | None
) -> tuple[bytes, int]:
    """The first bytes of a chunk's content, if its kind matters, and the checksum."""
    head = source.take(min(size_bytes, _KEPT_BYTES.get(kind, 0)))
    checksum = zlib.crc32(head, zlib.crc32(kind))
    for view in source.views(size_bytes - len(head)):
        checksum = zlib.crc32(view, checksum)
        if kind == b"IDAT" and pixels is not None:
            pixels.feed(view)
    return head, checksum


def updated(layout: Layout, part: Part) -> Layout:
    """What is known after one more part.

    Raises:
        Damage: the header means nothing, or the part matters to the pixels and is damaged.
    """
    if not layout.has_header:
        return _with_header(layout, part)
    if part.kind == b"IEND":
        return layout.with_essential(part.span)
    if _matters_to_pixels(layout, part):
        return _with_essential(layout, part)
    return _with_metadata(layout, part) if part.is_intact else layout


def _matters_to_pixels(layout: Layout, part: Part) -> bool:
    if part.kind == b"tRNS":
        size_bytes = part.span.end - part.span.start - _CHUNK.size - _CHECKSUM.size
        return size_bytes in _TRANSPARENCY_BYTES.get(layout.colour_type, ())
    if part.kind == b"PLTE":
        return layout.colour_type == _PALETTE
    return part.kind in (b"IHDR", b"IDAT")


def _with_essential(layout: Layout, part: Part) -> Layout:
    if not part.is_intact:
        kind, start = part.kind.decode(), part.span.start
        raise Damage(f"the checksum of its {kind} chunk at byte {start:,} is wrong")
    has_palette = layout.has_palette or part.kind == b"PLTE"
    if part.kind == b"IDAT" and layout.colour_type == _PALETTE and not has_palette:
        raise Damage("its palette is missing")
    has_pixels = layout.has_pixels or part.kind == b"IDAT"
    layout = evolve(layout, has_pixels=has_pixels, has_palette=has_palette)
    return layout.with_essential(part.span)


def _with_metadata(layout: Layout, part: Part) -> Layout:
    if part.kind == b"eXIf":
        return evolve(layout, orientation=exif.orientation(part.head))
    if part.kind == b"iCCP":
        return evolve(layout, profile=part.span)
    if part.kind == b"acTL" and not layout.has_pixels and len(part.head) == _ANIMATION.size:
        frames, _plays = _ANIMATION.unpack(part.head)
        return evolve(layout, is_animated=frames > 1)
    return layout


def _with_header(layout: Layout, part: Part) -> Layout:
    raster = _raster(part)
    return evolve(
        layout.with_essential(Span(0, part.span.end)),
        width_px=raster.width_px,
        height_px=raster.height_px,
        colour_type=raster.colour_type,
    )


def _raster(part: Part) -> Raster:
    if part.kind != b"IHDR" or len(part.head) != _HEADER.size or not part.is_intact:
        raise Damage("its first chunk is no header")
    width_px, height_px, depth, colour, *methods, interlace = _HEADER.unpack(part.head)
    if depth not in _DEPTHS.get(colour, ()) or any(methods) or interlace > 1:
        raise Damage("its header means nothing")
    return Raster(
        width_px=width_px,
        height_px=height_px,
        depth=depth,
        colour_type=colour,
        is_interlaced=interlace == 1,
    )
