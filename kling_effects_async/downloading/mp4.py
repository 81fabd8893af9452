"""Whether a file is a whole MP4, by the heads of its outermost boxes.

Source: ISO/IEC 14496-12, 4.2 (a size of 1: the size follows in 64 bits; 0: to the file's end).
"""

from __future__ import annotations

import os

__all__ = ["flaw_of"]

_SMALLEST_BOX_BYTES = 8
# One that is fragmented for each frame has two boxes a frame: 3,600 in half a minute. What holds
# only heads of boxes would be read for minutes, in a thread that nobody can stop.
_MOST_BOXES = 100_000


def flaw_of(descriptor: int, size_bytes: int) -> str | None:
    """Why an open file is no whole MP4; ``None`` if it is one.

    Jumps from box to box, so a large file costs no more than a small one. Moves the position.
    """
    if size_bytes == 0:
        return "it is empty"
    kinds: set[bytes] = set()
    at = boxes = 0
    while at < size_bytes:
        boxes += 1
        if boxes > _MOST_BOXES:
            return f"it has more than {_MOST_BOXES} boxes"
        length, kind = _head(descriptor, at)
        kinds.add(kind)
        if b"ftyp" not in kinds:
            return "it does not begin like an MP4 file"
        length = length or size_bytes - at
        at += length
        if length < _SMALLEST_BOX_BYTES or at > size_bytes:
            return f"it ends within a box, after {size_bytes} bytes"
    return None if b"moov" in kinds else "its index (moov) is missing"


def _head(descriptor: int, at: int) -> tuple[int, bytes]:
    os.lseek(descriptor, at, os.SEEK_SET)
    head = os.read(descriptor, 16)
    length = int.from_bytes(head[:4], "big")
    return int.from_bytes(head[8:], "big") if length == 1 else length, head[4:8]
