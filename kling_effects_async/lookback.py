"""The jobs of a client's account, as its journal or its memory holds them; no request is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection

from kling_effects_async.journal.job import Job, JobState
from kling_effects_async.runtime import Runtime
from kling_effects_async.stats import Budget

__all__ = ["budget", "job", "jobs"]


async def jobs(
    runtime: Runtime, *, states: Collection[JobState] | None, run: str | None, scene: str | None
) -> AsyncGenerator[Job, None]:
    """The account's jobs in the order they were added."""
    account = await runtime.account()
    async for held in account.store.jobs(account=account.name, states=states, run=run):
        if scene in (None, held.scene):
            yield held


async def job(runtime: Runtime, external_task_id: str) -> Job | None:
    """The account's job under this id, if there is one."""
    account = await runtime.account()
    for held in await account.store.find(external_task_id):
        if (held.account, held.external_task_id) == (account.name, external_task_id):
            return held
    return None


async def budget(runtime: Runtime) -> Budget:
    """What the account's jobs cost, and may still cost."""
    account = await runtime.account()
    committed = await account.store.committed(account.name)
    return Budget(
        limit_units=runtime.budget_units,
        spent_units=committed.spent,
        running_units=committed.running,
        unsettled_units=committed.unsettled,
    )
