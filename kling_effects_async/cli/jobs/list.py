"""``kling-effects jobs``: list the journal's jobs, without holding all of them in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from kling_effects_async import JobState, SettingsError
from kling_effects_async.cli.console import print_json_lines, print_lines, say
from kling_effects_async.cli.jobs.tally import (
    JobTally,
    journal_file,
    lines_of_others,
    pages_of,
    uncertain_lines,
)
from kling_effects_async.cli.jobs.text import Columns, job_as_json, row_of
from kling_effects_async.cli.messages import errors_as_failures
from kling_effects_async.cli.settings_file import account_of, config_path, find_settings
from kling_effects_async.journal.job import OPEN

__all__ = ["list_jobs"]


def list_jobs(
    given: str | None, states: Collection[str], *, account: str | None, as_json: bool
) -> None:
    """Print the jobs in these states, all if empty, and say how many there are and what they cost.

    Args:
        account: only its jobs; ``None``: those of all accounts.

    Raises:
        Failure: the journal cannot be read; says why.
    """
    with errors_as_failures():
        path = journal_file(given)
        wanted = {JobState(word) for word in states} or set(JobState)
        everything = asyncio.run(_list(path, wanted, account, as_json=as_json))
        shown = given or str(path)
        ours = account or _account_of_the_key()
    tally = everything.of_account(account) if account else everything
    lines = [*tally.lines(), *uncertain_lines(tally, journal=shown, account=account)]
    if ours is not None:
        lines += lines_of_others(everything, ours, OPEN, journal=shown, named=account)
    for line in lines:
        say(line)


def _account_of_the_key() -> str | None:
    """``None`` where there is no key, which a list does not need."""
    try:
        settings = find_settings(os.environ, config_path(), service=None, is_required=False)
    except SettingsError:
        return None
    return None if settings is None else account_of(settings, None)


async def _list(
    path: Path, states: Collection[JobState], account: str | None, *, as_json: bool
) -> JobTally:
    tally, columns, now = JobTally(), Columns(), datetime.now(UTC)
    async for page in pages_of(path, tally):
        for job in page:
            tally.add(job)
        shown = [job for job in page if job.state in states and account in (None, job.account)]
        if not shown:
            continue
        if as_json:
            print_json_lines(map(job_as_json, shown))
        else:
            print_lines(columns.lines([row_of(job, now) for job in shown]))
    return tally
