"""Everything a dead process left behind, seen through."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from pathlib import Path

from attrs import evolve

from kling_effects_async.concurrency import map_as_completed
from kling_effects_async.effects import Effect
from kling_effects_async.errors import ImageRejectedError
from kling_effects_async.journal.job import OPEN, UNSETTLED, Job, JobState
from kling_effects_async.outcomes import Done, Failed, Outcome
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.runtime import Account, Runtime
from kling_effects_async.submitting.planning import PreparedJob, effect_of, image_hashes_of

__all__ = ["resumed"]

_log = logging.getLogger(__name__)


async def resumed(runtime: Runtime, folder: Path | None) -> AsyncGenerator[Outcome, None]:
    """The outcome of every job that is not at its end, as they come."""
    account = await runtime.account()
    states = OPEN | ({JobState.SUCCEEDED} if folder else frozenset())
    await _log_what_is_left_alone(account, states)
    left = account.store.jobs(account=account.name, states=states)

    async def finish(job: Job) -> Outcome:
        return await _finished(runtime, account, job, folder)

    def room() -> int:
        # What waits for a slot needs to be no more than what could be served next.
        return account.slots.held + account.slots.size

    with account.slots.watched() as wake:
        async with aclosing(map_as_completed(left, finish, limit=room, changed=wake)) as finished:
            async for outcome in finished:
                yield outcome


async def _log_what_is_left_alone(account: Account, states: Collection[JobState]) -> None:
    number = await account.store.elsewhere(account.name, states)
    if number:
        _log.warning(
            "%d open jobs of other accounts were left alone: the key is of %s; if it is a new key "
            "of theirs, name the account with account=, or take them over with Journal.adopt()",
            number,
            account.name,
        )


async def _finished(runtime: Runtime, account: Account, job: Job, folder: Path | None) -> Outcome:
    effect = None
    try:
        effect = effect_of(job)
        tracked = await _taken_up(runtime, account, job, effect)
        result = await runtime.effect_task(tracked).result()
        path = None if folder is None else await runtime.download_into(folder, job, result)
    except Exception as error:  # the job's own edge: delivered as its outcome
        return Failed(effect=effect, external_task_id=job.external_task_id, error=error)
    return Done(effect=effect, external_task_id=job.external_task_id, result=result, path=path)


async def _taken_up(
    runtime: Runtime, account: Account, job: Job, effect: Effect | None
) -> TrackedTask:
    """The task of a job; where there is none yet, there is after this."""
    if job.state in UNSETTLED:
        job = await account.submitter.settle(job)
    if job.state is not JobState.PLANNED:
        return account.resume(job)
    if effect is None:
        raise ImageRejectedError(
            f"job {job.external_task_id}",
            ["Its image was given as bytes, which the journal does not keep; submit it again."],
        )
    plan = await runtime.prepare(effect, job.external_task_id)
    _reject_changed(job, plan)
    return await runtime.submit(evolve(plan, job=job))


def _reject_changed(job: Job, now: PreparedJob) -> None:
    if image_hashes_of(now.job) != image_hashes_of(job):
        raise ImageRejectedError(
            f"job {job.external_task_id}",
            ["Its image is not the one that was planned; submit it under another id."],
        )
