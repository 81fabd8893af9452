"""One task as it is known here, and those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias
from weakref import WeakValueDictionary

from kling_effects_async.models import TaskSnapshot

__all__ = ["NEVER", "Holder", "Waiter", "Watch", "Watches"]

NEVER = float("inf")

Holder: TypeAlias = Callable[[TaskSnapshot | None], "asyncio.Future[None] | None"]
"""Told the final snapshot, or ``None`` if the task was not seen to end in time.

What it returns is done once the end is written down, or cannot be; ``None`` if nothing is written.
"""


class Watch:
    """One task; made by ``Tracker.watch``. All times are the tracker's clock's.

    Attributes:
        scene: what its schedule is learned by; ``""`` where it is not known.
        changes: every change seen, oldest first; the last is final once the task has ended.
        latest: the freshest snapshot, whose addresses and times may be newer than the last change.
        is_ours: this client, or its journal, knows that it was submitted.
        is_over: the last change is final.
        record: the writing of the end to the journal; ``None`` where there is none.
        is_unlisted: the pages that were read last did not show it.
        is_whole: it was followed from its submit on, so its age is the task's.
        next_ask_at: before this nobody asks.
        answered_at: when an answer came last.
        failures: questions in a row without a useful answer, since ``trouble_since``; the last of
            them is ``trouble``.
        unknown_since: since when the service has not known the task.
        deadline_at: when somebody gives up next, at the earliest; ``NEVER`` if nobody waits.
    """

    __slots__ = (
        "__weakref__",
        "answered_at",
        "began_at",
        "changes",
        "deadline_at",
        "external_task_id",
        "failures",
        "held_until",
        "holder",
        "is_asking",
        "is_ours",
        "is_over",
        "is_unlisted",
        "is_whole",
        "latest",
        "next_ask_at",
        "record",
        "result_missing_since",
        "scene",
        "task_id",
        "trouble",
        "trouble_since",
        "unknown_since",
        "waiters",
    )

    def __init__(
        self, task_id: str | None, external_task_id: str | None, scene: str, now: float
    ) -> None:
        self.task_id: str | None = task_id
        self.external_task_id: str | None = external_task_id
        self.scene: str = scene
        self.latest: TaskSnapshot | None = None
        self.changes: list[TaskSnapshot] = []
        self.waiters: set[Waiter] = set()
        self.deadline_at: float = NEVER
        self.began_at: float = now
        self.answered_at: float = now
        self.next_ask_at: float = now
        self.is_ours: bool = False
        self.is_over: bool = False
        self.is_unlisted: bool = False
        self.is_whole: bool = False
        self.is_asking: bool = False
        self.record: asyncio.Future[None] | None = None
        self.holder: Holder | None = None
        self.held_until: float = NEVER
        self.failures: int = 0
        self.trouble: Exception | None = None
        self.trouble_since: float = now
        self.unknown_since: float | None = None
        self.result_missing_since: float | None = None

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return self.task_id or self.external_task_id or "?"

    @property
    def is_held(self) -> bool:
        """Somebody wants to be told of the end, without waiting for it."""
        return self.holder is not None

    @property
    def is_wanted(self) -> bool:
        """Somebody waits for it or holds it."""
        return self.holder is not None or bool(self.waiters)

    def change(self, snapshot: TaskSnapshot) -> None:
        """There is news; whoever waits hears of it."""
        self.changes.append(snapshot)
        self.is_over = snapshot.is_final
        self.wake()

    def answered(self, now: float) -> None:
        """The service told how it stands."""
        self.answered_at = now
        self.failures = 0
        self.unknown_since = None

    def failed(self, error: Exception, now: float, *, polls: int = 1) -> None:
        """It cannot be told how it stands; so many more polls about it were in vain."""
        if self.failures == 0:
            self.trouble_since = now
        self.failures += polls
        self.trouble = error

    def join(self, waiter: Waiter) -> None:
        """One more who waits."""
        self.waiters.add(waiter)
        self.deadline_at = min(self.deadline_at, waiter.deadline_at)

    def hold(self, holder: Holder, until: float) -> None:
        """Somebody who wants to be told of the end."""
        self.holder, self.held_until = holder, until
        self.deadline_at = min(self.deadline_at, until)

    def give_up(self, now: float, error: Callable[[], Exception]) -> None:
        """End what is overdue."""
        for waiter in list(self.waiters):
            if waiter.deadline_at <= now:
                waiter.settle(error())
                self.waiters.discard(waiter)
        if self.held_until <= now:
            self.let_go(None)
        left = (waiter.deadline_at for waiter in self.waiters)
        self.deadline_at = min(self.held_until, min(left, default=NEVER))

    def postpone(self, seconds: float) -> None:
        """Move every deadline."""
        for waiter in self.waiters:
            waiter.deadline_at += seconds
        self.held_until += seconds
        self.deadline_at += seconds

    def wake(self, error: Exception | None = None) -> None:
        """Tell everybody who waits: there is a change, or this error."""
        waiters, self.waiters = self.waiters, set()
        for waiter in waiters:
            waiter.settle(error)

    def let_go(self, final: TaskSnapshot | None) -> None:
        """Tell who holds it of the end, once."""
        holder, self.holder, self.held_until = self.holder, None, NEVER
        if holder is not None:
            self.record = holder(final)

    async def recorded(self) -> None:
        """Return once the end is written down, or cannot be; whoever reports it waits for this.

        A caller that is cancelled leaves the writing alone.
        """
        if self.record is not None and not self.record.done():
            await asyncio.wait({self.record})


class Waiter:
    """Somebody who waits for one more change, until a deadline."""

    __slots__ = ("change", "deadline_at")

    def __init__(self, deadline_at: float) -> None:
        self.change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.deadline_at: float = deadline_at

    def settle(self, error: Exception | None) -> None:
        """End the wait, with an error or with a change; only the first counts."""
        if self.change.done():
            return
        if error is None:
            self.change.set_result(None)
        else:
            self.change.set_exception(error)


class Watches:
    """The watches that somebody has, by either id; one that nobody has any more is forgotten."""

    def __init__(self) -> None:
        self._by_task_id: WeakValueDictionary[str, Watch] = WeakValueDictionary()
        self._by_external_id: WeakValueDictionary[str, Watch] = WeakValueDictionary()

    def find(self, task_id: str | None, external_task_id: str | None) -> Watch | None:
        """The watch of a task by what is known of it."""
        return self._by_task_id.get(task_id or "") or self._by_external_id.get(
            external_task_id or ""
        )

    def register(self, watch: Watch) -> None:
        """Have it found by its ids."""
        if watch.task_id is not None:
            self._by_task_id[watch.task_id] = watch
        if watch.external_task_id is not None:
            self._by_external_id[watch.external_task_id] = watch

    def complete(self, watch: Watch, task_id: str | None, external_task_id: str | None) -> None:
        """Add an id that was not known before."""
        if watch.task_id is None or watch.external_task_id is None:
            watch.task_id = watch.task_id or task_id
            watch.external_task_id = watch.external_task_id or external_task_id
            self.register(watch)
