"""What the service tells about tasks, as frozen values.

Times are aware datetimes in UTC. A status word that is not known stays readable in
``raw_status`` and never ends a wait.
"""

from __future__ import annotations

import enum
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EffectResult", "TaskPage", "TaskSnapshot", "TaskStatus", "Video"]

_SHOWN_CHARACTERS = 200  # of an address, whose path may be as long as an answer


class TaskStatus(enum.Enum):
    """Where a task stands, in one vocabulary for all services.

    Attributes:
        is_final: no later answer of the service can change it.
    """

    SUBMITTED = "submitted"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"

    def __init__(self, word: str) -> None:
        self.is_final: bool = word in ("succeeded", "failed")

    def __str__(self) -> str:
        return self.value


def without_query(url: str | None) -> str:
    """The address without what follows ``?``: the signature of a signed URL is a secret.

    Never raises: where the secret begins in a malformed address is not known, so none of it is
    shown.
    """
    if url is None:
        return "None"
    try:
        parts = urlsplit(url)
        hidden = "?..." if parts.query or parts.fragment else ""
        host = parts.netloc.rpartition("@")[2]
    except (ValueError, TypeError, AttributeError):
        return "'(malformed address)'"
    shown = f"{parts.scheme}://{host}{parts.path}"
    return repr(f"{shown[:_SHOWN_CHARACTERS]}{hidden}")


@frozen(kw_only=True)
class Video:
    """One clip of a succeeded task.

    ``url`` is signed and expires: download at once. Kling removes media after 30 days.
    ``duration_s`` is ``None`` where the service does not tell (the newest pages do not).
    ``task_id`` is the task to ask for a fresh ``url`` once this one has expired.

    Source: Kling API changelog, 2024-10-25 (retention); effects page, 2026-09 (members).
    """

    url: str = field(repr=without_query)
    id: str | None = None
    duration_s: float | None = None
    watermark_url: str | None = field(default=None, repr=without_query)
    task_id: str | None = None


@frozen(kw_only=True)
class TaskSnapshot:
    """A task as one answer of the service described it.

    Attributes:
        task_id: the id to ask for; an opaque string, also where it looks like a number.
        status: the status in our vocabulary; ``UNKNOWN`` is never final.
        raw_status: the service's own word for it.
        message: the reason of a failure, in the service's words; ``""`` without one.
        units: what the task finally cost (``final_unit_deduction``); ``None`` if not told.
        request_id: the service's id for the request that was answered, for its support.
    """

    task_id: str
    status: TaskStatus
    raw_status: str = ""
    message: str = ""
    external_task_id: str | None = None
    videos: tuple[Video, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    units: Decimal | None = None
    request_id: str | None = field(default=None, eq=False)

    @property
    def is_final(self) -> bool:
        """The task has ended, well or badly."""
        return self.status.is_final


@frozen(kw_only=True)
class EffectResult:
    """What a succeeded task made.

    Attributes:
        videos: the clips, never empty.
        units: what the task finally cost; ``None`` if the service does not tell.
    """

    task_id: str
    external_task_id: str | None
    videos: tuple[Video, ...]
    created_at: datetime | None = None
    updated_at: datetime | None = None
    units: Decimal | None = None

    @property
    def video(self) -> Video:
        """The first clip; effects make exactly one as of 2026-09."""
        return self.videos[0]


@frozen(kw_only=True)
class TaskPage:
    """One page of the account's task list, in the service's order (not documented).

    ``unreadable`` counts the entries that nobody could read; they are not among ``tasks``.
    """

    tasks: tuple[TaskSnapshot, ...]
    unreadable: int = 0
    page: int
    page_size: int

    def __iter__(self) -> Iterator[TaskSnapshot]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)
