"""Where jobs are written down: what the engine needs of a journal, and one that only remembers.

Without a journal the same rules hold while the client lives, for all open jobs and the last 10,000
that ended.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from attrs import evolve

from kling_effects_async.errors import IdempotencyConflictError, JournalError
from kling_effects_async.spending.budget import (
    FREE,
    TYPICAL_OF,
    Committed,
    check_budget,
    expected_cost,
    kind_of_cost,
)
from kling_effects_async.spending.job import FOLLOWERS, Job, JobState, has_work_left
from kling_effects_async.spending.turns import Turn, Turns

__all__ = ["JobStore", "MemoryStore"]

# Ended jobs are remembered for conflicts of external ids, but not for ever.
_ENDED_KEPT = 10_000


class JobStore(Protocol):
    """See ``Journal`` for what each of these promises."""

    @property
    def misses_rows(self) -> bool: ...

    def turn_of(self, account: str, external_task_id: str) -> Turn: ...

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
        is_absent: bool = False,
        budget_units: Decimal | None = None,
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

    async def committed(self, account: str) -> Committed: ...

    async def typical_units(self, account: str, scene: str) -> Decimal | None: ...

    async def memo(self, kind: str, key: str) -> str | None: ...

    async def set_memo(self, kind: str, key: str, text: str) -> None: ...


class MemoryStore:
    """The jobs of this process, in memory."""

    misses_rows: bool = False

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._jobs: dict[tuple[str, str], _Remembered] = {}
        self._ended: dict[tuple[str, str], None] = {}  # oldest first
        self._known: dict[str, _Remembered] = {}
        self._costs: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(
            lambda: defaultdict(Decimal)
        )
        self._recent: defaultdict[tuple[str, str], deque[Decimal]] = defaultdict(
            lambda: deque(maxlen=TYPICAL_OF)
        )
        self._memos: dict[tuple[str, str], str] = {}
        self._turns = Turns()

    def turn_of(self, account: str, external_task_id: str) -> Turn:
        return self._turns.of(account, external_task_id)

    async def add(self, job: Job) -> Job:
        key = (job.account, job.external_task_id)
        if key not in self._jobs:
            self._jobs[key] = _Remembered(job)
            self._count(self._jobs[key], 1)
        held = self._jobs[key].job
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
        is_absent: bool = False,
        budget_units: Decimal | None = None,
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
        is_told_now = units is not None and held.units is None
        expected, earlier = self._costs_after(held, to, is_absent, budget_units)
        self._count(held, -1)
        held.expected_units, held.earlier_units = expected, earlier
        held.has_moved = True
        held.state, held.updated_at = to, self._now()
        held.task_id = held.task_id if task_id is None else task_id
        held.message = held.message if message is None else message
        held.units = held.units if units is None else units
        held.result = held.result if result is None else result
        held.path = held.path if path is None else path
        held.was_sent = held.was_sent or was_sent
        self._count(held, 1)
        if is_told_now and units is not None and to is not JobState.FAILED:
            self._recent[account, held.plan.scene].append(units)
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

    async def committed(self, account: str) -> Committed:
        return self._committed(account)

    async def typical_units(self, account: str, scene: str) -> Decimal | None:
        return self._typical(account, scene)

    async def memo(self, kind: str, key: str) -> str | None:
        return self._memos.get((kind, key))

    async def set_memo(self, kind: str, key: str, text: str) -> None:
        self._memos[kind, key] = text

    def _committed(self, account: str) -> Committed:
        return Committed(**self._costs[account])

    def _typical(self, account: str, scene: str) -> Decimal | None:
        return max(self._recent.get((account, scene), ()), default=None)

    def _costs_after(
        self, held: _Remembered, to: JobState, is_absent: bool, limit: Decimal | None
    ) -> tuple[Decimal | None, Decimal | None]:
        """What is expected of the job's task, and of its earlier submits, once it is moved."""
        job, earlier = held.plan, held.earlier_units
        if to is JobState.SUBMITTING and held.state is JobState.PLANNED:
            expected = expected_cost(self._typical(job.account, job.scene))
            check_budget(job.scene, self._committed(job.account), expected, limit)
            return expected, earlier
        if to is held.state or to not in FREE:
            return held.expected_units, earlier
        if to is JobState.PLANNED and held.state is JobState.UNCERTAIN and not is_absent:
            earlier = (held.expected_units or Decimal(0)) + (earlier or Decimal(0))
        return None, earlier

    def _count(self, held: _Remembered, times: int) -> None:
        """Add what the job costs, or take it out again."""
        sums = self._costs[held.plan.account]
        cost = held.expected_units if held.units is None else held.units
        sums[kind_of_cost(held.state, held.units)] += times * (cost or Decimal(0))
        sums["untold"] += times * (held.earlier_units or Decimal(0))

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
        "earlier_units",
        "expected_units",
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
        self.expected_units: Decimal | None = plan.expected_units
        self.earlier_units: Decimal | None = plan.earlier_units
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
            expected_units=self.expected_units,
            earlier_units=self.earlier_units,
            result=self.result,
            path=self.path,
            updated_at=self.updated_at,
            was_sent=self.was_sent,
        )
