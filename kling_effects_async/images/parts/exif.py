"""The one number of EXIF data that matters here.

Source: CIPA DC-008 (Exif 3.0): 4.5 (structure), 4.6.5 (orientation).
"""

from __future__ import annotations

import struct

__all__ = ["PREFIX", "UPRIGHT", "orientation"]

PREFIX = b"Exif\0\0"
UPRIGHT = 1

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION = 0x0112
_FORMS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG; the standard has SHORT


def orientation(exif: bytes) -> int:
    """How to turn the picture, 1 to 8; 1 (upright) where it is absent or damaged."""
    tiff = exif.removeprefix(PREFIX)
    order = _ORDERS.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        found = _entry(tiff, order)
    except struct.error:  # it points outside of itself
        return UPRIGHT
    return found if 1 <= found <= 8 else UPRIGHT


def _entry(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for offset in range(start + 2, start + 2 + 12 * count, 12):
        tag, form = struct.unpack_from(f"{order}HH", tiff, offset)
        if tag == _ORIENTATION and form in _FORMS:
            (value,) = struct.unpack_from(f"{order}{_FORMS[form]}", tiff, offset + 8)
            return int(value)
    return UPRIGHT
