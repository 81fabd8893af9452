"""What the head of a download's answer promises: bytes, from where, of which content.

| answer                                         | what it means                             |
| ---------------------------------------------- | ----------------------------------------- |
| 200                                            | the whole, from its first byte            |
| 206 from the asked offset, of the same content | the rest                                  |
| 206 otherwise, 416                             | what we have is of no use: begin anew     |
| 403, 404, 410                                  | the address is no longer valid            |
| 408, 425, 429, 5xx, an HTML page               | not now                                   |
| anything else                                  | no                                        |

Source: RFC 9110, 13.1.5 (If-Range takes strong ETags only), 14.4 (Content-Range), 15.5.17 (416).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from attrs import evolve, frozen

from kling_effects_async.errors import DownloadError, VideoExpiredError
from kling_effects_async.protocol.messages import retry_after_seconds
from kling_effects_async.transport.part_file import Source

__all__ = ["Promise", "TryAgainError", "promise_of", "resume_headers"]

_EXPIRED = frozenset({403, 404, 410})
_PASSING = frozenset({408, 425, 429})
_NO_VIDEO = re.compile(r"text/html|.*[/+](json|xml)", re.IGNORECASE)
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class TryAgainError(Exception):
    """This attempt failed, another may do; the text is the reason and carries no address.

    Attributes:
        retry_after_s: how long the server asks to wait.
        from_start: what has come so far is of no use.
    """

    def __init__(
        self, reason: str, *, retry_after_s: float | None = None, from_start: bool = False
    ) -> None:
        self.retry_after_s = retry_after_s
        self.from_start = from_start
        super().__init__(reason)


@frozen
class Promise:
    """The body begins at ``start``, and is of ``source``."""

    start: int
    source: Source


def resume_headers(source: Source | None, length_bytes: int) -> dict[str, str]:
    """What asks for the rest only if the content is still the same; empty: for the whole."""
    if source is None or source.etag is None or length_bytes == 0:
        return {}
    return {"Range": f"bytes={length_bytes}-", "If-Range": source.etag}


def promise_of(
    status: int,
    headers: Mapping[str, str],
    *,
    address: str,
    held: Source | None,
    length_bytes: int,
    now: datetime,
) -> Promise:
    """Read an answer's head.

    Args:
        headers: looked up by their usual spelling; aiohttp's take any.
        address: the video's, without its signature.
        held: what the ``length_bytes`` so far are the beginning of.

    Raises:
        VideoExpiredError, DownloadError: no other attempt will do.
        TryAgainError: another may.
    """
    if status in _EXPIRED:
        raise VideoExpiredError(f"{address} is no longer valid (HTTP {status})")
    if status == 416:
        raise TryAgainError("the server has less than we have (HTTP 416)", from_start=True)
    if status in _PASSING or status >= 500:
        wait_s = retry_after_seconds(headers.get("Retry-After"), now)
        raise TryAgainError(f"HTTP {status}", retry_after_s=wait_s)
    if status not in (200, 206):
        raise DownloadError(f"{address} was refused (HTTP {status})")
    _check_form(headers)
    if status == 200:
        return Promise(0, Source(address=address, etag=_strong(headers), total=_length(headers)))
    return Promise(length_bytes, _continued(headers, held, length_bytes))


def _check_form(headers: Mapping[str, str]) -> None:
    kind = headers.get("Content-Type", "").partition(";")[0].strip()
    if _NO_VIDEO.fullmatch(kind):
        raise TryAgainError(f"the server sent {kind[:40]} instead of a video")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise TryAgainError("the server packed the video, which nobody asked for")


def _continued(headers: Mapping[str, str], held: Source | None, length_bytes: int) -> Source:
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if held is None or length_bytes == 0 or not match or int(match[1]) != length_bytes:
        raise TryAgainError("the server sent another part than asked for", from_start=True)
    total = int(match[2])
    if headers.get("ETag", held.etag) != held.etag or held.total not in (None, total):
        raise TryAgainError("the server has another video there by now", from_start=True)
    return evolve(held, total=total)


def _strong(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("ETag", "").strip()
    return etag if etag.startswith('"') else None


def _length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None
