"""Where jobs are written down: what the engine needs of a journal, and an in-memory one.

Without a journal the same rules hold while the client lives, for all open jobs and the last 10,000
that ended.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from attrs import evolve

from kling_effects_async.errors import IdempotencyConflictError, JournalError
from kling_effects_async.journal.budget import (
    FREE,
    RECENT,
    Committed,
    check_budget,
    expected_cost,
    kind_of_cost,
)
from kling_effects_async.journal.job import (
    Job,
    JobState,
    JobUpdate,
    apply,
    check_update,
    has_work_left,
)
from kling_effects_async.journal.turns import Turn, Turns
from kling_effects_async.journal.used_names import UsedNames

__all__ = ["JobStore", "MemoryStore"]

# Ended jobs are remembered for conflicts of external ids, but not for ever.
_ENDED_KEPT = 10_000


class JobStore(Protocol):
    """See ``SqliteStore`` and ``Journal`` for what each of these promises."""

    @property
    def misses_rows(self) -> bool: ...

    def turn_of(self, account: str, external_task_id: str) -> Turn: ...

    async def add(self, job: Job) -> Job: ...

    async def add_named(self, job: Job, wished: str) -> Job: ...

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None: ...

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

    async def recent_units(self, account: str, scene: str) -> tuple[Decimal, Decimal] | None: ...

    async def memo(self, kind: str, key: str) -> str | None: ...

    async def set_memo(self, kind: str, key: str, text: str) -> None: ...


class MemoryStore:
    """The jobs of this process, in memory."""

    misses_rows: bool = False

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._jobs: dict[tuple[str, str], Job] = {}
        # A dict for its order, oldest first: a job that is submitted again leaves it in one step.
        self._ended: dict[tuple[str, str], None] = {}
        self._known: dict[str, Job] = {}
        self._costs: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(
            lambda: defaultdict(Decimal)
        )
        self._recent: defaultdict[tuple[str, str], deque[Decimal]] = defaultdict(
            lambda: deque(maxlen=RECENT)
        )
        self._memos: dict[tuple[str, str], str] = {}
        self._turns = Turns()
        self._names = UsedNames()

    def turn_of(self, account: str, external_task_id: str) -> Turn:
        return self._turns.of(account, external_task_id)

    async def add(self, job: Job) -> Job:
        key = (job.account, job.external_task_id)
        held = self._jobs.get(key)
        if held is None:
            held = self._jobs[key] = job
            self._count(job, 1)
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

    async def add_named(self, job: Job, wished: str) -> Job:
        folder = job.download_to or ""
        key = (job.account, job.external_task_id)
        async with self._turns.of("", f"names in {folder}"):  # they are given as the calls come
            held = await self.add(job)
            if held.clip_name is not None and held.download_to == folder:
                return held
            wished = held.clip_name or wished
            name = await asyncio.to_thread(self._names.name_of, "\n".join(key), folder, wished)
        held = self._held(key)  # it may have moved meanwhile
        named = evolve(held, download_to=folder, clip_name=name)
        self._replace(held, named)
        return named

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        key = (account, external_task_id)
        held = self._held(key)
        check_update(held, update)
        # No await from here to the end: two submits must not both fit into the rest of a budget.
        expected, earlier = self._costs_after(held, update)
        moved = apply(held, update, at=self._now())
        if (expected, earlier) != (held.expected_units, held.earlier_units):
            moved = evolve(moved, expected_units=expected, earlier_units=earlier)
        self._replace(held, moved)

    def _replace(self, held: Job, moved: Job) -> None:
        """Keep the job as it is now, with all that is derived from it."""
        key = (moved.account, moved.external_task_id)
        self._count(held, -1)
        self._count(moved, 1)
        self._jobs[key] = moved
        is_reported_now = moved.units is not None and held.units is None
        if is_reported_now and moved.units is not None and moved.state is not JobState.FAILED:
            self._recent[moved.account, moved.scene].append(moved.units)
        if moved.task_id is not None:
            self._known[moved.account] = moved
        self._ended.pop(key, None)  # it may be submitted again
        if not has_work_left(moved.state, moved.download_to):
            self._ended[key] = None
            self._drop_oldest()

    def _held(self, key: tuple[str, str]) -> Job:
        held = self._jobs.get(key)
        if held is None:
            raise JournalError(f"there is no job {key[1]!r}")
        return held

    async def jobs(
        self,
        *,
        account: str | None = None,
        states: Collection[JobState] | None = None,
        run: str | None = None,
    ) -> AsyncIterator[Job]:
        for job in list(self._jobs.values()):  # a copy: jobs are added while the caller has one
            is_wanted = account in (None, job.account) and run in (None, job.run)
            if is_wanted and (states is None or job.state in states):
                yield job

    async def elsewhere(self, account: str, states: Collection[JobState]) -> int:
        return sum(job.account != account and job.state in states for job in self._jobs.values())

    async def find(self, name: str) -> list[Job]:
        return [job for job in self._jobs.values() if name in (job.task_id, job.external_task_id)]

    async def known_task(self, account: str) -> Job | None:
        return self._known.get(account)

    async def committed(self, account: str) -> Committed:
        return self._committed(account)

    async def recent_units(self, account: str, scene: str) -> tuple[Decimal, Decimal] | None:
        return self._recent_units(account, scene)

    async def memo(self, kind: str, key: str) -> str | None:
        return self._memos.get((kind, key))

    async def set_memo(self, kind: str, key: str, text: str) -> None:
        self._memos[kind, key] = text

    def _committed(self, account: str) -> Committed:
        return Committed(**self._costs[account])

    def _recent_units(self, account: str, scene: str) -> tuple[Decimal, Decimal] | None:
        costs = self._recent.get((account, scene))
        return (min(costs), max(costs)) if costs else None

    def _costs_after(self, held: Job, update: JobUpdate) -> tuple[Decimal | None, Decimal | None]:
        """What is expected of the job's task, and of its earlier submits, once it is moved."""
        earlier = held.earlier_units
        if update.to is JobState.SUBMITTING and held.state is JobState.PLANNED:
            expected = expected_cost(self._recent_units(held.account, held.scene))
            check_budget(held.scene, self._committed(held.account), expected, update.budget_units)
            return expected, earlier
        if update.to is held.state or update.to not in FREE:
            return held.expected_units, earlier
        is_unknown = held.state is JobState.UNCERTAIN and not update.is_absent
        if update.to is JobState.PLANNED and is_unknown:
            earlier = (held.expected_units or Decimal(0)) + (earlier or Decimal(0))
        return None, earlier

    def _count(self, job: Job, times: int) -> None:
        """Add what the job costs, or take it out again."""
        sums = self._costs[job.account]
        cost = job.expected_units if job.units is None else job.units
        sums[kind_of_cost(job.state, job.units)] += times * (cost or Decimal(0))
        sums["untold"] += times * (job.earlier_units or Decimal(0))

    def _drop_oldest(self) -> None:
        while len(self._ended) > _ENDED_KEPT:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            del self._jobs[oldest]
