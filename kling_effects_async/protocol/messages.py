"""The currency between the rules and the edge: a request to send, a reply that came.

A body is a sequence of chunks. A ``Base64Of`` is a placeholder for an image, which the edge encodes
while it sends, so that an image is never in memory as JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from attrs import field, frozen

from kling_effects_async.models import TaskSnapshot
from kling_effects_async.protocol.http_dates import http_date

__all__ = ["Base64Of", "Body", "FileState", "Listed", "Reply", "Request", "retry_after_seconds"]

# float() reads more: signs, exponents, underscores and the digits of every script.
_DELAY = re.compile(r"[0-9]+(\.[0-9]*)?")


@frozen
class FileState:
    """What a file was when it was checked; what is sent must still be that.

    Attributes:
        link_count: the names of the file. Some file systems report 0 for every file.
    """

    size_bytes: int
    mtime_ns: int | None
    link_count: int = 1

    def is_still(self, now: FileState) -> bool:
        """Whether an open file is unchanged: neither written to, nor deleted or replaced."""
        lost_its_names = now.link_count == 0 and self.link_count > 0
        is_the_same = (self.size_bytes, self.mtime_ns) == (now.size_bytes, now.mtime_ns)
        return is_the_same and not lost_its_names


@frozen
class Base64Of:
    """The base64 form of an image in a body, without prefix or line breaks.

    Attributes:
        state: of an image file; without it, it cannot be sent.
    """

    image: Path | bytes = field(repr=lambda image: f"<{type(image).__name__}>")
    state: FileState | None = None


Body: TypeAlias = tuple[bytes | Base64Of, ...]


@frozen(kw_only=True)
class Listed:
    """One page of the task list, read for a few of its tasks.

    Attributes:
        tasks: the tasks that were wanted and are on the page.
        shown: how many entries the page has in all.
        first_id: the task id of its first entry; ``""`` if there is none.
        newest_at, oldest_at: when the newest and the oldest task of the page were created, by the
            service's clock; ``None`` where the entries have no times.
    """

    tasks: Sequence[TaskSnapshot]
    shown: int
    first_id: str = ""
    newest_at: datetime | None = None
    oldest_at: datetime | None = None


@frozen(kw_only=True)
class Request:
    """One request of the API.

    Attributes:
        path: below the service's base URL, with its leading slash, already quoted.
        body: the chunks of a JSON document; empty for none.
        is_repeatable: sending it twice does no harm. False for every request that costs money.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Body = field(default=(), repr=False)
    is_repeatable: bool


@frozen(kw_only=True)
class Reply:
    """One answer, whole.

    Attributes:
        headers: their names are in lower case; aiohttp's mapping takes any case.
        retry_after_s: how long the server wants us to wait, in seconds, whichever form it came in.
    """

    status: int
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    retry_after_s: float | None = None

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case; ``""`` if the header is absent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """``Retry-After`` as seconds from now; a past date is 0, and garbage is ``None``.

    Args:
        now: aware.

    Source: RFC 9110, 10.2.3 (a date, or digits); some servers send fractions of a second.
    """
    if not header:
        return None
    if _DELAY.fullmatch(header.strip()):
        seconds = float(header)
        return seconds if math.isfinite(seconds) else None
    moment = http_date(header)
    return None if moment is None else max(0.0, (moment - now).total_seconds())
