"""Where jobs are written down: what the engine needs of a journal, and one that only remembers.

Without a journal the same rules hold for as long as the process lives.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from attrs import evolve

from kling_effects_async.errors import IdempotencyConflictError, JournalError
from kling_effects_async.spending.job import FOLLOWERS, OPEN, Job, JobState

__all__ = ["JobStore", "MemoryStore"]

# Ended jobs are remembered for conflicts of external ids, but not for ever.
_ENDED_KEPT = 10_000


class JobStore(Protocol):
    """See ``Journal`` for what each of these promises."""

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
    ) -> None: ...

    def jobs(
        self,
        *,
        account: str | None = None,
        states: Collection[JobState] | None = None,
        run: str | None = None,
    ) -> AsyncIterator[Job]: ...

    async def known_task(self, account: str) -> Job | None: ...

    async def units_spent(self, account: str) -> Decimal: ...

    async def typical_units(self, account: str, scene: str) -> Decimal | None: ...

    async def memo(self, kind: str, key: str) -> str | None: ...

    async def set_memo(self, kind: str, key: str, text: str) -> None: ...


class MemoryStore:
    """The jobs of this process, in memory."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._jobs: dict[tuple[str, str], Job] = {}
        self._known: dict[str, Job] = {}
        self._spent: dict[str, Decimal] = {}
        self._typical: dict[tuple[str, str], Decimal] = {}
        self._memos: dict[tuple[str, str], str] = {}

    async def add(self, job: Job) -> Job:
        held = self._jobs.setdefault((job.account, job.external_task_id), job)
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
        told = {
            "task_id": task_id,
            "message": message,
            "units": units,
            "result": result,
            "path": path,
        }
        told = {name: value for name, value in told.items() if value is not None}
        job = evolve(held, state=to, updated_at=self._now(), **told)  # type: ignore[arg-type]  # the names above are the members
        self._jobs[account, external_task_id] = job
        self._learn(held, job)

    async def jobs(
        self,
        *,
        account: str | None = None,
        states: Collection[JobState] | None = None,
        run: str | None = None,
    ) -> AsyncIterator[Job]:
        for job in list(self._jobs.values()):
            is_wanted = account in (None, job.account) and run in (None, job.run)
            if is_wanted and (states is None or job.state in states):
                yield job

    async def known_task(self, account: str) -> Job | None:
        return self._known.get(account)

    async def units_spent(self, account: str) -> Decimal:
        return self._spent.get(account, Decimal(0))

    async def typical_units(self, account: str, scene: str) -> Decimal | None:
        return self._typical.get((account, scene))

    async def memo(self, kind: str, key: str) -> str | None:
        return self._memos.get((kind, key))

    async def set_memo(self, kind: str, key: str, text: str) -> None:
        self._memos[kind, key] = text

    def _learn(self, before: Job, job: Job) -> None:
        if job.task_id is not None:
            self._known[job.account] = job
        if job.units is not None and before.units is None:
            self._spent[job.account] = self._spent.get(job.account, Decimal(0)) + job.units
            key = (job.account, job.scene)
            self._typical[key] = max(job.units, self._typical.get(key, Decimal(0)))
        if job.state not in OPEN and len(self._jobs) > _ENDED_KEPT:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        ended = (key for key, job in self._jobs.items() if job.state not in OPEN)
        oldest = next(ended, None)
        if oldest is not None:
            del self._jobs[oldest]
