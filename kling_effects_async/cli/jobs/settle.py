"""``kling-effects jobs settle``: a person decides about one job, or has its task looked up.

A decision changes the journal alone; a lookup needs the key of the job's account.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_result, say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.hints import resume_command, settle_command
from kling_effects_async.cli.options import of_one_account, of_the_group, offered, text
from kling_effects_async.cli.signals import loaded
from kling_effects_async.journal.states import JobState

if TYPE_CHECKING:
    from pathlib import Path

    from kling_effects_async import Job, Settings
    from kling_effects_async.cli.service_choice import ServiceChoice
    from kling_effects_async.journal.sqlite.journal import Journal

__all__ = ["settle"]

_EXAMPLES = (
    "kling-effects jobs settle order-42 --journal jobs.db",
    "kling-effects jobs settle order-42 --abandon",
)

_WHY_NOT = {
    JobState.PLANNED: "nothing was sent for it yet: kling-effects jobs resume submits it",
    JobState.ACCEPTED: "its task is known: kling-effects jobs resume waits for it",
    JobState.SUCCEEDED: "its task is done: kling-effects jobs resume --download-to saves the video",
    JobState.DOWNLOADED: "its video is saved",
    JobState.FAILED: "its task ended in failure: kling-effects run with --again makes one more",
    JobState.REJECTED: "the service rejected it and made no task",
    JobState.ABANDONED: "it was abandoned: kling-effects run with --again makes one more",
}


class SettleArguments(NamedTuple):
    """Which job to settle, and how; without either decision it is looked up.

    Attributes:
        journal: as the person named it.
    """

    name: str
    journal: str
    is_to_resubmit: bool
    is_to_abandon: bool
    service: ServiceChoice
    account: str | None

    def command(self, *, how: str | None = None, account: str | None = None) -> str:
        """The command that settles the job; under another account where one is given."""
        return settle_command(
            self.name,
            journal=self.journal,
            service=self.service,
            account=account or self.account,
            how=how,
        )


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("name", metavar="ID", callback=text("id"), shell_complete=offered("job_ids"))
@of_the_group
@click.option(
    "--resubmit",
    "is_to_resubmit",
    is_flag=True,
    help="Plan the job again. If it has a task, both are charged.",
)
@click.option(
    "--abandon",
    "is_to_abandon",
    is_flag=True,
    help="Abandon the job. If it has a task, that goes on and is charged.",
)
@of_one_account
def settle(
    name: str,
    journal: str | None,
    is_to_resubmit: bool,
    is_to_abandon: bool,
    service: ServiceChoice,
    account: str | None,
) -> None:
    """Settle an uncertain job.

    The answer to its submit was lost, so its task may exist and be charged. ID is its external id.
    Without an option its task is looked up now. Prints the state of the job afterwards. A planned
    job is submitted by the next: kling-effects jobs resume.
    """
    if is_to_resubmit and is_to_abandon:
        raise click.UsageError("Give either --resubmit or --abandon.")
    tally = cli.jobs.tally
    # Before the loop runs, where a signal could no longer end the process at once.
    loaded("kling_effects_async.client")
    secrets: list[str] = []
    with cli.messages.errors_as_failures(secrets):
        path = tally.journal_file(journal)
        arguments = SettleArguments(
            name, journal or str(path), is_to_resubmit, is_to_abandon, service, account
        )
        state = cli.runner.run(_settle(path, arguments, secrets))
    print_result(str(state), else_say=f"{name} is {state} now")


async def _settle(path: Path, arguments: SettleArguments, secrets: list[str]) -> JobState:
    from kling_effects_async.journal.sqlite.journal import Journal

    async with Journal(path) as journal:
        job = await _the_job(journal, path, arguments)
        if arguments.is_to_abandon or arguments.is_to_resubmit:
            return await _decide(journal, job, arguments)
        _check_is_uncertain(job)
        settings = cli.settings_file.needed_settings(arguments.service)
        secrets += cli.settings_file.secrets_of(settings.credentials)
        arguments = arguments._replace(name=job.external_task_id)
        return await _look_up(journal, job, settings, arguments)


async def _the_job(journal: Journal, path: Path, arguments: SettleArguments) -> Job:
    found = await journal.find(arguments.name)
    named = [job for job in found if job.external_task_id == arguments.name] or found
    if not named:
        raise cli.jobs.tally.no_such_job(path, arguments.name)
    if len(named) == 1:
        return named[0]
    ours = arguments.account or cli.settings_file.account_of(
        cli.settings_file.needed_settings(arguments.service), None
    )
    for job in named:
        if job.account == ours:
            return job
    accounts = ", ".join(job.account for job in named)
    what = f"{arguments.name} is a job of the accounts {accounts}, and the key is of {ours}"
    raise Failure(ExitCode.SETTINGS, [f"{what}: name the one meant with --account"])


async def _decide(journal: Journal, job: Job, arguments: SettleArguments) -> JobState:
    """Have written down what the person decided."""
    # A decision sends nothing, and may come after the key of the job's account is gone.
    nobody = kling.BearerToken(token_hex())
    async with kling.EffectsClient(nobody, journal=journal, account=job.account) as client:
        with _with_reason(job):
            settled = await client.settle(
                job.external_task_id,
                resubmit=arguments.is_to_resubmit,
                abandon=arguments.is_to_abandon,
            )
    if job.is_paid or job.state is JobState.SUBMITTING:
        say(_price_of(job, arguments))
    return settled.state


def _price_of(job: Job, arguments: SettleArguments) -> str:
    if arguments.is_to_resubmit:
        return "if its task exists after all, it will be charged twice"
    task = f"task {job.task_id}" if job.task_id else "its task, if it has one,"
    return f"{task} is not stopped by this, and may be charged all the same"


def _check_is_uncertain(job: Job) -> None:
    from kling_effects_async.journal.job import UNSETTLED

    if job.state not in UNSETTLED:
        with _with_reason(job):
            raise kling.JobStateError(job.external_task_id, job.state, "settled")


@contextmanager
def _with_reason(job: Job) -> Iterator[None]:
    try:
        yield
    except kling.JobStateError as error:
        what = str(error) if error.why else f"{error}: {_WHY_NOT[job.state]}"
        raise Failure(ExitCode.REJECTED_HERE, [what]) from error


async def _look_up(
    journal: Journal, job: Job, settings: Settings, arguments: SettleArguments
) -> JobState:
    """Look the job's task up by its external id; where it exists, the job gets it.

    Raises:
        Failure: the key is of another account, or nothing was found.
        KlingEffectsError: the service did not answer.
    """
    async with cli.settings_file.client_of(
        settings,
        journal=journal,
        account=arguments.account,
        # "Not found" is retried like any failure that may pass, and a person waits for the end.
        retry=kling.RetryPolicy(attempts=3, base_s=0.2, max_pause_s=0.5),
    ) as client:
        _check_account(job, client.account, arguments)
        finding = await client.look_up(job.external_task_id)
    if finding.snapshot is None:
        lines = [_meaning(job.external_task_id, is_absent=finding.is_absent)]
        raise Failure(ExitCode.UNCERTAIN, [*lines, *_decisions(arguments)])
    say(f"found task {finding.snapshot.task_id}: {finding.snapshot.status}")
    say(f"go on with: {_resume(arguments)}")
    return JobState.ACCEPTED


def _check_account(job: Job, ours: str, arguments: SettleArguments) -> None:
    if job.account != ours:
        what = f"{job.external_task_id} belongs to the account {job.account}, and the key is of"
        lines = [
            f"{what} {ours}: set its key and its service",
            f"if its key was changed: {arguments.command(account=job.account)}",
        ]
        raise Failure(ExitCode.SETTINGS, lines)


def _meaning(name: str, *, is_absent: bool) -> str:
    if is_absent:
        return (
            f"the service does not know {name} and does find another task by its external id: "
            f"most likely {name} was never accepted"
        )
    return (
        f"the service does not find {name}, which proves nothing: no other task was found by its "
        "external id either. Look for it in the service's own list"
    )


def _decisions(arguments: SettleArguments) -> list[str]:
    resubmit, abandon = (arguments.command(how=how) for how in ("--resubmit", "--abandon"))
    return [f"if there is no such task: {resubmit}", f"to abandon it: {abandon}"]


def _resume(arguments: SettleArguments) -> str:
    return resume_command(
        journal=arguments.journal,
        service=arguments.service,
        account=arguments.account,
        download_to=".",
    )
