"""A JPEG's segments, and the scans between them, up to its end marker.

Source: ITU-T T.81, B.1. Within a scan, a byte FF is followed by 00 or by a restart marker, so any
other marker there ends the scan, and none has to be decoded to find its end.

A file that was cut off within its scans has no FF D9 (the end marker) behind its header. So where
one is near the end of the file, which is soon seen, the scans are not searched. Where another
picture begins there (phones append some), the end may be that one's, so they are. A larger picture
behind one that was cut off is not found: to search every file would cost 0.4 ms for each MB.

A JPEG without its end marker (EOI) is rejected: cameras and programs all write it, a file that was
cut off lacks it, and whether the scan is complete cannot be seen without decoding. Pillow rejects
such a file, even where EOI alone is missing; libjpeg fills in grey.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from attrs import evolve

from kling_effects_async.images.parts import exif
from kling_effects_async.images.parts.layout import Damage, Layout, Part, Span
from kling_effects_async.images.parts.one_pass import OnePass

__all__ = ["parts", "updated"]

# Fill bytes (more of FF) may come before a marker; FF 00 and restarts (D0 to D7) belong to a scan.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_MARKER_BYTES = frozenset(range(1, 255)) - frozenset(range(0xD0, 0xD8))

_SOI, _EOI, _SOS = b"\xd8", b"\xd9", b"\xda"
# Start of a frame, which has the size: C0 to CF without DHT, JPG and DAC.
_SOF = frozenset(bytes([marker]) for marker in range(0xC0, 0xD0)) - {b"\xc4", b"\xc8", b"\xcc"}
_COM = b"\xfe"
_APP = frozenset(bytes([marker]) for marker in range(0xE0, 0xF0))
_EXIF_MARKER = b"\xe1"
# Metadata that says how to decode the colours, and the least that a decoder wants of it.
# Sources: JFIF 1.02; Adobe TN 5116, 18; ICC.1:2022, B.4.
_COLOUR_SEGMENTS = {
    b"\xe0": (b"JFIF\0", 14),
    b"\xee": (b"Adobe", 12),
    b"\xe2": (b"ICC_PROFILE\0", 14),
}

_LENGTH = struct.Struct(">H")
_FRAME = struct.Struct(">xHH")  # sample precision, lines, samples a line


def parts(source: OnePass) -> Iterator[Part]:
    """All segments, the end marker last.

    Raises:
        Damage: the picture is not whole.
    """
    source.skip(2)
    yield Part(_SOI, Span(0, 2), b"")
    while (marker := _next_marker(source)) != _EOI:
        start = source.offset - 2
        if marker == _SOI:
            raise Damage("another picture begins before its end")
        if marker >= b"\xc0":  # those below are reserved, or have no content
            content = _content(source)
            yield Part(marker, Span(start, source.offset), content)
        if marker == _SOS and _ends_in(source.tail()):
            yield Part(_EOI, Span(source.size_bytes - 2, source.size_bytes), b"")
            return
    yield Part(_EOI, Span(source.offset - 2, source.offset), b"")


def _ends_in(tail: bytes) -> bool:
    """Whether the end marker is there, and is no other picture's."""
    end = tail.rfind(b"\xff" + _EOI)
    return end >= 0 and tail.find(b"\xff" + _SOI + b"\xff", 0, end) < 0


def _next_marker(source: OnePass) -> bytes:
    """Search for it: decoders pass over what is between segments, too."""
    is_after_ff = False
    while True:
        if is_after_ff and source.block[0] in _MARKER_BYTES:
            return source.take(1)
        found = _MARKER.search(source.block, source.at)
        if found:
            source.at = found.end()
            return found[1]
        is_after_ff = source.block.endswith(b"\xff") and source.at < len(source.block)
        source.next_block()


def _content(source: OnePass) -> bytes:
    (length,) = source.unpack(_LENGTH)
    if length < _LENGTH.size:
        raise Damage("one of its segments has no length")
    return source.take(length - _LENGTH.size)


def updated(layout: Layout, part: Part) -> Layout:
    """What is known after one more part.

    Raises:
        Damage: the frame is too short to hold the size.
    """
    if part.kind == _EXIF_MARKER and layout.orientation == exif.UPRIGHT:
        return evolve(layout, orientation=exif.orientation(part.head))
    if part.kind in _SOF and not layout.has_header:
        layout = _with_size(layout, part)
    if layout.has_pixels:  # all that is behind the first scan stays together
        return layout.with_essential(Span(layout.essential[-1].end, part.span.end))
    layout = evolve(layout, has_pixels=part.kind == _SOS)
    return layout.with_essential(part.span) if _is_essential(part) else layout


def _with_size(layout: Layout, part: Part) -> Layout:
    if len(part.head) < _FRAME.size:
        raise Damage("its frame header is too short")
    height_px, width_px = _FRAME.unpack_from(part.head)
    return evolve(layout, width_px=width_px, height_px=height_px)


def _is_essential(part: Part) -> bool:
    if part.kind in _COLOUR_SEGMENTS:
        name, least_bytes = _COLOUR_SEGMENTS[part.kind]
        return part.head.startswith(name) and len(part.head) >= least_bytes
    return part.kind not in _APP and part.kind != _COM
