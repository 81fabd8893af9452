"""The one clip that the benchmark's server hands out under any number of names, and its ranges."""

from __future__ import annotations

import random
import re
from functools import cache

__all__ = ["CLIP_BYTES", "clip", "clip_head"]

CLIP_BYTES = 20 * 2**20
_ETAG = '"benchmark-clip"'
_RANGE = re.compile(r"(?im)^range: *bytes=(\d+)-\r?$")
_IF_RANGE = re.compile(r"(?im)^if-range: *(\S+)\r?$")


@cache
def clip() -> bytes:
    """As much of an MP4 as anybody looks at: its outermost boxes, and noise.

    Source: ISO/IEC 14496-12, 4.2.
    """
    kind = _box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
    index = _box(b"moov", _box(b"mvhd", bytes(100)))
    room = CLIP_BYTES - len(kind) - len(index) - 8
    return kind + index + _box(b"mdat", random.Random(1).randbytes(room))


def clip_head(request_head: str) -> tuple[bytes, int]:
    """The head of the answer, and the offset of the first byte to send."""
    asked = _RANGE.search(request_head)
    held = _IF_RANGE.search(request_head)
    start = int(asked[1]) if asked and (held is None or held[1] == _ETAG) else 0
    lines = [
        "HTTP/1.1 206 Partial Content" if start else "HTTP/1.1 200 OK",
        "Content-Type: video/mp4",
        f"Content-Length: {CLIP_BYTES - start}",
        f"ETag: {_ETAG}",
        "Accept-Ranges: bytes",
    ]
    if start:
        lines.append(f"Content-Range: bytes {start}-{CLIP_BYTES - 1}/{CLIP_BYTES}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), start


def _box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content
