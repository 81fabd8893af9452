"""``kling-effects jobs resume``: finish all unfinished jobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import NotPrinted, json_line, not_printed, say, write_out
from kling_effects_async.cli.failures import ExitCode, Failure, without_secrets
from kling_effects_async.cli.options import file_name, of_the_group, offered, resuming
from kling_effects_async.cli.signals import Terminated, loaded

if TYPE_CHECKING:
    from kling_effects_async import Outcome, Settings
    from kling_effects_async.cli.jobs.resume_summary import ResumeArguments, Resumption

__all__ = ["resume"]

_EXAMPLES = ("kling-effects jobs resume --journal jobs.db --download-to clips/",)


@click.command(cls=Command, examples=_EXAMPLES)
@of_the_group
@click.option(
    "--download-to",
    metavar="FOLDER",
    envvar="KLING_OUTPUT",
    show_envvar=True,
    callback=file_name("folder"),
    shell_complete=offered("folders"),
    help="Save the videos in this folder; without it no video is saved.",
)
@resuming
def resume(as_json: bool, quiet: bool, **options: Any) -> None:
    """Finish all unfinished jobs.

    Planned jobs are submitted, uncertain jobs are looked up, and running tasks are waited for.
    Prints a line for each job that is done: the path of its video, or its external id if no video
    is saved.
    """
    # Before the loop runs, where a signal could no longer end the process at once.
    loaded("kling_effects_async.client")
    arguments = cli.jobs.resume_summary.ResumeArguments(
        as_json=as_json, is_silent=as_json or quiet, **options
    )
    _resume_jobs(arguments)


def _resume_jobs(arguments: ResumeArguments) -> None:
    """Print a line for each video, or for each job if no video is to be saved.

    Raises:
        Failure: not all went well, or it was stopped; says how to go on.
    """
    summary, tally = cli.jobs.resume_summary, cli.jobs.tally
    secrets: list[str] = []
    with cli.messages.errors_as_failures(secrets):
        path = tally.journal_file(arguments.journal)
        # First, because later a task would be paid and its video could not be saved.
        if arguments.download_to is not None:
            cli.output_path.OutputPath(
                Path(arguments.download_to), is_folder=True, overwrite=False
            ).check_folder()
        settings = cli.settings_file.needed_settings(arguments.service)
        secrets += cli.settings_file.secrets_of(settings.credentials)
        # Filled step by step and not returned, because a signal may end the loop anywhere.
        resumption = summary.Resumption()
        stopped = _run(path, arguments, settings, resumption)
        # From the file, which is right however the run ended.
        everything = cli.runner.run(tally.tally_of(path))
    code, lines = summary.resume_summary(arguments, resumption, everything, stopped)
    if code is not ExitCode.DONE:
        raise Failure(code, lines, secrets)
    for line in () if arguments.is_silent else lines:
        say(line)


def _run(
    path: Path, arguments: ResumeArguments, settings: Settings, resumption: Resumption
) -> ExitCode | None:
    import asyncio

    try:
        cli.runner.run(_resume(path, arguments, settings, resumption))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (asyncio.CancelledError, Terminated):  # the loop has ended: no one awaits it
        return ExitCode.TERMINATED
    return None


async def _resume(
    path: Path, arguments: ResumeArguments, settings: Settings, resumption: Resumption
) -> None:
    with cli.runner.stopped_gently():
        async with (
            kling.Journal(path) as journal,
            cli.settings_file.client_of(
                settings,
                journal=journal,
                account=arguments.account,
                budget_units=arguments.budget_units,
                poll=kling.PollPolicy(deadline_s=arguments.timeout_s),
            ) as client,
        ):
            resumption.account = client.account
            counts = await journal.counts(client.account)
            secrets = cli.settings_file.secrets_of(settings.credentials)
            total = sum(counts[state] for state in arguments.states)
            with cli.progress.shown_progress(is_silent=arguments.is_silent) as progress:
                jobs = cli.jobs.tally.counted(total, "job")
                progress.show(f"0 of {jobs}" if total else "nothing is left to do")
                async for outcome in client.resume(download_to=arguments.download_to):
                    news = resumption.add(outcome)
                    with progress.aside():
                        is_printed = _print(outcome, news, arguments, secrets)
                    resumption.is_unprinted |= not is_printed
                    progress.show(_step(outcome, resumption.number, total))


def _print(
    outcome: Outcome, news: str | None, arguments: ResumeArguments, secrets: tuple[str, ...]
) -> bool:
    """Print the outcome; False if stdout cannot be written, which ends nothing that is paid."""
    if news is not None and not arguments.as_json:
        say(without_secrets(news, secrets))
    if not arguments.as_json and not isinstance(outcome, kling.Done):
        return True
    try:
        write_out(_as_json(outcome, secrets) if arguments.as_json else _as_line(outcome))
    except NotPrinted as error:
        say(f"{not_printed(error)}; {outcome.external_task_id}: {_became(outcome)}")
        return False
    return True


def _as_line(outcome: Outcome) -> str | bytes:
    # A file name need not be text in any encoding.
    if isinstance(outcome, kling.Done) and outcome.path is not None:
        return os.fsencode(outcome.path)
    return outcome.external_task_id


def _as_json(outcome: Outcome, secrets: tuple[str, ...]) -> bytes:
    facts = cli.jobs.resume_summary.outcome_as_json(outcome)
    return json_line(
        {k: without_secrets(v, secrets) if isinstance(v, str) else v for k, v in facts.items()}
    )


def _became(outcome: Outcome) -> str:
    if isinstance(outcome, kling.Done) and outcome.path is not None:
        return f"the video is saved: {outcome.path}"
    return "done" if isinstance(outcome, kling.Done) else "failed"


def _step(outcome: Outcome, number: int, total: int) -> str:
    became = "done" if isinstance(outcome, kling.Done) else "failed"
    if isinstance(outcome, kling.Failed) and isinstance(
        outcome.error, kling.SubmissionUncertainError
    ):
        became = "uncertain"
    return (
        f"{number} of {cli.jobs.tally.counted(total, 'job')}: {outcome.external_task_id} {became}"
    )
