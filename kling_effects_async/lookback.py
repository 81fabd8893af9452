"""The jobs of a client's account, as its journal or its memory holds them; no request is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping
from contextlib import contextmanager

from kling_effects_async.estimate import Estimate, estimate_of, estimate_scene
from kling_effects_async.journal.job import Job, JobState
from kling_effects_async.runtime import Runtime
from kling_effects_async.stats import Budget

__all__ = ["budget", "closing_told", "estimate", "job", "jobs", "stored_jobs"]


async def jobs(
    runtime: Runtime, *, states: Collection[JobState] | None, run: str | None, scene: str | None
) -> AsyncGenerator[Job, None]:
    """The account's jobs in the order they were added."""
    async for held in stored_jobs(runtime, states, run=run):
        if scene in (None, held.scene):
            yield held


async def stored_jobs(
    runtime: Runtime, states: Collection[JobState] | None, *, run: str | None = None
) -> AsyncIterator[Job]:
    """The same; the client, and so its journal, may be closed meanwhile.

    Raises:
        ClientClosedError: it was.
    """
    account = await runtime.account()
    with closing_told(runtime):
        async for held in account.store.jobs(account=account.name, states=states, run=run):
            yield held
            runtime.check_open()


@contextmanager
def closing_told(runtime: Runtime) -> Iterator[None]:
    """For reading the journal, where the client may be closed meanwhile.

    Raises:
        ClientClosedError: it was.
    """
    try:
        yield
    except RuntimeError:  # the journal is closed, or is the parent's of this forked process
        runtime.check_open()
        raise


async def job(runtime: Runtime, external_task_id: str) -> Job | None:
    """The account's job under this id, if there is one."""
    account = await runtime.account()
    return await account.job(external_task_id)


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


async def estimate(runtime: Runtime, scenes: Mapping[str, int]) -> Estimate:
    """What so many tasks of each scene are likely to cost, and to take."""
    account = await runtime.account()
    history = runtime.poller.history
    parts = [
        estimate_scene(
            scene,
            tasks,
            recent_units=await account.store.recent_units(account.name, scene),
            spread_s=history.spread(scene),
        )
        for scene, tasks in scenes.items()
    ]
    return estimate_of(parts, slots=account.slots.size)
