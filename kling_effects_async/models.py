"""The service's answers about tasks, as frozen values.

Times are aware datetimes in UTC. A status word that is not in our vocabulary stays readable in
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

_SHOWN_CHARACTERS = 200  # of an address, whose path may be as long as the answer it came in


class TaskStatus(enum.Enum):
    """The status of a task, in one vocabulary for all services.

    ``UNKNOWN`` is every word that is not in the vocabulary: it never ends a wait.

    Attributes:
        is_final: no later answer of the service can change it.

    Source: Kling's effects page, 2026-09 (``submitted``, ``processing``, ``succeed``, ``failed``).
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
    """The address up to its ``?``, for a ``repr``: the signature of a signed URL is a secret.

    Never raises. Nothing of a malformed address is shown, since its secret could be anywhere.
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

    Kling deletes clips after 30 days: download at once, with ``EffectsClient.download``.

    Attributes:
        url: its signed address, which expires.
        id: the service's id of the clip; ``None`` where it has none, or the journal recalled it.
        duration_s: its length in seconds; ``None`` where the service does not report it, as in the
            newest form of answers.
        watermark_url: the address of a copy with a watermark; ``None`` where there is none.
        task_id: its task, which gives a fresh ``url`` once this one has expired; ``None`` if it is
            not known, and then ``download`` cannot renew the address.

    Source: Kling API changelog, 2024-10-25 (retention); effects page, 2026-09 (members).
    """

    url: str = field(repr=without_query)
    id: str | None = None
    duration_s: float | None = None
    watermark_url: str | None = field(default=None, repr=without_query)
    task_id: str | None = None


@frozen(kw_only=True)
class TaskSnapshot:
    """A task as one answer of the service describes it.

    Attributes:
        task_id: the service's id; an opaque string, also where it looks like a number.
        status: the status in our vocabulary; ``UNKNOWN`` is never final.
        raw_status: the service's own word for it.
        message: the reason of a failure, in the service's words; ``""`` without one.
        external_task_id: the id it was submitted with; ``None`` where the answer has none.
        videos: its clips; empty before it succeeded.
        created_at, updated_at: in UTC, by the service's clock; ``None`` where the answer has none.
        units: what the task finally cost (``final_unit_deduction``); ``None`` where the answer has
            no such member.
        request_id: the service's id for the request, for its support. Not compared.
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
        task_id: the service's id of the task.
        external_task_id: the id it was submitted with; ``None`` where the service reports none.
        videos: the clips, never empty.
        created_at, updated_at: in UTC, by the service's clock; ``None`` where it reports none.
        units: what the task finally cost; ``None`` where the service does not report it.
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

    Iterating over it, and ``len``, are those of ``tasks``.

    Attributes:
        tasks: the tasks of the page; empty behind the last one.
        unreadable: how many entries could not be read; they are not among ``tasks``.
        page, page_size: as they were requested.
    """

    tasks: tuple[TaskSnapshot, ...]
    unreadable: int = 0
    page: int
    page_size: int

    def __iter__(self) -> Iterator[TaskSnapshot]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)
