"""A limit in units: what was spent, what is running, and what one more task would cost.

What a task will cost is told by nobody beforehand, so the dearest of the scene's recent ones
counts.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

from kling_effects_async.errors import BudgetExceededError
from kling_effects_async.spending.job import Job
from kling_effects_async.spending.store import JobStore

__all__ = ["Budget"]

# A scene nobody paid for yet. Source: the dearer of the two prices of a third party's set, divided
# by the list price of a unit (0.49 and 0.14 USD, 2025).
_UNKNOWN_UNITS = Decimal("3.5")


class Budget:
    """Refuses a job that could pass the limit; ``None`` never does."""

    def __init__(self, limit_units: Decimal | None, store: JobStore) -> None:
        self._limit = limit_units
        self._store = store
        self._running: dict[str, Decimal] = {}
        self._untold = Decimal(0)
        self._lock = asyncio.Lock()

    async def reserve(self, job: Job) -> None:
        """Set aside what the job is likely to cost.

        Raises:
            BudgetExceededError: it could pass the limit; nothing was sent.
        """
        if self._limit is None:
            return
        async with self._lock:  # or two jobs would both fit into the last of it
            expected = await self._expected(job)
            spent = await self._store.units_spent(job.account) + self._untold
            running = sum(self._running.values(), Decimal(0))
            if spent + running + expected > self._limit:
                raise BudgetExceededError(
                    scene=job.scene,
                    limit_units=self._limit,
                    spent_units=spent,
                    running_units=running,
                    expected_units=expected,
                )
            self._running[job.external_task_id] = expected

    async def hold(self, job: Job) -> None:
        """Set aside for a task that runs already, whatever the limit."""
        if self._limit is not None:
            self._running[job.external_task_id] = await self._expected(job)

    def release(self, job: Job) -> None:
        """The job was not accepted."""
        self._running.pop(job.external_task_id, None)

    def settle(self, job: Job, units: Decimal | None) -> None:
        """The task ended; where the service does not tell its cost, what was expected counts."""
        expected = self._running.pop(job.external_task_id, Decimal(0))
        if units is None:
            self._untold += expected

    async def _expected(self, job: Job) -> Decimal:
        typical = await self._store.typical_units(job.account, job.scene)
        return _UNKNOWN_UNITS if typical is None else typical
