"""Where jobs are written down: what the engine needs of a journal, and one that only remembers.

Without a journal the same rules hold while the client lives, for all open jobs and the last 10,000
that ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from attrs import evolve

from kling_effects_async.errors import IdempotencyConflictError, JournalError
from kling_effects_async.spending.job import FOLLOWERS, Job, JobState, has_work_left

__all__ = ["JobStore", "MemoryStore"]

# Ended jobs are remembered for conflicts of external ids, but not for ever.
_ENDED_KEPT = 10_000


class JobStore(Protocol):
    """See ``Journal`` for what each of these promises."""

    @property
    def misses_rows(self) -> bool: ...

    async def add(self, job: Job) -> Job: ...

    async def move(
        self,
        account: str,
        external_task_id: str,
        to: JobState,
        *,
        note: str = "",
        task_id: str | None = None,
        message: str | None = None,
        units: Decimal | None = None,
        result: str | None = None,
        path: str | None = None,
        was_sent: bool = False,
    ) -> None: ...

    def jobs(
        self,
        *,
        account: str | None = None,
        states: Collection[JobState] | None = None,
        run: str | None = None,
    ) -> AsyncIterator[Job]: ...

    async def elsewhere(self, account: str, states: Collection[JobState]) -> int: ...

    async def find(self, name: str) -> list[Job]: ...

    async def known_task(self, account: str) -> Job | None: ...

    async def units_spent(self, account: str) -> Decimal: ...

    async def typical_units(self, account: str, scene: str) -> Decimal | None: ...

    async def memo(self, kind: str, key: str) -> str | None: ...

    async def set_memo(self, kind: str, key: str, text: str) -> None: ...


class MemoryStore:
    """The jobs of this process, in memory."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._jobs: dict[tuple[str, str], _Remembered] = {}
        self._ended: dict[tuple[str, str], None] = {}  # oldest first
        self._known: dict[str, _Remembered] = {}
        self._spent: dict[str, Decimal] = {}
        self._typical: dict[tuple[str, str], Decimal] = {}
        self._memos: dict[tuple[str, str], str] = {}

    @property
    def misses_rows(self) -> bool:
        return False  # what earlier processes knew was never promised here

    async def add(self, job: Job) -> Job:
        held = self._jobs.setdefault((job.account, job.external_task_id), _Remembered(job)).job
        differs = [
            name
            for name, ours, theirs in (
                ("scene", held.scene, job.scene),
                ("content", held.fingerprint, job.fingerprint),
            )
            if ours != theirs
        ]
        if differs:
            raise IdempotencyConflictError(external_task_id=job.external_task_id, differs=differs)
        return held

    async def move(
        self,
        account: str,
        external_task_id: str,
        to: JobState,
        *,
        note: str = "",
        task_id: str | None = None,
        message: str | None = None,
        units: Decimal | None = None,
        result: str | None = None,
        path: str | None = None,
        was_sent: bool = False,
    ) -> None:
        held = self._jobs.get((account, external_task_id))
        if held is None:
            raise JournalError(f"there is no job {external_task_id!r}")
        if task_id is not None and held.task_id not in (None, task_id):
            raise JournalError(
                f"job {external_task_id!r} has task {held.task_id} and cannot get task {task_id} "
                "as well: both may be charged; look at both"
            )
        if to is not held.state and to not in FOLLOWERS[held.state]:
            raise JournalError(f"job {external_task_id!r} cannot go from {held.state} to {to}")
        if units is not None and held.units is None:
            self._learn_units(held.plan, units)
        held.has_moved = True
        held.state, held.updated_at = to, self._now()
        held.task_id = held.task_id if task_id is None else task_id
        held.message = held.message if message is None else message
        held.units = held.units if units is None else units
        held.result = held.result if result is None else result
        held.path = held.path if path is None else path
        held.was_sent = held.was_sent or was_sent
        if held.task_id is not None:
            self._known[account] = held
        self._ended.pop((account, external_task_id), None)  # it may be asked for again
        if not has_work_left(to, held.plan.download_to):
            self._ended[account, external_task_id] = None
            self._forget_oldest()

    async def jobs(
        self,
        *,
        account: str | None = None,
        states: Collection[JobState] | None = None,
        run: str | None = None,
    ) -> AsyncIterator[Job]:
        for held in list(self._jobs.values()):
            is_wanted = account in (None, held.plan.account) and run in (None, held.plan.run)
            if is_wanted and (states is None or held.state in states):
                yield held.job

    async def elsewhere(self, account: str, states: Collection[JobState]) -> int:
        return sum(
            held.plan.account != account and held.state in states for held in self._jobs.values()
        )

    async def find(self, name: str) -> list[Job]:
        names = ((held, (held.task_id, held.plan.external_task_id)) for held in self._jobs.values())
        return [held.job for held, either in names if name in either]

    async def known_task(self, account: str) -> Job | None:
        known = self._known.get(account)
        return None if known is None else known.job

    async def units_spent(self, account: str) -> Decimal:
        return self._spent.get(account, Decimal(0))

    async def typical_units(self, account: str, scene: str) -> Decimal | None:
        return self._typical.get((account, scene))

    async def memo(self, kind: str, key: str) -> str | None:
        return self._memos.get((kind, key))

    async def set_memo(self, kind: str, key: str, text: str) -> None:
        self._memos[kind, key] = text

    def _learn_units(self, job: Job, units: Decimal) -> None:
        self._spent[job.account] = self._spent.get(job.account, Decimal(0)) + units
        key = (job.account, job.scene)
        self._typical[key] = max(units, self._typical.get(key, Decimal(0)))

    def _forget_oldest(self) -> None:
        while len(self._ended) > _ENDED_KEPT:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            del self._jobs[oldest]


class _Remembered:
    """A job as it was planned, and what it has come to since.

    The two are put together only for who asks: most jobs of a batch are never asked for.
    """

    __slots__ = (
        "has_moved",
        "message",
        "path",
        "plan",
        "result",
        "state",
        "task_id",
        "units",
        "updated_at",
        "was_sent",
    )

    def __init__(self, plan: Job) -> None:
        self.plan = plan
        self.has_moved: bool = False
        self.state: JobState = plan.state
        self.task_id: str | None = plan.task_id
        self.message: str = plan.message
        self.units: Decimal | None = plan.units
        self.result: str | None = plan.result
        self.path: str | None = plan.path
        self.updated_at: datetime = plan.updated_at
        self.was_sent: bool = plan.was_sent

    @property
    def job(self) -> Job:
        if not self.has_moved:
            return self.plan
        return evolve(
            self.plan,
            state=self.state,
            task_id=self.task_id,
            message=self.message,
            units=self.units,
            result=self.result,
            path=self.path,
            updated_at=self.updated_at,
            was_sent=self.was_sent,
        )
