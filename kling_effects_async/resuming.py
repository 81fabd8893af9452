"""Finish all jobs that an earlier process left unfinished."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from pathlib import Path

from attrs import evolve

from kling_effects_async.concurrency import map_as_completed
from kling_effects_async.downloading.file_names import as_text
from kling_effects_async.effects import Effect
from kling_effects_async.errors import ImageRejectedError
from kling_effects_async.journal.job import OPEN, UNSETTLED, Job, JobState
from kling_effects_async.log_fields import log_fields
from kling_effects_async.lookback import stored_jobs
from kling_effects_async.outcomes import Done, Failed, Outcome
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.runtime import Account, Runtime
from kling_effects_async.submitting.planning import PreparedJob, effect_of, image_hashes_of

__all__ = ["resumed"]

_log = logging.getLogger(__name__)


async def resumed(runtime: Runtime, folder: Path | None) -> AsyncGenerator[Outcome, None]:
    """The outcome of every unfinished job, as they finish; see ``EffectsClient.resume``."""
    account = await runtime.account()
    # With a folder, a job that only lacks its clip is unfinished too.
    states = OPEN | ({JobState.SUCCEEDED} if folder else frozenset())
    await _log_other_accounts(account, states)
    unfinished = stored_jobs(runtime, states)

    target = None if folder is None else await asyncio.to_thread(as_text, folder)

    async def finish(job: Job) -> Outcome:
        return await _finished(runtime, account, job, folder, target)

    def limit() -> int:
        # Jobs that wait for a slot: no more than could be submitted next.
        return account.slots.held + account.slots.size

    with account.slots.watched() as changed:
        async with aclosing(
            map_as_completed(unfinished, finish, limit=limit, changed=changed)
        ) as finished:
            async for outcome in finished:
                yield outcome


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
            ["Its image was given as bytes, which the journal does not keep; submit it again."],
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
