"""Many effects as one run: ids that make the same batch the same jobs, and outcomes that stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from pathlib import Path

from kling_effects_async.effects import Effect
from kling_effects_async.engine import Engine
from kling_effects_async.flow import flow, lazily
from kling_effects_async.outcomes import Done, Failed, Outcome
from kling_effects_async.waiting.task import EffectTask

__all__ = ["handles", "outcomes"]

# Images that are read and hashed while every place is taken, so that none stays free for that.
_LOOK_AHEAD = 8


async def outcomes(
    engine: Engine,
    effects: Iterable[Effect] | AsyncIterable[Effect],
    *,
    run: str | None,
    ordered: bool,
    folder: Path | None,
) -> AsyncIterator[Outcome]:
    """See ``EffectsClient.run_many``."""
    slots = (await engine.account()).slots
    target = None if folder is None else str(await asyncio.to_thread(folder.absolute))

    async def see_through(effect: Effect) -> Outcome:
        external_task_id = ""
        try:
            job = await engine.job(effect, run=run, download_to=target)
            external_task_id = job.external_task_id
            watch = await engine.submit(job, effect)
            result = await engine.handle(watch).result()
            path = None if folder is None else await engine.bring_home(job, result, folder)
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(effect=effect, external_task_id=external_task_id, error=error)
        return Done(effect=effect, external_task_id=external_task_id, result=result, path=path)

    with slots.watched() as wake:
        async for outcome in flow(
            lazily(effects),
            see_through,
            room=lambda: slots.size + _LOOK_AHEAD,
            wake=wake,
            ordered=ordered,
        ):
            yield outcome


async def handles(
    engine: Engine, effects: Iterable[Effect] | AsyncIterable[Effect], *, run: str | None
) -> AsyncIterator[EffectTask | Failed]:
    """See ``EffectsClient.submit_many``."""
    slots = (await engine.account()).slots

    async def submit(effect: Effect) -> EffectTask | Failed:
        external_task_id = ""
        try:
            job = await engine.job(effect, run=run)
            external_task_id = job.external_task_id
            return engine.handle(await engine.submit(job, effect))
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(effect=effect, external_task_id=external_task_id, error=error)

    with slots.watched() as wake:
        async for handle in flow(
            lazily(effects),
            submit,
            room=lambda: max(0, slots.size - slots.running) + _LOOK_AHEAD,
            wake=wake,
        ):
            yield handle
