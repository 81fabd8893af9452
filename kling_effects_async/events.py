"""What happens to jobs, tasks and slots, as values for whoever shows it while it happens.

    JobQueued -> JobSubmitted -> JobAccepted -> TaskChanged ... -> TaskEnded
        ^             |
        +-------------+   rejected for now: it waits again

The last event of a job is a ``TaskEnded``, ``JobRejected``, ``JobCancelled`` or ``JobUncertain``,
until it is submitted again. A task that is only attached to, or that an earlier process submitted,
begins with a ``TaskChanged``.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from attrs import frozen

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.models import TaskSnapshot

__all__ = [
    "Event",
    "JobAccepted",
    "JobCancelled",
    "JobQueued",
    "JobRejected",
    "JobSubmitted",
    "JobUncertain",
    "SlotsChanged",
    "TaskChanged",
    "TaskEnded",
    "unheard",
]


@frozen(kw_only=True)
class _JobEvent:
    """What the events of a job and of its task have in common.

    Attributes:
        at: when it happened, an aware datetime in UTC, by this machine's clock.
        external_task_id: the job's id; ``None`` for a task that is attached to by its task id.
        task_id: the service's id; ``None`` before it accepted the job.
        scene: ``""`` for a task that is attached to, and is in no journal.
    """

    at: datetime
    external_task_id: str | None
    task_id: str | None = None
    scene: str = ""


@frozen(kw_only=True)
class JobQueued(_JobEvent):
    """The job waits for a slot; where one is free, ``JobSubmitted`` follows at once.

    Attributes:
        reason: why it waits once more: the passing rejection, or the failure of the network, in
            words; ``""`` the first time.
        error: the same as an error, a copy without its traceback; ``None`` the first time.
    """

    reason: str = ""
    error: KlingEffectsError | None = None


@frozen(kw_only=True)
class JobSubmitted(_JobEvent):
    """The create request is sent; the journal says so already.

    Attributes:
        attempt: 1 for the first request of this submit, 2 for the next, and so on.
    """

    attempt: int = 1


@frozen(kw_only=True)
class JobAccepted(_JobEvent):
    """The service has the task, and may charge for it."""


@frozen(kw_only=True)
class TaskChanged(_JobEvent):
    """The task has another status, or says something else of itself, and has not ended.

    Attributes:
        snapshot: the task as the service described it.
    """

    snapshot: TaskSnapshot


@frozen(kw_only=True)
class TaskEnded(_JobEvent):
    """The task succeeded or failed, and that is written down where the job is in a journal.

    Attributes:
        snapshot: the final one; ``status`` and ``message`` tell how it ended.
        duration_s: seconds from its acceptance until its end was known here; ``None`` if it was
            not followed all the time.
        lag_s: seconds from its end, by the service's clock (``updated_at``), until it was known
            here; ``None`` without that time, or where the clocks contradict each other.
    """

    snapshot: TaskSnapshot
    duration_s: float | None = None
    lag_s: float | None = None

    @property
    def units(self) -> Decimal | None:
        """What it finally cost; ``None`` where the service did not report it."""
        return self.snapshot.units


@frozen(kw_only=True)
class JobRejected(_JobEvent):
    """There is no task, and this submit is over: nothing is charged.

    Attributes:
        error: what ``submit`` raises, as a copy without its traceback; its class shows what to do.
            A rejection by the service, or a reason of this machine such as the budget.
    """

    error: KlingEffectsError


@frozen(kw_only=True)
class JobCancelled(_JobEvent):
    """The caller was cancelled before the job was accepted: nothing is charged."""


@frozen(kw_only=True)
class JobUncertain(_JobEvent):
    """An answer was lost and no lookup settled it: a task may exist, and be charged.

    Attributes:
        reason: how that came to be, in words.
    """

    reason: str


@frozen(kw_only=True)
class SlotsChanged:
    """The account has another number of slots, by the answers so far.

    Attributes:
        at: when it happened, an aware datetime in UTC, by this machine's clock.
        size: how many tasks the account may run at once.
        running: tasks of this client that the service accepted and that have not ended.
        reason: why the size changed, in words.
    """

    at: datetime
    size: int
    running: int
    reason: str


Event: TypeAlias = (
    JobQueued
    | JobSubmitted
    | JobAccepted
    | TaskChanged
    | TaskEnded
    | JobRejected
    | JobCancelled
    | JobUncertain
    | SlotsChanged
)
"""Everything that ``EffectsClient.events`` yields and that ``on_event`` is called with."""


def unheard(_event: Event) -> None:
    """Where events go that nobody listens to."""
