"""Downloads of a video, whole or in part, and the signature of its address.

Source: RFC 9110 sections 13.1.5 (If-Range) and 14 (ranges); one range, as players and resuming
downloaders send it. What Kling's own file host does is not documented.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from kling_effects_async.emulator.emulated_reply import EmulatedReply

__all__ = ["etag_of", "serve_clip", "sign_of"]

# As many digits as a file can need: int() rejects thousands of them with an error.
_ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def sign_of(task_id: str, key: bytes) -> str:
    """The signature that the address of a video carries."""
    return hmac.new(key, task_id.encode(), hashlib.sha256).hexdigest()[:32]


def etag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def serve_clip(
    content: bytes, etag: str, range_header: str | None, if_range: str | None
) -> EmulatedReply:
    """Answer 200, 206 or 416.

    Args:
        range_header: not understood or several ranges: the whole file, as the RFC allows.
        if_range: the ``If-Range`` header; another ETag gives the whole file.
    """
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    size = len(content)
    found = _ONE_RANGE.fullmatch(range_header.strip()) if range_header else None
    if found is None or found.groups() == ("", "") or if_range not in (None, etag):
        return EmulatedReply(200, content, "video/mp4", headers)
    start, stop = _bounds(found[1], found[2], size)
    if start >= stop:
        return EmulatedReply(416, b"", "text/plain", headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return EmulatedReply(206, content[start:stop], "video/mp4", headers)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
