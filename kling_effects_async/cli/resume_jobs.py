"""``kling-effects jobs resume``: everything a dead process left behind is seen through."""

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
from kling_effects_async.cli.account import needed_settings, secrets_of
from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure, without_secrets
from kling_effects_async.cli.job_tally import counted
from kling_effects_async.cli.journal import explained, journal_file
from kling_effects_async.cli.last_words import last_words
from kling_effects_async.cli.list_jobs import tally_of
from kling_effects_async.cli.loops import run
from kling_effects_async.cli.output import not_printed
from kling_effects_async.cli.progress import shown_progress
from kling_effects_async.cli.resumption import Resumption, Wanted, outcome_as_json
from kling_effects_async.cli.signals import stopped_gently
from kling_effects_async.cli.streams import NotPrinted, write_out
from kling_effects_async.cli.talk import say
from kling_effects_async.cli.target import Target
from kling_effects_async.cli.termination import Terminated

__all__ = ["resume_jobs"]


def resume_jobs(wanted: Wanted) -> None:
    """Print a line for each video, or for each job if no video is to be saved.

    Raises:
        Failure: not all went well, or it was stopped; says how to go on.
    """
    secrets: list[str] = []
    with explained(secrets):
        path = journal_file(wanted.journal)
        if wanted.download_to is not None:
            Target(Path(wanted.download_to), is_folder=True, overwrite=False).check_folder()
        settings = needed_settings(wanted.service)
        secrets += secrets_of(settings.credentials)
        resumption = Resumption()
        stopped = _run(path, wanted, settings, resumption)
        # Looked at afresh, however it ended.
        everything = asyncio.run(tally_of(path))
    code, lines = last_words(wanted, resumption, everything, stopped)
    if code is not ExitCode.DONE:
        raise Failure(code, lines, secrets)
    for line in () if wanted.is_silent else lines:
        say(line)


def _run(path: Path, wanted: Wanted, settings: Settings, resumption: Resumption) -> ExitCode | None:
    try:
        run(_resume(path, wanted, settings, resumption))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (asyncio.CancelledError, Terminated):  # the loop is over: nobody waits for this any more
        return ExitCode.TERMINATED
    return None


async def _resume(path: Path, wanted: Wanted, settings: Settings, resumption: Resumption) -> None:
    with stopped_gently():
        async with (
            Journal(path) as journal,
            EffectsClient(
                settings.credentials,
                service=settings.service,
                journal=journal,
                account=wanted.account,
                budget_units=wanted.budget_units,
                poll=PollPolicy(deadline_s=wanted.timeout_s),
                trust_env=True,
            ) as client,
        ):
            resumption.account = client.account
            counts = await journal.counts(client.account)
            total = sum(counts[state] for state in wanted.states)
            with shown_progress(is_silent=wanted.is_silent) as progress:
                progress.tell(f"0 of {counted(total, 'job')}" if total else "nothing is left to do")
                async for outcome in client.resume(download_to=wanted.download_to):
                    news = resumption.add(outcome)
                    with progress.aside():
                        is_told = _tell(outcome, news, wanted, secrets_of(settings.credentials))
                    resumption.is_unprinted |= not is_told
                    progress.tell(_step(outcome, resumption.number, total))


def _tell(outcome: Outcome, news: str | None, wanted: Wanted, secrets: tuple[str, ...]) -> bool:
    """Print the outcome; False if stdout cannot be written, which ends nothing that is paid."""
    if news is not None and not wanted.as_json:
        say(without_secrets(news, secrets))
    if not wanted.as_json and not isinstance(outcome, Done):
        return True
    try:
        write_out(_as_json(outcome, secrets) if wanted.as_json else _as_line(outcome))
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
        became = "in doubt"
    return f"{number} of {counted(total, 'job')}: {outcome.external_task_id} {became}"
