"""``kling-effects jobs settle``: a person decides about one job, or has its task looked up.

Abandoning and submitting again change the journal alone; a lookup needs the key of the account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

from kling_effects_async import (
    EffectsClient,
    Job,
    JobState,
    JobStateError,
    KlingEffectsError,
    RetryPolicy,
    Settings,
    TaskNotFoundError,
    TaskSnapshot,
)
from kling_effects_async.cli.console import say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.hints import resume_command, settle_command
from kling_effects_async.cli.jobs.tally import journal_file, no_such_job
from kling_effects_async.cli.messages import errors_as_failures
from kling_effects_async.cli.settings_file import account_of, needed_settings, secrets_of
from kling_effects_async.journal.job import UNSETTLED, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.decision import steps_to_abandon, steps_to_resubmit

__all__ = ["SettleArguments", "Ways", "look_up", "settle_job"]

_WHY_NOT = {
    JobState.PLANNED: "nothing was sent for it yet: kling-effects jobs resume submits it",
    JobState.ACCEPTED: "its task is known: kling-effects jobs resume waits for it",
    JobState.SUCCEEDED: "its task is done: kling-effects jobs resume --download-to saves the video",
    JobState.DOWNLOADED: "its video is saved",
    JobState.FAILED: "its task ended in failure: kling-effects run with --again makes one more",
    JobState.REJECTED: "the service rejected it and made no task",
    JobState.ABANDONED: "it was abandoned: kling-effects run with --again makes one more",
}
# "Not found" is tried again like any failure that may pass, and a person is waiting.
_SOON = RetryPolicy(attempts=3, base_s=0.2, max_pause_s=0.5)


@frozen(kw_only=True)
class SettleArguments:
    """What the command line says about a job; without either decision it is looked up."""

    journal: str | None
    name: str
    is_to_resubmit: bool
    is_to_abandon: bool
    service: str | None
    account: str | None


def settle_job(arguments: SettleArguments) -> JobState:
    """Do it; the state the job is in then.

    Raises:
        Failure: it cannot be done, or the lookup found nothing; says what can be done.
    """
    secrets: list[str] = []
    with errors_as_failures(secrets):
        path = journal_file(arguments.journal)
        return asyncio.run(_settle(path, arguments, secrets))


async def _settle(path: Path, arguments: SettleArguments, secrets: list[str]) -> JobState:
    async with SqliteStore(path) as journal:
        job = await _the_job(journal, path, arguments)
        if arguments.is_to_abandon:
            return await _abandon(journal, job)
        if arguments.is_to_resubmit:
            return await _resubmit(journal, job)
        if job.state not in UNSETTLED:
            with _told_why(job):
                raise JobStateError(job.external_task_id, job.state, "settled")
        settings = needed_settings(arguments.service)
        secrets += secrets_of(settings.credentials)
        return await look_up(journal, job, settings, ways=_ways_of(arguments, path))


def _ways_of(arguments: SettleArguments, path: Path) -> Ways:
    return Ways(
        journal=arguments.journal or str(path), service=arguments.service, account=arguments.account
    )


async def _the_job(journal: SqliteStore, path: Path, arguments: SettleArguments) -> Job:
    found = await journal.find(arguments.name)
    named = [job for job in found if job.external_task_id == arguments.name] or found
    if not named:
        raise no_such_job(path, arguments.name)
    if len(named) == 1:
        return named[0]
    ours = arguments.account or account_of(needed_settings(arguments.service), None)
    for job in named:
        if job.account == ours:
            return job
    accounts = ", ".join(job.account for job in named)
    what = f"{arguments.name} is a job of the accounts {accounts}, and the key is of {ours}"
    raise Failure(ExitCode.SETTINGS, [f"{what}: name the one meant with --account"])


async def _abandon(journal: SqliteStore, job: Job) -> JobState:
    with _told_why(job):
        steps = steps_to_abandon(job)
    if _may_have_task(job):
        say(f"{_task(job)} is not stopped by this, and may be charged all the same")
    return await _take(journal, job, steps)


async def _resubmit(journal: SqliteStore, job: Job) -> JobState:
    with _told_why(job):
        steps = steps_to_resubmit(job)
    if _may_have_task(job):
        say("if its task exists after all, it will be charged twice")
    return await _take(journal, job, steps)


@contextmanager
def _told_why(job: Job) -> Iterator[None]:
    try:
        yield
    except JobStateError as error:
        told = str(error) if error.why else f"{error}: {_WHY_NOT[job.state]}"
        raise Failure(ExitCode.REJECTED_HERE, [told]) from error


async def _take(journal: SqliteStore, job: Job, steps: list[JobUpdate]) -> JobState:
    for step in steps:
        await journal.move(job.account, job.external_task_id, step)
    return steps[-1].to


def _may_have_task(job: Job) -> bool:
    return job.is_paid or job.state is JobState.SUBMITTING


def _task(job: Job) -> str:
    return f"task {job.task_id}" if job.task_id else "its task, if it has one,"


@frozen(kw_only=True)
class Ways:
    """How to say to a person what can be done next.

    Attributes:
        journal: as the person named it.
        service, account: what ``--service`` and ``--account`` said.
    """

    journal: str
    service: str | None
    account: str | None

    def resume(self) -> str:
        """The command that waits for the task that was found."""
        return resume_command(
            journal=self.journal, service=self.service, account=self.account, download_to="."
        )

    def to_settle(self, job: Job) -> str:
        """The command that settles a job under the name of its own account."""
        return settle_command(
            job.external_task_id, journal=self.journal, service=self.service, account=job.account
        )

    def of_settling(self, name: str) -> list[str]:
        """What a person decides where nothing was found."""
        resubmit, abandon = (
            settle_command(
                name, journal=self.journal, service=self.service, account=self.account, how=how
            )
            for how in ("--resubmit", "--abandon")
        )
        return [f"if there is no such task: {resubmit}", f"to abandon it: {abandon}"]


async def look_up(journal: SqliteStore, job: Job, settings: Settings, *, ways: Ways) -> JobState:
    """Ask for the job's task by its external id; where it exists, the job gets it.

    Raises:
        Failure: the key is of another account, or nothing was found.
        KlingEffectsError: nobody could be asked.
    """
    name = job.external_task_id
    async with EffectsClient(
        settings.credentials,
        service=settings.service,
        account=ways.account,
        retry=_SOON,
        trust_env=True,
    ) as client:
        _check_account(job, client.account, ways)
        snapshot = await _found(client, name)
        finds_others = snapshot is None and await _finds_others(client, journal, job)
    if job.state is JobState.SUBMITTING:
        note = "its process died while it was sent"
        await journal.move(job.account, name, JobUpdate(JobState.UNCERTAIN, note=note))
    if snapshot is not None:
        say(f"found task {snapshot.task_id}: {snapshot.status}")
        say(f"go on with: {ways.resume()}")
        await journal.move(
            job.account,
            name,
            JobUpdate(JobState.ACCEPTED, note="a lookup found it", task_id=snapshot.task_id),
        )
        return JobState.ACCEPTED
    raise Failure(ExitCode.UNCERTAIN, [_meaning(name, finds_others), *ways.of_settling(name)])


def _check_account(job: Job, ours: str, ways: Ways) -> None:
    if job.account != ours:
        what = f"{job.external_task_id} belongs to the account {job.account}, and the key is of"
        lines = [
            f"{what} {ours}: set its key and its service",
            f"if its key was changed: {ways.to_settle(job)}",
        ]
        raise Failure(ExitCode.SETTINGS, lines)


async def _found(client: EffectsClient, external_task_id: str) -> TaskSnapshot | None:
    with suppress(TaskNotFoundError):
        return await client.attach(external_task_id=external_task_id).refresh()
    return None


async def _finds_others(client: EffectsClient, journal: SqliteStore, job: Job) -> bool:
    """Whether "not found" means something: another task is found by its external id."""
    known = await journal.known_task(job.account)
    if known is None:
        return False
    with suppress(KlingEffectsError):
        snapshot = await client.attach(external_task_id=known.external_task_id).refresh()
        return snapshot.task_id == known.task_id
    return False


def _meaning(name: str, finds_others: bool) -> str:
    if finds_others:
        return (
            f"the service does not know {name} and does find another task by its external id: "
            f"most likely {name} was never accepted"
        )
    return (
        f"the service does not find {name}, which proves nothing: no other task was found by its "
        "external id either. Look for it in the service's own list"
    )
