"""A part of the soak test: one emulator, one journal, and a client that is opened repeatedly."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen

from kling_effects_async import EffectsClient, Job, JobState, Journal
from kling_effects_async.emulator import RepeatedId
from kling_effects_async.journal.job import OPEN
from tests.soak.work import Callers, finish, new_client

__all__ = ["Part", "Totals", "verdict", "work_through"]

_START_S = 30.0
# A pass may leave jobs whose polls failed, or that the service rejected for its pace.
_MAX_PASSES = 20


@define
class Totals:
    """What became of the tasks so far.

    Attributes:
        done: tasks whose callers have their results.
        uncertain: jobs that are listed for a person to decide about.
        lost: charged for and not in the journal, or never brought to an end.
        doubled: jobs that were charged for more than once.
        unclosed: sessions and files that were collected unclosed, and lost exceptions.
        is_working: a client is open, with callers.
    """

    done: int = 0
    uncertain: int = 0
    lost: list[str] = field(factory=list)
    doubled: list[str] = field(factory=list)
    openings: int = 0
    parts: int = 0
    unclosed: int = 0
    is_working: bool = False

    def count_done(self) -> None:
        self.done += 1


@frozen(kw_only=True)
class Part:
    """How long it goes on, and what is drawn in it.

    Attributes:
        openings: how often the client is opened.
        opening_s: how long it works each time.
    """

    folder: Path
    repeated: RepeatedId
    openings: int
    opening_s: float
    random: Random


async def work_through(part: Part, totals: Totals) -> None:
    """Work, finish everything, and compare the journal with the ledger."""
    totals.parts += 1
    async with _running_service(part) as url:
        journal = part.folder / f"part-{totals.parts}.db"
        names = _names(f"soak-{totals.parts}")
        for _ in range(part.openings):
            totals.openings += 1
            await _work_once(part, totals, new_client(url, journal), names)
        totals.openings += 1
        await _finish_all(new_client(url, journal), journal, totals)
        tasks = await asyncio.to_thread(_charged, url)
    async with Journal(journal, read_only=True) as reader:
        verdict(totals, {job.external_task_id: job async for job in reader.jobs()}, tasks)
    for file in part.folder.glob(f"{journal.name}*"):
        file.unlink()


async def _work_once(
    part: Part, totals: Totals, client: EffectsClient, names: Iterable[str]
) -> None:
    iterator = iter(names)
    async with client, asyncio.TaskGroup() as others:
        callers = Callers(
            client,
            names=lambda: next(iterator),
            count=totals.count_done,
            folder=part.folder,
            random=part.random,
        )
        async with callers.working():
            totals.is_working = True
            others.create_task(finish(client, totals.count_done))
            await asyncio.sleep(part.opening_s * part.random.uniform(0.5, 1.0))
            totals.is_working = False
            if part.random.random() < 0.5:
                callers.are_stopped = True
                await client.aclose()  # while they wait for it
        await client.aclose()  # ends what is being finished, too


async def _finish_all(client: EffectsClient, journal: Path, totals: Totals) -> None:
    for _ in range(_MAX_PASSES):
        async with client:
            await finish(client, totals.count_done)
        async with Journal(journal, read_only=True) as reader:
            counts = await reader.counts()
        if not sum(counts[state] for state in OPEN - {JobState.UNCERTAIN}):
            return


def verdict(totals: Totals, jobs: Mapping[str, Job], tasks: Mapping[str, list[str]]) -> None:
    """Add what became of the jobs.

    Args:
        jobs: what the journal holds, by external id.
        tasks: what was charged for, by external id.
    """
    totals.doubled += [name for name, charged in tasks.items() if len(charged) > 1]
    totals.lost += [
        name for name, charged in tasks.items() if not _is_known(jobs.get(name), charged)
    ]
    totals.lost += [name for name, job in jobs.items() if not _has_ended(job, name in tasks)]
    totals.uncertain += sum(job.state is JobState.UNCERTAIN for job in jobs.values())


def _is_known(job: Job | None, charged: list[str]) -> bool:
    return job is not None and (job.state is JobState.UNCERTAIN or job.task_id in charged)


def _has_ended(job: Job, is_charged: bool) -> bool:
    if job.state is JobState.SUCCEEDED:
        return is_charged
    return job.state is JobState.UNCERTAIN or job.state not in OPEN


def _names(prefix: str) -> Iterable[str]:
    return (f"{prefix}-{number}" for number in count())


def _charged(url: str) -> Mapping[str, list[str]]:
    with urllib.request.urlopen(f"{url}/_emulator/ledger", timeout=_START_S) as answer:
        entries: list[dict[str, Any]] = json.load(answer)["entries"]
    tasks: dict[str, list[str]] = {}
    for entry in entries:
        tasks.setdefault(entry["external_task_id"], []).append(entry["task_id"])
    return tasks


@asynccontextmanager
async def _running_service(part: Part) -> AsyncIterator[str]:
    seed = str(part.random.randrange(10**6))
    words = ["-m", "tests.soak.service", part.repeated.value, seed]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_S):
            url = (await process.stdout.readline()).decode().strip()
        yield url
    finally:
        process.kill()
        await process.communicate()
