"""Many effects as one run: ids that make the same batch the same jobs, and outcomes that stream.

What is no effect is a mistake of the program and no outcome: it raises ``TypeError``, at the call
where the source is a list or the like, and otherwise as soon as a lazy source yields it.
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

__all__ = ["check_effects", "outcomes", "tasks"]

# Images that are read and hashed while every slot is taken, so that a slot that becomes free is
# taken at once.
_PREPARED_AHEAD = 8
# A task that has ended needs no slot, so others are submitted while its video is downloaded. But a
# disk or a connection that is slower than the account has to slow the run down in the end.
_MAX_DOWNLOADS = 64

# To iterate over these uses nothing up, so all their effects are checked at the call.
_COLLECTIONS = (list, tuple, set, frozenset, dict)


def check_effects(effects: object, *, call: str) -> None:
    """Reject what is no source of effects; nothing is drawn from a lazy one.

    Args:
        call: the method that was called, such as "run_many".

    Raises:
        TypeError: names what to pass instead.
    """
    mistake = _mistake(effects)
    if mistake is not None:
        raise TypeError(
            f"{call} takes effects, such as [SingleImageEffect('squish', image=path), ...], "
            f"not {mistake}"
        )
    if isinstance(effects, _COLLECTIONS):
        for effect in effects:
            check_effect(effect, call=call)


def _mistake(effects: object) -> str | None:
    if isinstance(effects, (SingleImageEffect, DualImageEffect)):
        return "one effect: put it into a list, or use run()"
    if inspect.iscoroutine(effects):
        effects.close()  # otherwise Python warns that it was never awaited, beside our error
        return "a coroutine: await it, or yield the effects from it"
    if inspect.isroutine(effects):
        return "a function: call it"
    is_iterable = isinstance(effects, (Iterable, AsyncIterable)) or hasattr(effects, "__getitem__")
    if isinstance(effects, (str, bytes, bytearray)) or not is_iterable:
        return type(effects).__name__
    return None


def _checked(
    effects: Iterable[Effect] | AsyncIterable[Effect], *, call: str
) -> Iterable[Effect] | AsyncIterable[Effect]:
    """The same source; drawing what is no effect raises ``TypeError``."""
    check = partial(_checked_effect, call=call)
    return _Checked(effects, call) if isinstance(effects, AsyncIterable) else map(check, effects)


def _checked_effect(effect: Effect, *, call: str) -> Effect:
    check_effect(effect, call=call)
    return effect


class _Checked:
    def __init__(self, effects: AsyncIterable[Effect], call: str) -> None:
        self._iterator = aiter(effects)
        self._call = call

    def __aiter__(self) -> AsyncIterator[Effect]:
        return self

    async def __anext__(self) -> Effect:
        return _checked_effect(await anext(self._iterator), call=self._call)


async def outcomes(
    runtime: Runtime,
    effects: Iterable[Effect] | AsyncIterable[Effect],
    *,
    run: str | None,
    ordered: bool,
    folder: Path | None,
    share: str | None,
) -> AsyncGenerator[Outcome, None]:
    """See ``EffectsClient.run_many``."""
    slots = (await runtime.account()).slots
    listed = await runtime.earlier_tasks()
    # Absolute, because a process that reads the journal may have another working folder.
    target = None if folder is None else str(await asyncio.to_thread(folder.absolute))
    downloading = 0

    async def finish(effect: Effect) -> Outcome:
        nonlocal downloading
        external_task_id = ""
        try:
            prepared = await runtime.prepare(effect, run=run, download_to=target, share=share)
            external_task_id = prepared.job.external_task_id
            with observed.member():
                tracked = await runtime.submit(prepared, found=listed.get(external_task_id))
            result = await runtime.effect_task(tracked).result()
            path = None
            if folder is not None:
                downloading += 1
                changed.set()
                try:
                    path = await runtime.download_into(folder, prepared.job, result)
                finally:
                    downloading -= 1
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(effect=effect, external_task_id=external_task_id, error=error)
        return Done(effect=effect, external_task_id=external_task_id, result=result, path=path)

    def limit() -> int:
        return slots.size + _PREPARED_AHEAD + min(downloading, _MAX_DOWNLOADS)

    source = _checked(effects, call="run_many")
    with runtime.observer.run("run_many") as observed, slots.watched() as changed:
        async with aclosing(
            map_as_completed(
                source,
                finish,
                limit=limit,
                changed=changed,
                is_over=runtime.is_draining,
                ordered=ordered,
            )
        ) as finished:
            async for outcome in finished:
                yield outcome


async def tasks(
    runtime: Runtime,
    effects: Iterable[Effect] | AsyncIterable[Effect],
    *,
    run: str | None,
    share: str | None,
) -> AsyncGenerator[EffectTask | Failed, None]:
    """See ``EffectsClient.submit_many``."""
    slots = (await runtime.account()).slots
    listed = await runtime.earlier_tasks()

    async def submit(effect: Effect) -> EffectTask | Failed:
        external_task_id = ""
        try:
            prepared = await runtime.prepare(effect, run=run, share=share)
            external_task_id = prepared.job.external_task_id
            found = listed.get(external_task_id)
            with observed.member():
                tracked = await runtime.submit(prepared, found=found)
            return runtime.effect_task(tracked)
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(effect=effect, external_task_id=external_task_id, error=error)

    def limit() -> int:
        # Only submits count here: an accepted task is the caller's, but keeps its slot.
        return max(0, slots.size - slots.running) + _PREPARED_AHEAD

    source = _checked(effects, call="submit_many")
    with runtime.observer.run("submit_many") as observed, slots.watched() as changed:
        async with aclosing(
            map_as_completed(
                source, submit, limit=limit, changed=changed, is_over=runtime.is_draining
            )
        ) as accepted:
            async for task in accepted:
                yield task
