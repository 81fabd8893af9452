"""A command line that was run before: what its job left is looked at before anything is sent."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from kling_effects_async import Job, JobState, Journal, Service
from kling_effects_async.cli.collect import Report
from kling_effects_async.cli.earlier import greeting, reject_ended, reject_of_other_account
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.run_journal import text_of
from kling_effects_async.cli.talk import say
from kling_effects_async.cli.target import Target
from kling_effects_async.cli.trail import Trail

__all__ = ["report_of_earlier"]


async def report_of_earlier(
    job: Job, journal: Journal, service: Service, trail: Trail
) -> Report | None:
    """What the same command line made before, if its video is still where this one's goes.

    ``None``: there is something to do, to the end or from the beginning.

    Raises:
        Failure: it failed, was given up, belongs to another account, or its output is taken.
    """
    assert trail.journal is not None
    reject_of_other_account(
        await journal.find(job.external_task_id),
        job,
        journal=trail.journal,
        given_service=trail.service,
        one_more=trail.one_more or "",
    )
    held = await journal.get(job.account, job.external_task_id)
    if held is None or held.fingerprint != job.fingerprint:
        await asyncio.to_thread(trail.target.check)
        return None
    return await _taken_up(held, service, trail)


async def _taken_up(held: Job, service: Service, trail: Trail) -> Report | None:
    one_more = trail.one_more or ""
    reject_ended(held, one_more)
    trail.task_id = held.task_id
    name = trail.name if held.task_id else None
    words = greeting(held, one_more)
    trail.path = await asyncio.to_thread(_saved, held, trail.target, name)
    if trail.path is not None:
        where = await asyncio.to_thread(text_of, trail.path)
        say(f"this job was done before, and is not paid again: its video is {where}; {one_more}")
        return _report(held, trail.path, service, trail)
    try:
        await asyncio.to_thread(trail.target.check, name)
    except Failure as error:
        known = [words] if words is not None and held.task_id is not None else []
        raise Failure(error.code, [*error.lines, *known]) from None
    if words is not None:
        say(words)
    return None


def _is_its_video(held: Job, path: str, target: Target) -> bool:
    """Whether the file that is there is this job's video, and nothing else of that name."""
    if held.state is JobState.SUCCEEDED:
        # A file called after the task appears when its video is whole; a kill can come before the
        # journal knows of it.
        return target.is_folder
    return held.state is JobState.DOWNLOADED and held.path == path


def _saved(held: Job, target: Target, name: str | None) -> Path | None:
    """The job's video, if it is where this command line wants it. Blocks.

    Who names no place is content with the one that the journal names.
    """
    path = target.path(name or "")
    if target.is_taken(name) and _is_its_video(held, text_of(path), target):
        return path
    if target.is_chosen or target.overwrite or held.state is not JobState.DOWNLOADED:
        return None
    return Path(held.path) if held.path and os.path.isfile(held.path) else None


def _report(held: Job, path: Path, service: Service, trail: Trail) -> Report:
    return Report(
        path=str(path),
        task_id=held.task_id or "",
        external_task_id=held.external_task_id,
        scene=trail.scene,
        service=service.name,
        duration_s=None,
        units=None if held.units is None else f"{held.units:f}",
        created_at=None,
        updated_at=None,
        is_preview=False,
    )
