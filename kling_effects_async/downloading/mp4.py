"""Whether bytes are a whole MP4, by the heads of its outermost boxes: in a file, or as they pass.

The rules are in ``_Boxes``, once for both.

Source: ISO/IEC 14496-12, 4.2 (a size of 1: the size follows in 64 bits; 0: to the file's end).
"""

from __future__ import annotations

import os

__all__ = ["PassingBoxes", "flaw_of"]

_HEAD_BYTES, _LARGE_HEAD_BYTES = 8, 16  # of a box; the second with a size of 64 bits
# One that is fragmented for each frame has two boxes a frame: 3,600 in half a minute. What holds
# only heads of boxes would be read for minutes, in a thread that nobody can stop.
_MOST_BOXES = 100_000
_NO_MP4 = "it does not begin like an MP4 file"


class _Boxes:
    """What is known of the boxes so far.

    Attributes:
        next_at: where the next box begins.
        has_rest: the last box reaches to the end of the file, whatever is there.
    """

    def __init__(self) -> None:
        self.next_at = 0
        self.has_rest = False
        self._count = 0
        self._has_index = False

    def read_head(self, head: bytes) -> str | None:
        """Read the head of the next box; what is wrong with it, or ``None``."""
        self._count += 1
        if self._count > _MOST_BOXES:
            return f"it has more than {_MOST_BOXES} boxes"
        if self.next_at == 0 and head[4:8] != b"ftyp":
            return _NO_MP4
        length = int.from_bytes(head[8:] if len(head) > _HEAD_BYTES else head[:4], "big")
        if 0 < length < len(head):
            return f"a box at {self.next_at} is shorter than its own head"
        self._has_index = self._has_index or head[4:8] == b"moov"
        self.has_rest = length == 0
        self.next_at += length
        return None

    def flaw_at_end(self, size_bytes: int) -> str | None:
        """What is missing in a file of so many bytes whose heads are all read."""
        if size_bytes == 0:
            return "it is empty"
        if self.next_at == 0 and not self.has_rest:
            return _NO_MP4
        if self.next_at != size_bytes and not self.has_rest:
            return f"it ends within a box, after {size_bytes} bytes"
        return None if self._has_index else "its index (moov) is missing"


class PassingBoxes:
    """The boxes of a file that passes by in chunks; keeps nothing of it but half a head."""

    def __init__(self) -> None:
        self._boxes = _Boxes()
        self._head = b""
        self._seen_bytes = 0

    def feed(self, chunk: bytes) -> str | None:
        """Look at what comes next; why it is no MP4, or ``None`` as long as it can be one."""
        while (begin := self._wanted_at - self._seen_bytes) < len(chunk):
            if self._boxes.has_rest:
                break
            self._head += chunk[begin : begin + _size_of(self._head) - len(self._head)]
            if len(self._head) < _size_of(self._head):
                continue
            if flaw := self._boxes.read_head(self._head):
                return flaw
            self._head = b""
        self._seen_bytes += len(chunk)
        return None

    def flaw_at_end(self) -> str | None:
        """Why what has passed is no whole MP4; ``None`` if it is one."""
        return self._boxes.flaw_at_end(self._seen_bytes)

    @property
    def _wanted_at(self) -> int:
        """Where the next byte of a head is."""
        return self._boxes.next_at + len(self._head)


def flaw_of(descriptor: int, size_bytes: int) -> str | None:
    """Why an open file is no whole MP4; ``None`` if it is one.

    Jumps from box to box, so a large file costs no more than a small one. Moves the position.
    """
    boxes = _Boxes()
    while boxes.next_at < size_bytes and not boxes.has_rest:
        head = _head(descriptor, boxes.next_at)
        if len(head) < _size_of(head):
            break
        if flaw := boxes.read_head(head):
            return flaw
    return boxes.flaw_at_end(size_bytes)


def _head(descriptor: int, at: int) -> bytes:
    os.lseek(descriptor, at, os.SEEK_SET)
    head = os.read(descriptor, _LARGE_HEAD_BYTES)
    return head[: _size_of(head)]


def _size_of(head: bytes) -> int:
    """How long a head is, as far as what there is of it tells."""
    is_large = head[:4] == b"\0\0\0\1" and len(head) >= _HEAD_BYTES
    return _LARGE_HEAD_BYTES if is_large else _HEAD_BYTES
