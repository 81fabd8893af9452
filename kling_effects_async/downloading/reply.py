"""What the head of a download's answer promises: bytes, from where, of which content.

| answer                                         | what it means                             |
| ---------------------------------------------- | ----------------------------------------- |
| 200                                            | the whole, from its first byte            |
| 206 of the whole content, requested or not     | the whole, from its first byte            |
| 206 from the wanted offset, of the same one    | the rest                                  |
| 206 otherwise, 416                             | what we have is of no use: begin anew     |
| 404; 403 that does not name an expiry          | no longer valid, or not there yet         |
| 410; 403 that does                             | the address is no longer valid            |
| 408, 425, 429, 5xx, an HTML page               | not now                                   |
| anything else                                  | no                                        |

Source: RFC 9110, 13.1.5 (If-Range takes strong ETags only), 14.4 (Content-Range), 15.5.17 (416).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from attrs import evolve, frozen

from kling_effects_async.downloading.part_file import Source
from kling_effects_async.errors import DownloadError, VideoExpiredError
from kling_effects_async.protocol.messages import retry_after_seconds

__all__ = [
    "NotThereError",
    "Promise",
    "TryAgainError",
    "no_video",
    "promise_of",
    "resume_headers",
]

_EXPIRED = frozenset({403, 404, 410})
_PASSING = frozenset({408, 425, 429})
_NO_VIDEO = re.compile(r"text/html|.*[/+](json|xml)", re.IGNORECASE)
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_ETAG = re.compile(r'"[!#-~]*"')  # strong, and of letters that can be sent back
_DIGITS = re.compile(r"[0-9]{1,18}")
_VIDEO = re.compile(r"video/[a-z0-9.+-]{1,80}", re.IGNORECASE)

# Storages say it in the body of a 403. Source: S3 and OSS ("Request has expired"), Google Cloud
# Storage ("ExpiredToken").
_EXPIRED_REASON = re.compile(r"expire", re.IGNORECASE)

# A body is packed if one of these is named. Every other word changes no byte: storages repeat what
# an upload said, such as aws-chunked, utf-8, binary, or nothing at all; and what is no MP4 is found
# out anyway. Source: IANA, HTTP content codings.
_PACKINGS = frozenset(
    "br compress dcb dcz deflate exi gzip pack200-gzip x-compress x-gzip zstd".split()
)


class TryAgainError(Exception):
    """This attempt failed, another may do; the text is the reason and has no address in it.

    Attributes:
        retry_after_s: how long the server wants us to wait.
        from_start: what has come so far is of no use.
    """

    def __init__(
        self, reason: str, *, retry_after_s: float | None = None, from_start: bool = False
    ) -> None:
        self.retry_after_s = retry_after_s
        self.from_start = from_start
        super().__init__(reason)


class NotThereError(VideoExpiredError):
    """The server does not have the video: no more, or not yet."""


@frozen
class Promise:
    """The body begins at ``start``, and is of ``source``.

    Attributes:
        content_type: ``video/...``, as the server names it; ``video/mp4`` where it names another.
    """

    start: int
    source: Source
    content_type: str = "video/mp4"


def no_video(flaw: str) -> TryAgainError:
    """What came, and came whole, is no video."""
    return TryAgainError(f"what came is no whole video, {flaw}", from_start=True)


def resume_headers(source: Source | None, length_bytes: int) -> dict[str, str]:
    """The headers for the rest, if the content is still the same; none for the whole."""
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
    reason: str = "",
) -> Promise:
    """Read an answer's head.

    Args:
        reason: how the body of a 403 begins.
        headers: looked up by their usual spelling; aiohttp's take any.
        address: the video's, without its signature.
        held: what the ``length_bytes`` so far are the beginning of.

    Raises:
        NotThereError: the same address may do a little later, if the video is new.
        VideoExpiredError, DownloadError: no other attempt will do.
        TryAgainError: another may.
    """
    if status in _EXPIRED:
        raise _gone(status, address, reason)
    if status == 416:
        raise TryAgainError("the server has less than we have (HTTP 416)", from_start=True)
    if status in _PASSING or status >= 500:
        wait_s = retry_after_seconds(headers.get("Retry-After"), now)
        raise TryAgainError(f"HTTP {status}", retry_after_s=wait_s)
    if status not in (200, 206):
        raise DownloadError(f"{address} was rejected (HTTP {status})")
    _check_form(headers)
    total = _length(headers) if status == 200 else _whole(headers)
    if status == 200 or total is not None:
        source = Source(address=address, etag=_strong(headers), total=total)
        return Promise(0, source, _video_type(headers))
    return Promise(length_bytes, _continued(headers, held, length_bytes))


def _gone(status: int, address: str, reason: str) -> VideoExpiredError:
    message = f"{address} is no longer valid (HTTP {status})"
    if status == 410 or (status == 403 and _EXPIRED_REASON.search(reason)):
        return VideoExpiredError(message)
    return NotThereError(message)


def _kind(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip()


def _video_type(headers: Mapping[str, str]) -> str:
    # Storages say application/octet-stream, or what an upload said. Passed on to a browser, another
    # word than a video's could make it take the clip for a script or a page.
    kind = _kind(headers)
    return kind.lower() if _VIDEO.fullmatch(kind) else "video/mp4"


def _check_form(headers: Mapping[str, str]) -> None:
    kind = _kind(headers)
    if _NO_VIDEO.fullmatch(kind):
        shown = kind[:40].encode("ascii", "replace").decode()
        raise TryAgainError(f"the server sent {shown} instead of a video")
    codings = headers.get("Content-Encoding", "").lower().replace(",", " ").split()
    if _PACKINGS & set(codings):
        raise TryAgainError("the server packed the video, which was not requested")


def _whole(headers: Mapping[str, str]) -> int | None:
    """The size of the content if a 206 carries all of it."""
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    is_whole = match is not None and (int(match[1]), int(match[2]) + 1) == (0, int(match[3]))
    return int(match[3]) if match is not None and is_whole else None


def _continued(headers: Mapping[str, str], held: Source | None, length_bytes: int) -> Source:
    match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if held is None or length_bytes == 0 or not match or int(match[1]) != length_bytes:
        raise TryAgainError("the server sent another part than was requested", from_start=True)
    total = int(match[3])
    if headers.get("ETag", held.etag) != held.etag or held.total not in (None, total):
        raise TryAgainError("the server has another video there by now", from_start=True)
    return evolve(held, total=total)


def _strong(headers: Mapping[str, str]) -> str | None:
    etag = headers.get("ETag", "").strip()
    return etag if _ETAG.fullmatch(etag) else None


def _length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length", "")
    return int(length) if _DIGITS.fullmatch(length) else None
