"""``kling-effects jobs resume``: finish all unfinished jobs."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from kling_effects_async import (
    Done,
    EffectsClient,
    Failed,
    Journal,
    Outcome,
    PollPolicy,
    Settings,
    SubmissionUncertainError,
)
from kling_effects_async.cli.console import not_printed, say
from kling_effects_async.cli.failures import ExitCode, Failure, without_secrets
from kling_effects_async.cli.jobs.resume_summary import (
    ResumeArguments,
    Resumption,
    outcome_as_json,
    resume_summary,
)
from kling_effects_async.cli.jobs.tally import counted, journal_file, tally_of
from kling_effects_async.cli.messages import errors_as_failures
from kling_effects_async.cli.output_path import OutputPath
from kling_effects_async.cli.progress import shown_progress
from kling_effects_async.cli.runner import run, stopped_gently
from kling_effects_async.cli.settings_file import needed_settings, secrets_of
from kling_effects_async.cli.signals import Terminated
from kling_effects_async.cli.streams import NotPrinted, write_out

__all__ = ["resume_jobs"]


def resume_jobs(arguments: ResumeArguments) -> None:
    """Print a line for each video, or for each job if no video is to be saved.

    Raises:
        Failure: not all went well, or it was stopped; says how to go on.
    """
    secrets: list[str] = []
    with errors_as_failures(secrets):
        path = journal_file(arguments.journal)
        if arguments.download_to is not None:
            OutputPath(Path(arguments.download_to), is_folder=True, overwrite=False).check_folder()
        settings = needed_settings(arguments.service)
        secrets += secrets_of(settings.credentials)
        resumption = Resumption()
        stopped = _run(path, arguments, settings, resumption)
        # Looked at afresh, however it ended.
        everything = asyncio.run(tally_of(path))
    code, lines = resume_summary(arguments, resumption, everything, stopped)
    if code is not ExitCode.DONE:
        raise Failure(code, lines, secrets)
    for line in () if arguments.is_silent else lines:
        say(line)


def _run(
    path: Path, arguments: ResumeArguments, settings: Settings, resumption: Resumption
) -> ExitCode | None:
    try:
        run(_resume(path, arguments, settings, resumption))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (asyncio.CancelledError, Terminated):  # the loop is over: nobody waits for this any more
        return ExitCode.TERMINATED
    return None


async def _resume(
    path: Path, arguments: ResumeArguments, settings: Settings, resumption: Resumption
) -> None:
    with stopped_gently():
        async with (
            Journal(path) as journal,
            EffectsClient(
                settings.credentials,
                service=settings.service,
                journal=journal,
                account=arguments.account,
                budget_units=arguments.budget_units,
                poll=PollPolicy(deadline_s=arguments.timeout_s),
                trust_env=True,
            ) as client,
        ):
            resumption.account = client.account
            counts = await journal.counts(client.account)
            total = sum(counts[state] for state in arguments.states)
            with shown_progress(is_silent=arguments.is_silent) as progress:
                progress.tell(f"0 of {counted(total, 'job')}" if total else "nothing is left to do")
                async for outcome in client.resume(download_to=arguments.download_to):
                    news = resumption.add(outcome)
                    with progress.aside():
                        is_told = _tell(outcome, news, arguments, secrets_of(settings.credentials))
                    resumption.is_unprinted |= not is_told
                    progress.tell(_step(outcome, resumption.number, total))


def _tell(
    outcome: Outcome, news: str | None, arguments: ResumeArguments, secrets: tuple[str, ...]
) -> bool:
    """Print the outcome; False if stdout cannot be written, which ends nothing that is paid."""
    if news is not None and not arguments.as_json:
        say(without_secrets(news, secrets))
    if not arguments.as_json and not isinstance(outcome, Done):
        return True
    try:
        write_out(_as_json(outcome, secrets) if arguments.as_json else _as_line(outcome))
    except NotPrinted as error:
        say(f"{not_printed(error)}; {outcome.external_task_id}: {_became(outcome)}")
        return False
    return True


def _as_line(outcome: Outcome) -> str | bytes:
    # A file name need not be text in any encoding.
    if isinstance(outcome, Done) and outcome.path is not None:
        return os.fsencode(outcome.path)
    return outcome.external_task_id


def _as_json(outcome: Outcome, secrets: tuple[str, ...]) -> str:
    facts = outcome_as_json(outcome)
    return json.dumps(
        {k: without_secrets(v, secrets) if isinstance(v, str) else v for k, v in facts.items()}
    )


def _became(outcome: Outcome) -> str:
    if isinstance(outcome, Done) and outcome.path is not None:
        return f"the video is saved: {outcome.path}"
    return "done" if isinstance(outcome, Done) else "failed"


def _step(outcome: Outcome, number: int, total: int) -> str:
    became = "done" if isinstance(outcome, Done) else "failed"
    if isinstance(outcome, Failed) and isinstance(outcome.error, SubmissionUncertainError):
        became = "uncertain"
    return f"{number} of {counted(total, 'job')}: {outcome.external_task_id} {became}"
