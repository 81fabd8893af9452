"""A process that uses a journal and can be killed; started by the journal's tests.

write PATH NAME    write as fast as it can; a line for each write that was acknowledged
hold PATH          own the journal until killed
fork PATH          own it, and print what a forked child meets
orphan PATH        own it, and leave a forked child behind when killed
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import warnings
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime

from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore

WAY = (JobState.SUBMITTING, JobState.UNCERTAIN, JobState.ACCEPTED, JobState.SUCCEEDED)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # whole lines, even if we are killed


def job(external_task_id: str) -> Job:
    return Job(
        account="account",
        external_task_id=external_task_id,
        scene="squish",
        fingerprint="f" * 64,
        effect='{"image": "cat.jpg"}',
        created_at=datetime.now(UTC),
    )


async def write(path: str, name: str) -> None:
    async with SqliteStore(path) as journal:
        await asyncio.gather(*(write_jobs(journal, f"{name}-{number}") for number in range(64)))


async def write_jobs(journal: SqliteStore, name: str) -> None:
    for number in range(10_000):
        added = await journal.add(job(f"{name}-{number}"))
        say(f"{added.external_task_id} {added.state}")
        for state in WAY:
            await journal.move("account", added.external_task_id, JobUpdate(state))
            say(f"{added.external_task_id} {state}")


async def hold(path: str) -> None:
    async with SqliteStore(path):
        say("open")
        await asyncio.Event().wait()


async def fork(path: str) -> None:
    async with SqliteStore(path) as journal:
        await journal.add(job("of the parent"))
        child = os.fork()
        if child == 0:
            try:
                await journal.add(job("of the child"))
            except RuntimeError as error:
                say(str(error))
            os._exit(0)
        os.waitpid(child, 0)  # noqa: ASYNC222 - it ends at once
        say(str((await journal.counts())[JobState.PLANNED]))


async def orphan(path: str) -> None:
    async with SqliteStore(path):
        child = os.fork()
        if child == 0:
            os.close(1)  # or who reads what we say would wait for the child, too
            signal.pause()
        say(str(child))
        await asyncio.Event().wait()


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what is tested
    task, *arguments = sys.argv[1:]
    tasks: dict[str, Callable[..., Coroutine[None, None, None]]]
    tasks = {"write": write, "hold": hold, "fork": fork, "orphan": orphan}
    asyncio.run(tasks[task](*arguments))
