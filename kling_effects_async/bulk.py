"""Many effects as one run: ids that make the same batch the same jobs, and outcomes that stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from pathlib import Path

from kling_effects_async.effects import Effect
from kling_effects_async.engine import Engine
from kling_effects_async.flow import flow
from kling_effects_async.outcomes import Done, Failed, Outcome
from kling_effects_async.waiting.task import EffectTask

__all__ = ["handles", "outcomes"]

# Images that are read and hashed while every place is taken, so that none stays free for that.
_LOOK_AHEAD = 8
# Ended tasks whose videos are still to come need no place, so others take theirs; but a disk or a
# line that is too slow for the account must hold the run up at some point.
_FETCHED_AT_MOST = 64


async def outcomes(
    engine: Engine,
    effects: Iterable[Effect] | AsyncIterable[Effect],
    *,
    run: str | None,
    ordered: bool,
    folder: Path | None,
) -> AsyncGenerator[Outcome, None]:
    """See ``EffectsClient.run_many``."""
    slots = (await engine.account()).slots
    target = None if folder is None else str(await asyncio.to_thread(folder.absolute))
    fetching = 0

    async def see_through(effect: Effect) -> Outcome:
        nonlocal fetching
        external_task_id = ""
        try:
            plan = await engine.plan(effect, run=run, download_to=target)
            external_task_id = plan.job.external_task_id
            watch = await engine.submit(plan)
            result = await engine.handle(watch).result()
            path = None
            if folder is not None:
                fetching += 1
                wake.set()
                try:
                    path = await engine.bring_home(plan.job, result, folder)
                finally:
                    fetching -= 1
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(effect=effect, external_task_id=external_task_id, error=error)
        return Done(effect=effect, external_task_id=external_task_id, result=result, path=path)

    def room() -> int:
        return slots.size + _LOOK_AHEAD + min(fetching, _FETCHED_AT_MOST)

    with slots.watched() as wake:
        async with aclosing(
            flow(effects, see_through, room=room, wake=wake, ordered=ordered)
        ) as finished:
            async for outcome in finished:
                yield outcome


async def handles(
    engine: Engine, effects: Iterable[Effect] | AsyncIterable[Effect], *, run: str | None
) -> AsyncGenerator[EffectTask | Failed, None]:
    """See ``EffectsClient.submit_many``."""
    slots = (await engine.account()).slots

    async def submit(effect: Effect) -> EffectTask | Failed:
        external_task_id = ""
        try:
            plan = await engine.plan(effect, run=run)
            external_task_id = plan.job.external_task_id
            return engine.handle(await engine.submit(plan))
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(effect=effect, external_task_id=external_task_id, error=error)

    def room() -> int:
        return max(0, slots.size - slots.running) + _LOOK_AHEAD

    with slots.watched() as wake:
        async with aclosing(flow(effects, submit, room=room, wake=wake)) as accepted:
            async for handle in accepted:
                yield handle
