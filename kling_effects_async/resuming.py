"""Finish all jobs that an earlier process left unfinished.

Tasks that run are followed first, as they hold slots; then, beside each other,

- uncertain jobs are settled, and submitted where it is proved that they have no task;
- planned jobs are drawn as ``draw_order`` says and submitted, no more at a time than could have a
  slot next;
- clips that are missing are downloaded.

Of a job that is not taken up yet, its number alone is in memory.
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterable,
)
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, field, frozen

from kling_effects_async.concurrency import map_as_completed, merged
from kling_effects_async.downloading.file_names import as_text
from kling_effects_async.effects import Effect
from kling_effects_async.errors import ImageRejectedError
from kling_effects_async.journal.job import OPEN, UNSETTLED, Job, JobState
from kling_effects_async.log_fields import log_fields
from kling_effects_async.lookback import closing_told
from kling_effects_async.outcomes import Done, Failed, Outcome
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.runtime import Account, Runtime
from kling_effects_async.submitting.draw_order import Draw, DrawOrder
from kling_effects_async.submitting.planning import PreparedJob, effect_of, image_hashes_of

if TYPE_CHECKING:
    from kling_effects_async.journal.sqlite.store import SqliteStore

__all__ = ["resumed"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


async def resumed(runtime: Runtime, folder: Path | None) -> AsyncGenerator[Outcome, None]:
    """The outcome of every unfinished job, as they finish; see ``EffectsClient.resume``."""
    account = await runtime.account()
    # With a folder, a job that only lacks its clip is unfinished too.
    states = OPEN | ({JobState.SUCCEEDED} if folder else frozenset())
    await _log_other_accounts(account, states)
    target = None if folder is None else await asyncio.to_thread(as_text, folder)
    resumption = _Resumption(runtime, account, await runtime.journal(), folder, target, states)
    async with aclosing(resumption.outcomes(await resumption.left())) as outcomes:
        async for outcome in outcomes:
            yield outcome


@frozen
class _Left:
    """The numbers of the jobs that are left: of planned ones by share, of all others by state."""

    planned: defaultdict[str, array[int]] = field(factory=lambda: defaultdict(_numbers))
    others: defaultdict[JobState, array[int]] = field(factory=lambda: defaultdict(_numbers))


def _numbers() -> array[int]:
    return array("q")


@frozen
class _Resumption:
    """One call of ``resume``.

    Attributes:
        target: the folder for the clips, as the journal has it.
        states: which jobs are unfinished.
    """

    _runtime: Runtime
    _account: Account
    _journal: SqliteStore
    _folder: Path | None
    _target: str | None
    _states: Collection[JobState]
    _are_followed: asyncio.Event = field(init=False, factory=asyncio.Event)
    _given_back: asyncio.Event = field(init=False, factory=asyncio.Event)

    async def left(self) -> _Left:
        """All jobs that are unfinished now; what is added later is somebody else's to finish."""
        left = _Left()
        with closing_told(self._runtime):
            async for state, share, numbers in self._journal.numbers(
                self._account.name, self._states
            ):
                is_planned = state is JobState.PLANNED
                (left.planned[share] if is_planned else left.others[state]).extend(numbers)
        for planned in left.planned.values():
            planned.reverse()  # they are taken from the end
        return left

    def outcomes(self, left: _Left) -> AsyncGenerator[Outcome, None]:
        """The outcome of each, as they finish."""
        order = DrawOrder(self._runtime.shares, left.planned)
        running = left.others[JobState.ACCEPTED]
        unsettled = [number for state in UNSETTLED for number in left.others[state]]
        return merged(
            # All at once, as their tasks run and hold slots, and one more to see the end of them.
            self._stream(
                self._running(running),
                self._finish,
                limit=lambda: len(running) + 1,
                is_over=lambda: False,
            ),
            self._stream(self._jobs(unsettled), self._finish),
            self._stream(self._drawn(order), partial(self._finish_drawn, order)),
            self._stream(self._jobs(left.others[JobState.SUCCEEDED]), self._finish),
        )

    async def _stream(
        self,
        source: AsyncIterator[T],
        finish: Callable[[T], Coroutine[Any, Any, Outcome]],
        *,
        limit: Callable[[], int] | None = None,
        is_over: Callable[[], bool] | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        slots = self._account.slots
        # By default as many as can run, and as many again that may have a slot next.
        room = limit or (lambda: 2 * slots.size)
        with slots.watched() as changed:
            async with aclosing(
                map_as_completed(
                    source,
                    finish,
                    limit=room,
                    changed=changed,
                    is_over=is_over or self._runtime.is_draining,
                )
            ) as outcomes:
                async for outcome in outcomes:
                    yield outcome

    async def _running(self, numbers: Iterable[int]) -> AsyncIterator[Job]:
        for number in numbers:
            if job := await self._unfinished(number):
                yield job
        self._are_followed.set()  # each that was yielded holds its slot by now

    async def _jobs(self, numbers: Iterable[int]) -> AsyncIterator[Job]:
        await self._are_followed.wait()
        for number in numbers:
            if job := await self._unfinished(number):
                yield job

    async def _drawn(self, order: DrawOrder) -> AsyncIterator[tuple[Draw, Job]]:
        await self._are_followed.wait()
        while not order.is_empty:
            self._given_back.clear()
            draw = order.draw()
            if draw is None:
                await self._given_back.wait()
            elif job := await self._unfinished(draw.number):
                yield draw, job
            else:
                order.give_back(draw)

    async def _unfinished(self, number: int) -> Job | None:
        """The job as it stands; ``None`` if it was finished meanwhile."""
        with closing_told(self._runtime):
            job = await self._journal.found_at(number)
        self._runtime.check_open()
        return job if job is not None and job.state in self._states else None

    async def _finish_drawn(self, order: DrawOrder, drawn: tuple[Draw, Job]) -> Outcome:
        draw, job = drawn
        try:
            return await self._finish(job)
        finally:
            order.give_back(draw)
            self._given_back.set()

    async def _finish(self, job: Job) -> Outcome:
        return await _finished(self._runtime, self._account, job, self._folder, self._target)


async def _log_other_accounts(account: Account, states: Collection[JobState]) -> None:
    number = await account.store.elsewhere(account.name, states)
    if number:
        _log.warning(
            "%d open jobs of other accounts were left alone: the present key is of account %s. If "
            "it is a new key of theirs, pass their account=, or move them with Journal.adopt()",
            number,
            account.name,
            extra=log_fields("jobs.of_other_accounts", jobs=number, account=account.name),
        )


async def _finished(
    runtime: Runtime, account: Account, job: Job, folder: Path | None, target: str | None
) -> Outcome:
    effect = None
    try:
        effect = effect_of(job)
        if folder is not None and job.clip_name is not None:
            job = await runtime.named(evolve(job, download_to=target), job.clip_name, folder)
        tracked = await _tracked(runtime, account, job, effect)
        result = await runtime.effect_task(tracked).result()
        path = None if folder is None else await runtime.download_into(folder, job, result)
    except Exception as error:  # the job's own edge: delivered as its outcome
        return Failed(effect=effect, external_task_id=job.external_task_id, error=error)
    return Done(effect=effect, external_task_id=job.external_task_id, result=result, path=path)


async def _tracked(
    runtime: Runtime, account: Account, job: Job, effect: Effect | None
) -> TrackedTask:
    """The task of a job, which is settled or submitted first where it has none."""
    if job.state in UNSETTLED:
        job = await account.submitter.settle(job)
    # The state may have changed above: a settled job is accepted or planned.
    if job.state is not JobState.PLANNED:
        return account.resume(job)
    if effect is None:
        raise ImageRejectedError(
            f"job {job.external_task_id}",
            [
                "Its image was given as bytes, which the journal does not keep: submit the same "
                "effect under the same external_task_id."
            ],
        )
    prepared = await runtime.prepare(effect, job.external_task_id)
    _check_unchanged(job, prepared)
    return await runtime.submit(evolve(prepared, job=job))


def _check_unchanged(job: Job, prepared: PreparedJob) -> None:
    if image_hashes_of(prepared.job) != image_hashes_of(job):
        raise ImageRejectedError(
            f"job {job.external_task_id}",
            ["Its image is not the one that was planned; submit it under another id."],
        )
