"""``kling-effects jobs settle``: a person decides about one job, or has its task looked up.

Giving up and submitting again touch the file alone; a lookup needs the key of the job's account.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from attrs import evolve, frozen

from kling_effects_async import Job, JobState, Journal
from kling_effects_async.cli.account import account_of, needed_settings, secrets_of
from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.journal import explained, journal_file
from kling_effects_async.cli.look_up import Ways, look_up
from kling_effects_async.cli.show_job import no_such_job
from kling_effects_async.cli.talk import say
from kling_effects_async.journal.job import FOLLOWERS, UNSETTLED, JobUpdate
from kling_effects_async.submitting.planning import effect_of

__all__ = ["Decision", "settle_job"]

_PERSON = "a person said {}"
_WHY_NOT = {
    JobState.PLANNED: "nothing was sent for it yet: kling-effects jobs resume submits it",
    JobState.ACCEPTED: "its task is known: kling-effects jobs resume waits for it",
    JobState.SUCCEEDED: "its task is done: kling-effects jobs resume --download-to saves the video",
    JobState.DOWNLOADED: "its video is saved",
    JobState.FAILED: "its task ended in failure: kling-effects run with --again makes one more",
    JobState.REJECTED: "the service rejected it and made no task",
    JobState.ABANDONED: "it was given up: kling-effects run with --again makes one more",
}


@frozen(kw_only=True)
class Decision:
    """What the command line says about a job; without either decision it is looked up."""

    journal: str | None
    name: str
    is_to_resubmit: bool
    is_to_abandon: bool
    service: str | None
    account: str | None


def settle_job(decision: Decision) -> JobState:
    """Do it; the state the job is in then.

    Raises:
        Failure: it cannot be done, or the lookup found nothing; says what can be done.
    """
    secrets: list[str] = []
    with explained(secrets):
        path = journal_file(decision.journal)
        return asyncio.run(_settle(path, decision, secrets))


async def _settle(path: Path, decision: Decision, secrets: list[str]) -> JobState:
    async with Journal(path) as journal:
        job = await _the_job(journal, path, decision)
        if decision.is_to_abandon:
            return await _abandon(journal, job)
        if decision.is_to_resubmit:
            return await _resubmit(journal, job)
        if job.state not in UNSETTLED:
            raise _rejected(job, "settled")
        settings = needed_settings(decision.service)
        secrets += secrets_of(settings.credentials)
        return await look_up(journal, job, settings, ways=_ways_of(decision, path))


def _ways_of(decision: Decision, path: Path) -> Ways:
    return Ways(
        journal=decision.journal or str(path), service=decision.service, account=decision.account
    )


async def _the_job(journal: Journal, path: Path, decision: Decision) -> Job:
    found = await journal.find(decision.name)
    named = [job for job in found if job.external_task_id == decision.name] or found
    if not named:
        raise no_such_job(path, decision.name)
    if len(named) == 1:
        return named[0]
    ours = decision.account or account_of(needed_settings(decision.service), None)
    for job in named:
        if job.account == ours:
            return job
    accounts = ", ".join(job.account for job in named)
    what = f"{decision.name} is a job of the accounts {accounts}, and the key is of {ours}"
    raise Failure(ExitCode.SETTINGS, [f"{what}: name the one meant with --account"])


async def _abandon(journal: Journal, job: Job) -> JobState:
    if JobState.ABANDONED not in FOLLOWERS[job.state] and job.state is not JobState.SUBMITTING:
        raise _rejected(job, "given up")
    job = await _out_of_submitting(journal, job)
    if job.is_paid:
        say(f"{_task(job)} is not stopped by this, and may be charged all the same")
    return await _move(journal, job, JobState.ABANDONED, _PERSON.format("abandon"))


async def _resubmit(journal: Journal, job: Job) -> JobState:
    if job.state not in (*UNSETTLED, JobState.REJECTED):
        raise _rejected(job, "submitted again")
    if effect_of(job) is None:
        raise _rejected(
            job, "submitted again", "the journal does not keep an image that was given as bytes"
        )
    job = await _out_of_submitting(journal, job)
    if job.is_paid:
        say("if its task exists after all, it will be charged twice")
    return await _move(journal, job, JobState.PLANNED, _PERSON.format("resubmit"))


async def _out_of_submitting(journal: Journal, job: Job) -> Job:
    if job.state is not JobState.SUBMITTING:
        return job
    # We own the journal, so who was submitting is dead.
    note = "its process died while it was sent"
    await journal.move(job.account, job.external_task_id, JobUpdate(JobState.UNCERTAIN, note=note))
    return evolve(job, state=JobState.UNCERTAIN)


async def _move(journal: Journal, job: Job, to: JobState, note: str) -> JobState:
    await journal.move(job.account, job.external_task_id, JobUpdate(to, note=note))
    return to


def _task(job: Job) -> str:
    return f"task {job.task_id}" if job.task_id else "its task, if it has one,"


def _rejected(job: Job, done: str, why: str | None = None) -> Failure:
    what = f"{job.external_task_id} is {job.state} and cannot be {done}"
    return Failure(ExitCode.REJECTED_HERE, [f"{what}: {why or _WHY_NOT[job.state]}"])
