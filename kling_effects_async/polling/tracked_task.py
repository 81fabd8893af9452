"""One task as it is known here, those who wait for it, and how far its next poll is.

    IDLE --> SCHEDULED --> DUE --> POLLED --> IDLE, or at once SCHEDULED again
                            ^      ^   |
                            |      |   |--> DUE_SINGLY: the page did not show it
                            |      '---'
                        NEXT_PAGE <----'    it may end before the next page

As soon as nobody waits for it, it goes to IDLE; from POLLED only once the poll is over.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

from kling_effects_async.models import TaskSnapshot

if TYPE_CHECKING:
    import asyncio

__all__ = ["NEVER", "TRANSITIONS", "OnEnd", "PollStage", "TrackedTask", "TrackedTasks", "Waiter"]

NEVER = float("inf")

OnEnd: TypeAlias = "Callable[[TaskSnapshot | None], asyncio.Future[None] | None]"
"""Called with the final snapshot, or ``None`` if the task was not seen to end in time.

What it returns is done once the end is written down, or cannot be; ``None`` if nothing is written.
"""


class PollStage(enum.Enum):
    """Where a task is on its way to the next poll; see the top of this file."""

    IDLE = "nobody waits for it"
    SCHEDULED = "in the timetable"
    NEXT_PAGE = "waits for the next page"
    DUE = "to be polled, by a page where enough are due"
    DUE_SINGLY = "to be polled by a single query"
    POLLED = "a query or a page is under way"

    if not TYPE_CHECKING:  # type checkers know no other hash of an Enum
        # By identity, as each stage is there once: that of ``Enum`` costs more than a move.
        __hash__ = object.__hash__


TRANSITIONS: dict[PollStage, frozenset[PollStage]] = {
    PollStage.IDLE: frozenset({PollStage.SCHEDULED}),
    PollStage.SCHEDULED: frozenset({PollStage.DUE, PollStage.IDLE}),
    PollStage.NEXT_PAGE: frozenset({PollStage.DUE, PollStage.SCHEDULED, PollStage.IDLE}),
    PollStage.DUE: frozenset({PollStage.POLLED, PollStage.IDLE}),
    PollStage.DUE_SINGLY: frozenset({PollStage.POLLED, PollStage.IDLE}),
    PollStage.POLLED: frozenset(
        {PollStage.SCHEDULED, PollStage.NEXT_PAGE, PollStage.DUE_SINGLY, PollStage.IDLE}
    ),
}


class TrackedTask:
    """One task; made by ``PollQueue.track``. All times are of the queue's clock.

    Attributes:
        stage: changed by the queue alone.
        scene: what its schedule is learned by; ``""`` where it is not known.
        changes: every change seen, oldest first; the last is final once the task has ended.
        latest: the freshest snapshot, whose addresses and times may be newer than the last change.
        is_ours: this client, or its journal, knows that it was submitted.
        is_over: the last change is final.
        record: the writing of the end to the journal; ``None`` where there is none.
        is_unlisted: the pages that were read last did not show it.
        is_whole: it was followed from its submit on, so its age is the task's.
        is_announced: its changes are sent to our receiver.
        is_known_by_external_id: it was that id that the last query was answered to.
        is_hinted: a message came while it was polled, so it is polled again soon.
        told_at: when a message said last that it had ended; minus infinity before that.
        next_poll_at: before this it is not polled.
        answered_at: when an answer came last.
        failures: polls in a row without a useful answer, since ``failing_since``; the last of
            them is ``failure``.
        unknown_since: since when the service has not known the task.
        deadline_at: when somebody stops waiting next, at the earliest; ``NEVER`` if nobody waits.
    """

    __slots__ = (
        "__weakref__",
        "answered_at",
        "began_at",
        "changes",
        "deadline_at",
        "external_task_id",
        "failing_since",
        "failure",
        "failures",
        "followed_until",
        "is_announced",
        "is_hinted",
        "is_known_by_external_id",
        "is_ours",
        "is_over",
        "is_unlisted",
        "is_whole",
        "latest",
        "next_poll_at",
        "on_end",
        "record",
        "result_missing_since",
        "scene",
        "stage",
        "task_id",
        "told_at",
        "unknown_since",
        "waiters",
    )

    def __init__(
        self, task_id: str | None, external_task_id: str | None, scene: str, now: float
    ) -> None:
        self.task_id: str | None = task_id
        self.external_task_id: str | None = external_task_id
        self.scene: str = scene
        self.stage: PollStage = PollStage.IDLE
        self.latest: TaskSnapshot | None = None
        self.changes: list[TaskSnapshot] = []
        self.waiters: set[Waiter] = set()
        self.deadline_at: float = NEVER
        self.began_at: float = now
        self.answered_at: float = now
        self.next_poll_at: float = now
        self.is_announced: bool = False
        self.is_known_by_external_id: bool = False
        self.is_hinted: bool = False
        self.is_ours: bool = False
        self.is_over: bool = False
        self.is_unlisted: bool = False
        self.is_whole: bool = False
        self.record: asyncio.Future[None] | None = None
        self.on_end: OnEnd | None = None
        self.followed_until: float = NEVER
        self.failures: int = 0
        self.failure: Exception | None = None
        self.failing_since: float = now
        self.unknown_since: float | None = None
        self.result_missing_since: float | None = None
        self.told_at: float = -NEVER

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return self.task_id or self.external_task_id or "?"

    @property
    def is_followed(self) -> bool:
        """Its end is reported to ``on_end``, also if nobody waits."""
        return self.on_end is not None

    @property
    def is_wanted(self) -> bool:
        """Somebody waits for it or follows it."""
        return self.on_end is not None or bool(self.waiters)

    @property
    def known_ids(self) -> tuple[str | None, str | None]:
        """Its own id and its external id; the first that is there is the one to query it by."""
        return None if self.is_known_by_external_id else self.task_id, self.external_task_id

    @property
    def next_ids(self) -> tuple[str | None, str | None]:
        """The same for the next poll.

        While a service does not know the task by one of them, it is asked by the other every
        second time: behind a gateway a task has two ids, and a lookup may have returned the other.
        """
        is_second_time = self.unknown_since is not None and self.failures % 2 == 1
        if is_second_time and self.external_task_id is not None:
            return self.task_id if self.is_known_by_external_id else None, self.external_task_id
        return self.known_ids

    def move_to(self, stage: PollStage) -> None:
        """Go on to the next stage."""
        assert stage in TRANSITIONS[self.stage], f"{self.stage} cannot become {stage}"
        self.stage = stage

    def change(self, snapshot: TaskSnapshot) -> None:
        """Add a change, and wake all waiters."""
        self.changes.append(snapshot)
        self.is_over = snapshot.is_final
        self.wake()

    def answered(self, now: float) -> None:
        """The service answered with its status."""
        self.answered_at = now
        self.reset_failures()

    def reset_failures(self) -> None:
        """Start counting failures anew."""
        self.failures = 0
        self.unknown_since = None

    def failed(self, error: Exception, now: float, *, polls: int = 1) -> None:
        """So many more polls about it failed."""
        if self.failures == 0:
            self.failing_since = now
        self.failures += polls
        self.failure = error

    def join(self, waiter: Waiter) -> None:
        """Add a waiter."""
        self.waiters.add(waiter)
        self.deadline_at = min(self.deadline_at, waiter.deadline_at)

    def follow(self, on_end: OnEnd, until: float) -> None:
        """Report the end to ``on_end``."""
        self.on_end, self.followed_until = on_end, until
        self.deadline_at = min(self.deadline_at, until)

    def time_out(self, now: float, error: Callable[[], Exception]) -> None:
        """End what is overdue."""
        for waiter in list(self.waiters):
            if waiter.deadline_at <= now:
                self.waiters.discard(waiter)
                waiter.settle(error())
        if self.followed_until <= now:
            self.end(None)
        left = (waiter.deadline_at for waiter in self.waiters)
        self.deadline_at = min(self.followed_until, min(left, default=NEVER))

    def postpone(self, seconds: float) -> None:
        """Move every deadline."""
        for waiter in self.waiters:
            waiter.deadline_at += seconds
        self.followed_until += seconds
        self.deadline_at += seconds

    def wake(self, error: Exception | None = None) -> None:
        """Settle all waiters: with a change, or with this error."""
        waiters, self.waiters = self.waiters, set()
        for waiter in waiters:
            waiter.settle(error)

    def end(self, final: TaskSnapshot | None) -> None:
        """Report the end to ``on_end``, once."""
        on_end, self.on_end, self.followed_until = self.on_end, None, NEVER
        if on_end is not None:
            self.record = on_end(final)


class Waiter:
    """Somebody who waits for one more change, until a deadline.

    Attributes:
        settle: called once, with ``None`` for a change or with the error that ends the wait.
    """

    __slots__ = ("deadline_at", "settle")

    def __init__(self, deadline_at: float, settle: Callable[[Exception | None], None]) -> None:
        self.deadline_at: float = deadline_at
        self.settle: Callable[[Exception | None], None] = settle


class TrackedTasks:
    """The tasks in use, by either id; weak references, so that unused ones are dropped."""

    def __init__(self) -> None:
        self._by_task_id: WeakValueDictionary[str, TrackedTask] = WeakValueDictionary()
        self._by_external_id: WeakValueDictionary[str, TrackedTask] = WeakValueDictionary()

    def find(self, task_id: str | None, external_task_id: str | None) -> TrackedTask | None:
        """The task by what is known of it."""
        return self._by_task_id.get(task_id or "") or self._by_external_id.get(
            external_task_id or ""
        )

    def register(self, task: TrackedTask) -> None:
        """Have it found by its ids."""
        if task.task_id is not None:
            self._by_task_id[task.task_id] = task
        if task.external_task_id is not None:
            self._by_external_id[task.external_task_id] = task

    def complete(
        self, task: TrackedTask, task_id: str | None, external_task_id: str | None
    ) -> None:
        """Add an id that was not known before."""
        if task.task_id is None or task.external_task_id is None:
            task.task_id = task.task_id or task_id
            task.external_task_id = task.external_task_id or external_task_id
            self.register(task)
