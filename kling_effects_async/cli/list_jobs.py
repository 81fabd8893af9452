"""``kling-effects jobs``: the journal's jobs go by, and never are in memory at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from pathlib import Path

from kling_effects_async import Job, JobState, Journal
from kling_effects_async.cli.job_tally import JobTally, uncertain_lines
from kling_effects_async.cli.job_text import Columns, job_as_json, row_of
from kling_effects_async.cli.journal import explained, journal_file
from kling_effects_async.cli.output import print_json_lines, print_lines
from kling_effects_async.cli.talk import say

__all__ = ["list_jobs", "tally_of"]

_PAGE = 500


def list_jobs(given: str | None, states: Collection[str], *, as_json: bool) -> None:
    """Print the jobs in these states, all if empty, and say what they come to.

    Raises:
        Failure: the journal cannot be read; says why.
    """
    with explained():
        place = journal_file(given)
        wanted = {JobState(word) for word in states} or set(JobState)
        tally = asyncio.run(_list(place, wanted, as_json=as_json))
    for line in [*tally.lines(), *uncertain_lines(tally, journal=given or str(place))]:
        say(line)


async def tally_of(place: Path) -> JobTally:
    """What the journal's jobs come to now, whoever owns it."""
    tally = JobTally()
    async for page in _pages(place):
        for job in page:
            tally.add(job)
    return tally


async def _list(place: Path, states: Collection[JobState], *, as_json: bool) -> JobTally:
    tally, columns, now = JobTally(), Columns(), datetime.now(UTC)
    async for page in _pages(place):
        for job in page:
            tally.add(job)
        shown = [job for job in page if job.state in states]
        if not shown:
            continue
        if as_json:
            print_json_lines(map(job_as_json, shown))
        else:
            print_lines(columns.lines([row_of(job, now) for job in shown]))
    return tally


async def _pages(place: Path) -> AsyncIterator[list[Job]]:
    async with Journal(place, read_only=True) as journal:
        page: list[Job] = []
        async for job in journal.jobs():
            page.append(job)
            if len(page) == _PAGE:
                yield page
                page = []
        yield page
