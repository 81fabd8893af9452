"""Jobs in a journal, and the command ``kling-effects jobs`` that works on them."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from kling_effects_async import (
    BearerToken,
    Job,
    JobState,
    Service,
    SingleImageEffect,
    Transition,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.job import JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.account import account_name
from kling_effects_async.submitting.planning import make_job
from tests.support.command_line import Ended, kling, kling_at

__all__ = [
    "AT_ONCE",
    "NEVER",
    "NOW",
    "NO_LOOK",
    "SECRET",
    "SQUISH",
    "URL",
    "WAYS",
    "account_at",
    "emulator",
    "go_on",
    "history",
    "jobs",
    "jobs_at",
    "line_with",
    "read",
    "submitted",
    "write",
]

SECRET = "a-signature-that-must-not-be-seen"
URL = f"https://img.example/a.jpg?sign={SECRET}"
SQUISH = SingleImageEffect("squish", image=URL)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
AT_ONCE = 1e6  # tasks take 40 to 90 emulated seconds
NEVER = 0.001
# A lookup of the task gets no answer, and no second try is made.
NO_LOOK = Fault.json(403, {"code": 1103, "message": "no right to look"}, on="query")
# How a job comes to each state.
WAYS = {
    JobState.PLANNED: (),
    JobState.SUBMITTING: (JobState.SUBMITTING,),
    JobState.UNCERTAIN: (JobState.SUBMITTING, JobState.UNCERTAIN),
    JobState.ACCEPTED: (JobState.SUBMITTING, JobState.ACCEPTED),
    JobState.SUCCEEDED: (JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED),
    JobState.FAILED: (JobState.SUBMITTING, JobState.ACCEPTED, JobState.FAILED),
    JobState.DOWNLOADED: (
        JobState.SUBMITTING,
        JobState.ACCEPTED,
        JobState.SUCCEEDED,
        JobState.DOWNLOADED,
    ),
    JobState.REJECTED: (JobState.REJECTED,),
    JobState.ABANDONED: (JobState.ABANDONED,),
}


def emulator(**options: object) -> Emulator:
    return Emulator(**{"clips": Clips.STOCK, "speed": AT_ONCE, **options})  # type: ignore[arg-type]  # as written


def account_at(at: Emulator, key: str | None = None) -> str:
    return account_name(Service.gateway(at.url), BearerToken(key or at.api_key))


async def write(
    db: Path, name: str, state: JobState, *, account: str = "gateway-0", task_id: str | None = None
) -> None:
    """A job that came to this state; an effect whose address is signed."""
    job = make_job(
        SQUISH, account=account, external_task_id=name, image_hashes=[image_hash(URL)], now=NOW
    )
    async with SqliteStore(db) as journal:
        await journal.add(job)
        for step in WAYS[state]:
            has_task = step is JobState.ACCEPTED
            has_cost = step is JobState.SUCCEEDED
            await journal.move(
                account,
                name,
                JobUpdate(
                    step,
                    note=f"see {URL}" if step is JobState.UNCERTAIN else "",
                    message=f"see {URL}" if step is JobState.UNCERTAIN else None,
                    task_id=(task_id or f"task-of-{name}") if has_task else None,
                    units=Decimal("2.5") if has_cost else None,
                    result=json.dumps({"videos": [URL]}) if has_cost else None,
                ),
            )


async def submitted(at: Emulator, name: str) -> str:
    """The id of a task that the service has, and nobody wrote down."""
    async with at.client() as client:
        return (await client.submit(SQUISH, external_task_id=name)).task_id or ""


async def read(db: Path) -> dict[str, Job]:
    async with SqliteStore(db, read_only=True) as journal:
        return {job.external_task_id: job async for job in journal.jobs()}


async def history(db: Path, job: Job) -> Sequence[Transition]:
    async with SqliteStore(db, read_only=True) as journal:
        return await journal.history(job.account, job.external_task_id)


async def jobs(db: Path, *arguments: object, **environ: str) -> Ended:
    """``kling-effects jobs`` without a key."""
    environ = {"KLING_JOURNAL": db.name, **environ}
    return await asyncio.to_thread(kling, "jobs", *arguments, folder=db.parent, **environ)


async def jobs_at(at: Emulator, db: Path, command: str, *arguments: object) -> Ended:
    given = ["jobs", command, "--journal", db.name, *arguments]
    return await kling_at(at, *given, folder=db.parent)


async def go_on(at: Emulator, line: str, folder: Path) -> Ended:
    """Do what a line of the command says."""
    return await kling_at(at, *shlex.split(line.partition(": kling-effects ")[2]), folder=folder)


def line_with(ended: Ended, words: str) -> str:
    (line,) = [line for line in ended.err.splitlines() if words in line]
    return line
