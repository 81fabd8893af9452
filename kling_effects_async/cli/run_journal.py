"""The journal of a run: it is opened first and closed last, and has the last word on the trail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kling_effects_async import Job, JobState, Journal, JournalError, Settings
from kling_effects_async.cli.talk import say
from kling_effects_async.cli.trail import Stage, Trail
from kling_effects_async.spending.account import account_name

__all__ = ["run_journal"]

_UNSENT = (JobState.PLANNED, JobState.REFUSED)
_IN_DOUBT = (JobState.SUBMITTING, JobState.AMBIGUOUS)


@asynccontextmanager
async def run_journal(trail: Trail, settings: Settings | None) -> AsyncIterator[Journal | None]:
    """The opened journal, if the run has one; close the client before the block ends.

    A plan that is left unsent is given up, unless its id is the caller's: nobody could ask for it
    again, and ``jobs resume`` would submit it next to whatever was run in its place.
    """
    if trail.journal is None or settings is None:
        yield None
        return
    account = account_name(settings.service, settings.credentials)
    async with Journal(trail.journal) as journal:
        try:
            yield journal
        finally:
            job = await journal.get(account, trail.external_task_id or "")
            trail.stage = _stage_of(job)
            if job is not None:
                await _follow_up(journal, job, trail)


def _stage_of(job: Job | None) -> Stage:
    if job is None or job.state in _UNSENT:
        return Stage.NOTHING_SENT
    if job.state in _IN_DOUBT:
        return Stage.SUBMITTING
    return Stage.NOTHING_SENT if job.task_id is None else Stage.ACCEPTED


async def _follow_up(journal: Journal, job: Job, trail: Trail) -> None:
    trail.task_id = job.task_id or trail.task_id
    try:
        if trail.path is not None:
            path = await asyncio.to_thread(_text_of, trail.path)
            await _move(journal, job, JobState.DOWNLOADED, path=path)
        elif job.state is JobState.PLANNED and trail.is_named:
            trail.is_planned = True
        elif job.state is JobState.PLANNED:
            await _move(journal, job, JobState.ABANDONED, note="its run ended before it was sent")
    except JournalError as error:
        say(f"the journal does not know how this ended: {error}")


async def _move(
    journal: Journal, job: Job, to: JobState, *, note: str = "", path: str | None = None
) -> None:
    await journal.move(job.account, job.external_task_id, to, note=note, path=path)


def _text_of(path: Path) -> str:
    # A file name need not be text in any encoding, but the journal's columns are.
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")
