"""The journal of a run: it is opened first and closed last, and has the last word on the trail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kling_effects_async import Job, JobState, Journal, JournalError
from kling_effects_async.cli.sentences import in_our_words
from kling_effects_async.cli.talk import say
from kling_effects_async.cli.trail import Stage, Trail
from kling_effects_async.journal.job import UNSENT, UNSETTLED, JobUpdate

__all__ = ["note_saved", "run_journal", "text_of"]

_SAVEABLE = (JobState.SUCCEEDED, JobState.DOWNLOADED)


@asynccontextmanager
async def run_journal(trail: Trail, account: str) -> AsyncIterator[Journal | None]:
    """The opened journal, if the run has one; close the client before the block ends.

    A plan that is left unsent is given up, unless the same command asks for it again: nobody could,
    and ``jobs resume`` would submit it next to whatever was run in its place.
    """
    if trail.journal is None:
        yield None
        return
    async with Journal(trail.journal) as journal:
        try:
            yield journal
        finally:
            await _have_the_last_word(journal, account, trail)


async def _have_the_last_word(journal: Journal, account: str, trail: Trail) -> None:
    try:
        job = await journal.get(account, trail.external_task_id or "")
        trail.stage = _stage_of(job)
        if job is not None:
            await _follow_up(journal, job, trail)
    except JournalError as error:
        say(f"the journal does not know how this ended: {in_our_words(str(error))}")


def _stage_of(job: Job | None) -> Stage:
    if job is None or job.state in UNSENT:
        return Stage.NOTHING_SENT
    if job.state in UNSETTLED:
        return Stage.SUBMITTING
    return Stage.NOTHING_SENT if job.task_id is None else Stage.ACCEPTED


async def note_saved(journal: Journal, account: str, trail: Trail) -> None:
    """Write down where the video is as soon as it is there, lest a kill leave that unknown."""
    job = await journal.get(account, trail.external_task_id or "")
    # Until the end of its task is written down it is noted at the end of the run.
    if job is not None and job.state in _SAVEABLE:
        await _note_path(journal, job, trail)


async def _note_path(journal: Journal, job: Job, trail: Trail) -> None:
    assert trail.path is not None
    path = await asyncio.to_thread(text_of, trail.path)
    if (job.state, job.path) != (JobState.DOWNLOADED, path):
        await _move(journal, job, JobState.DOWNLOADED, path=path)


async def _follow_up(journal: Journal, job: Job, trail: Trail) -> None:
    trail.task_id = job.task_id or trail.task_id
    if trail.path is not None:
        await _note_path(journal, job, trail)
    elif job.state is JobState.PLANNED and trail.is_repeatable:
        trail.is_planned = True
    elif job.state is JobState.PLANNED:
        await _move(journal, job, JobState.ABANDONED, note="its run ended before it was sent")


async def _move(
    journal: Journal, job: Job, to: JobState, *, note: str = "", path: str | None = None
) -> None:
    await journal.move(job.account, job.external_task_id, JobUpdate(to, note=note, path=path))


def text_of(path: Path) -> str:
    """How the journal writes a path; blocks."""
    # A file name need not be text in any encoding, but the journal's columns are.
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")
