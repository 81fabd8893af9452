"""Many effects as one run: ids that make the same batch the same jobs, and outcomes that stream.

What is no effect is a mistake of the program and no outcome: it raises ``TypeError``, at the call
where the source is a list or the like, and otherwise as soon as a lazy source yields it.

Names of clips are chosen in the order of the source, though images are read side by side.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Coroutine,
    Iterable,
    Mapping,
)
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from attrs import evolve

from kling_effects_async.bulk_item import BulkItem
from kling_effects_async.clip_names import NameTemplate, clip_name
from kling_effects_async.concurrency import SourceOrder, map_as_completed
from kling_effects_async.downloading.file_names import as_text
from kling_effects_async.effects import (
    DualImageEffect,
    Effect,
    SingleImageEffect,
    check_effect,
)
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.outcomes import Done, Failed, Outcome
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.runtime import Runtime
from kling_effects_async.submitting.planning import PreparedJob

__all__ = ["Given", "check_effects", "outcomes", "tasks"]

Given: TypeAlias = Effect | BulkItem

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
            _checked_given(effect, call=call)


def _mistake(effects: object) -> str | None:
    if isinstance(effects, (SingleImageEffect, DualImageEffect, BulkItem)):
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
    effects: Iterable[Given] | AsyncIterable[Given], *, call: str
) -> Iterable[Given] | AsyncIterable[Given]:
    """The same source; drawing what is no effect raises ``TypeError``."""
    check = partial(_checked_given, call=call)
    return _Checked(effects, call) if isinstance(effects, AsyncIterable) else map(check, effects)


def _checked_given(given: Given, *, call: str) -> Given:
    if not isinstance(given, BulkItem):
        check_effect(given, call=call)
    return given


class _Checked:
    def __init__(self, effects: AsyncIterable[Given], call: str) -> None:
        self._iterator = aiter(effects)
        self._call = call

    def __aiter__(self) -> AsyncIterator[Given]:
        return self

    async def __anext__(self) -> Given:
        return _checked_given(await anext(self._iterator), call=self._call)


def _item_of(given: Given) -> BulkItem:
    return given if isinstance(given, BulkItem) else BulkItem(given)


class _ClipNames:
    """Names the clips of one run.

    Args:
        folder: the folder of the clips; ``None``: nothing is downloaded.
        template: how they are called; ``None``: by their tasks' ids.
        listed: tasks that the service has, by external id.
    """

    def __init__(
        self,
        runtime: Runtime,
        folder: Path | None,
        template: NameTemplate | None,
        listed: Mapping[str, TaskSnapshot],
    ) -> None:
        self._runtime = runtime
        self._folder = folder
        self._template = template
        self._listed = listed
        self.order: SourceOrder = SourceOrder()

    async def named(self, prepared: PreparedJob, item: BulkItem, place: int) -> PreparedJob:
        """The job with the name of its clip, chosen after those of all places before it."""
        external_task_id = prepared.job.external_task_id
        wished = self._wished(item, external_task_id, place)
        if wished is None or self._folder is None:
            return prepared
        await self.order.turn(place)
        # The next one goes on after this call has reached the store, which keeps the order.
        self.order.leave(place)
        is_paid = external_task_id in self._listed
        job = await self._runtime.named(prepared.job, wished, self._folder, is_paid=is_paid)
        return evolve(prepared, job=job)

    def _wished(self, item: BulkItem, external_task_id: str, place: int) -> str | None:
        if item.name is not None:
            return clip_name(item.name)
        if self._template is None:
            return None
        return self._template.clip_name(
            item.effect, external_task_id=external_task_id, index=place, stem=item.stem
        )


async def outcomes(
    runtime: Runtime,
    effects: Iterable[Given] | AsyncIterable[Given],
    *,
    run: str | None,
    ordered: bool,
    folder: Path | None,
    name: NameTemplate | None,
    share: str | None,
) -> AsyncGenerator[Outcome, None]:
    """See ``EffectsClient.run_many``."""
    slots = (await runtime.account()).slots
    listed = await runtime.earlier_tasks()
    # Absolute, because a process that reads the journal may have another working folder.
    target = None if folder is None else await asyncio.to_thread(as_text, folder)
    names = _ClipNames(runtime, folder, name, listed)
    downloading = 0

    async def finish(given: Given, place: int) -> Outcome:
        nonlocal downloading
        item = _item_of(given)
        external_task_id = item.external_task_id or ""
        try:
            prepared = await runtime.prepare(
                item.effect,
                item.external_task_id,
                run=run,
                download_to=target,
                share=share if item.share is None else item.share,
            )
            external_task_id = prepared.job.external_task_id
            prepared = await names.named(prepared, item, place)
            names.order.leave(place)
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
            return Failed(
                effect=item.effect, item=given, external_task_id=external_task_id, error=error
            )
        finally:
            names.order.leave(place)
        return Done(
            effect=item.effect,
            item=given,
            external_task_id=external_task_id,
            result=result,
            path=path,
        )

    def begin(given: Given) -> Coroutine[Any, Any, Outcome]:
        return finish(given, names.order.next_place())  # as it is drawn

    def limit() -> int:
        return slots.size + _PREPARED_AHEAD + min(downloading, _MAX_DOWNLOADS)

    source = _checked(effects, call="run_many")
    with runtime.observer.run("run_many") as observed, slots.watched() as changed:
        async with aclosing(
            map_as_completed(
                source,
                begin,
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
    effects: Iterable[Given] | AsyncIterable[Given],
    *,
    run: str | None,
    share: str | None,
) -> AsyncGenerator[EffectTask | Failed, None]:
    """See ``EffectsClient.submit_many``."""
    slots = (await runtime.account()).slots
    listed = await runtime.earlier_tasks()

    async def submit(given: Given) -> EffectTask | Failed:
        item = _item_of(given)
        external_task_id = item.external_task_id or ""
        try:
            prepared = await runtime.prepare(
                item.effect,
                item.external_task_id,
                run=run,
                share=share if item.share is None else item.share,
            )
            external_task_id = prepared.job.external_task_id
            found = listed.get(external_task_id)
            with observed.member():
                tracked = await runtime.submit(prepared, found=found)
            return runtime.effect_task(tracked)
        except Exception as error:  # the effect's own edge: delivered as its outcome
            return Failed(
                effect=item.effect, item=given, external_task_id=external_task_id, error=error
            )

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
