"""``kling-effects jobs``: the journal's jobs go by, and never are in memory at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from pathlib import Path

from kling_effects_async import Job, JobState, Journal, SettingsError
from kling_effects_async.cli.account import account_of, config_path, find_settings
from kling_effects_async.cli.job_tally import JobTally, uncertain_lines
from kling_effects_async.cli.job_text import Columns, job_as_json, row_of
from kling_effects_async.cli.journal import explained, journal_file
from kling_effects_async.cli.other_accounts import lines_of_others
from kling_effects_async.cli.output import print_json_lines, print_lines
from kling_effects_async.cli.talk import say
from kling_effects_async.journal.job import OPEN

__all__ = ["list_jobs", "tally_of"]

_PAGE = 500


def list_jobs(
    given: str | None, states: Collection[str], *, account: str | None, as_json: bool
) -> None:
    """Print the jobs in these states, all if empty, and say what they come to.

    Args:
        account: only its jobs; ``None``: those of all accounts.

    Raises:
        Failure: the journal cannot be read; says why.
    """
    with explained():
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


async def tally_of(path: Path) -> JobTally:
    """What the journal's jobs come to now, whoever owns it."""
    tally = JobTally()
    async for page in _pages(path, tally):
        for job in page:
            tally.add(job)
    return tally


async def _list(
    path: Path, states: Collection[JobState], account: str | None, *, as_json: bool
) -> JobTally:
    tally, columns, now = JobTally(), Columns(), datetime.now(UTC)
    async for page in _pages(path, tally):
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


async def _pages(path: Path, tally: JobTally) -> AsyncIterator[list[Job]]:
    async with Journal(path, read_only=True) as journal:
        tally.misses_rows = journal.misses_rows
        page: list[Job] = []
        async for job in journal.jobs():
            page.append(job)
            if len(page) == _PAGE:
                yield page
                page = []
        yield page
