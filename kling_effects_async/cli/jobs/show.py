"""``kling-effects jobs show``: one job and its history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from kling_effects_async import Job, JobState, Journal, Transition
from kling_effects_async.cli.console import print_json, print_lines, say
from kling_effects_async.cli.hints import settle_command
from kling_effects_async.cli.jobs.tally import journal_file, no_such_job
from kling_effects_async.cli.jobs.text import facts_of, sheet_of
from kling_effects_async.cli.messages import errors_as_failures

__all__ = ["show_job"]

_UNCERTAIN = {
    JobState.UNCERTAIN: "its task may exist and be charged",
    JobState.SUBMITTING: "if no process is submitting it",
}


def show_job(given: str | None, name: str, *, as_json: bool) -> None:
    """Print every job with this external id or task id; accounts may share one.

    Raises:
        Failure: there is none, or the journal cannot be read.
    """
    with errors_as_failures():
        path = journal_file(given)
        found = asyncio.run(_find(path, name))
    for job, history in found:
        if as_json:
            print_json(facts_of(job, history))
        else:
            print_lines(sheet_of(job, history))
        if job.state in _UNCERTAIN:
            say(f"{_UNCERTAIN[job.state]}, settle it: {_settle(job, given or str(path))}")


async def _find(path: Path, name: str) -> Sequence[tuple[Job, Sequence[Transition]]]:
    async with Journal(path, read_only=True) as journal:
        jobs = await journal.find(name)
        if not jobs:
            raise no_such_job(path, name)
        return [(job, await journal.history(job.account, job.external_task_id)) for job in jobs]


def _settle(job: Job, shown: str) -> str:
    return settle_command(job.external_task_id, journal=shown)
