"""Many effects as one run: ids that make the same batch the same jobs, and outcomes that stream.

What is no effect is the caller's mistake and no outcome: ``TypeError``, at the call where that can
be seen without drawing from a lazy source, and otherwise as soon as it is drawn.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing
from functools import partial
from pathlib import Path

from kling_effects_async.concurrency import map_as_completed
from kling_effects_async.effects import (
    DualImageEffect,
    Effect,
    SingleImageEffect,
    check_effect,
)
from kling_effects_async.outcomes import Done, Failed, Outcome
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.runtime import Runtime

__all__ = ["check_effects", "handles", "outcomes"]

# Images that are read and hashed while every slot is taken, so that none stays free for that.
_LOOK_AHEAD = 8
# Ended tasks whose videos are still to come need no slot, so others take theirs; but a disk or a
# line that is too slow for the account must hold the run up at some point.
_FETCHED_AT_MOST = 64

# Sources that can be looked through at once: to iterate over them makes and uses up nothing.
_HELD_IN_MEMORY = (list, tuple, set, frozenset, dict)


def check_effects(effects: object, *, taker: str) -> None:
    """Say at once that something is no source of effects; nothing is drawn from a lazy one.

    Raises:
        TypeError: says what to pass instead.
    """
    mistake = _mistake(effects)
    if mistake is not None:
        raise TypeError(
            f"{taker} takes effects, such as [SingleImageEffect('squish', image=path), ...], "
            f"not {mistake}"
        )
    if isinstance(effects, _HELD_IN_MEMORY):
        for effect in effects:
            check_effect(effect, taker=taker)


def _mistake(effects: object) -> str | None:
    if isinstance(effects, (SingleImageEffect, DualImageEffect)):
        return "one effect: put it into a list, or use run()"
    if inspect.iscoroutine(effects):
        effects.close()  # so that Python does not complain a second time
        return "a coroutine: await it, or yield the effects from it"
    if inspect.isroutine(effects):
        return "a function: call it"
    is_iterable = isinstance(effects, (Iterable, AsyncIterable)) or hasattr(effects, "__getitem__")
    if isinstance(effects, (str, bytes, bytearray)) or not is_iterable:
        return type(effects).__name__
    return None


def _checked(
    effects: Iterable[Effect] | AsyncIterable[Effect], *, taker: str
) -> Iterable[Effect] | AsyncIterable[Effect]:
    """The same source; drawing what is no effect raises ``TypeError``."""
    check = partial(_checked_effect, taker=taker)
    return _Checked(effects, taker) if isinstance(effects, AsyncIterable) else map(check, effects)


def _checked_effect(effect: Effect, *, taker: str) -> Effect:
    check_effect(effect, taker=taker)
    return effect


class _Checked:
    def __init__(self, effects: AsyncIterable[Effect], taker: str) -> None:
        self._iterator = aiter(effects)
        self._taker = taker

    def __aiter__(self) -> AsyncIterator[Effect]:
        return self

    async def __anext__(self) -> Effect:
        return _checked_effect(await anext(self._iterator), taker=self._taker)


async def outcomes(
    runtime: Runtime,
    effects: Iterable[Effect] | AsyncIterable[Effect],
    *,
    run: str | None,
    ordered: bool,
    folder: Path | None,
) -> AsyncGenerator[Outcome, None]:
    """See ``EffectsClient.run_many``."""
    slots = (await runtime.account()).slots
    earlier = await runtime.earlier_tasks()
    target = None if folder is None else str(await asyncio.to_thread(folder.absolute))
    fetching = 0

    async def finish(effect: Effect) -> Outcome:
        nonlocal fetching
        external_task_id = ""
        try:
            plan = await runtime.prepare(effect, run=run, download_to=target)
            external_task_id = plan.job.external_task_id
            tracked = await runtime.submit(plan, found=earlier.get(external_task_id))
            result = await runtime.effect_task(tracked).result()
            path = None
            if folder is not None:
                fetching += 1
                wake.set()
                try:
                    path = await runtime.download_into(folder, plan.job, result)
                finally:
                    fetching -= 1
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(effect=effect, external_task_id=external_task_id, error=error)
        return Done(effect=effect, external_task_id=external_task_id, result=result, path=path)

    def room() -> int:
        return slots.size + _LOOK_AHEAD + min(fetching, _FETCHED_AT_MOST)

    source = _checked(effects, taker="run_many")
    with slots.watched() as wake:
        async with aclosing(
            map_as_completed(source, finish, limit=room, changed=wake, ordered=ordered)
        ) as finished:
            async for outcome in finished:
                yield outcome


async def handles(
    runtime: Runtime, effects: Iterable[Effect] | AsyncIterable[Effect], *, run: str | None
) -> AsyncGenerator[EffectTask | Failed, None]:
    """See ``EffectsClient.submit_many``."""
    slots = (await runtime.account()).slots
    earlier = await runtime.earlier_tasks()

    async def submit(effect: Effect) -> EffectTask | Failed:
        external_task_id = ""
        try:
            plan = await runtime.prepare(effect, run=run)
            external_task_id = plan.job.external_task_id
            return runtime.effect_task(
                await runtime.submit(plan, found=earlier.get(external_task_id))
            )
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(effect=effect, external_task_id=external_task_id, error=error)

    def room() -> int:
        return max(0, slots.size - slots.running) + _LOOK_AHEAD

    source = _checked(effects, taker="submit_many")
    with slots.watched() as wake:
        async with aclosing(map_as_completed(source, submit, limit=room, changed=wake)) as accepted:
            async for handle in accepted:
                yield handle
