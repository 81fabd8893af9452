"""Every outcome is in the journal before it is told, and told also where it cannot be written."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    ContentRejectedError,
    Done,
    EffectTask,
    PollPolicy,
    SingleImageEffect,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.errors import JournalFullError
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.poller import Poller
from kling_effects_async.submitting.follower import Follower
from kling_effects_async.transport.clock import SystemClock
from tests.support.command_line import clean_environment
from tests.support.killed_when_told import NAME, SQUISH
from tests.support.polled_service import PolledService

LATER = SingleImageEffect("squish", image="https://img.example/b.jpg")
QUICK: dict[str, Any] = {"poll": PollPolicy(shortest_s=0.05)}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(
        clips=Clips.STOCK, speed=600, task_seconds=60.0, bearer_keys=["emulator-key"]
    ) as running:
        yield running


# -- a process that dies the moment it is told


async def killed(emulator: Emulator, journal: Path, way: str) -> JobState:
    """The state a process leaves behind that is told an outcome in this way, and killed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.killed_when_told"),
        *(emulator.url, str(journal), way, str(journal.parent)),
        env=clean_environment(journal.parent, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    async with asyncio.timeout(30):
        assert await child.wait() == -signal.SIGKILL
    async with SqliteStore(journal, read_only=True) as reader:
        (job,) = [job async for job in reader.jobs()]
        return job.state


@pytest.mark.parametrize(
    ("way", "state"),
    [
        ("by_submit", JobState.ACCEPTED),
        ("by_await", JobState.SUCCEEDED),
        ("by_iteration", JobState.SUCCEEDED),
        ("by_refresh", JobState.SUCCEEDED),
        ("by_run_many", JobState.SUCCEEDED),
        ("by_download", JobState.DOWNLOADED),
    ],
)
async def test_an_outcome_that_was_told_survives_a_kill(
    emulator: Emulator, tmp_path: Path, way: str, state: JobState
) -> None:
    """Fault 97: an outcome is reported before it is written."""
    assert await killed(emulator, tmp_path / "jobs.db", way) is state


async def test_a_failure_that_was_told_survives_a_kill(emulator: Emulator, tmp_path: Path) -> None:
    """Fault 97: an outcome is reported before it is written."""
    emulator.fail_next(Fault.task_failed())
    assert await killed(emulator, tmp_path / "jobs.db", "by_failure") is JobState.FAILED


async def test_a_rejection_that_was_told_survives_a_kill(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Fault 97: an outcome is reported before it is written."""
    emulator.fail_next(Fault.rejected(1301))
    assert await killed(emulator, tmp_path / "jobs.db", "by_rejection") is JobState.REJECTED


async def test_an_end_that_resume_told_survives_a_kill(emulator: Emulator, tmp_path: Path) -> None:
    """Fault 97: an outcome is reported before it is written."""
    assert await killed(emulator, tmp_path / "jobs.db", "by_submit") is JobState.ACCEPTED
    assert await killed(emulator, tmp_path / "jobs.db", "by_resume") is JobState.SUCCEEDED


# -- a disk that hangs


class HungJournal(SqliteStore):
    """A journal whose disk hangs when an end is written, until ``goes_on`` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.hangs = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        if update.to is JobState.SUCCEEDED:
            self.hangs.set()
            await self.goes_on.wait()
        await super().move(account, external_task_id, update)


async def last_of(task: EffectTask) -> None:
    async for _snapshot in task:
        pass


async def refreshed(task: EffectTask) -> None:
    await task.refresh()


async def awaited(task: EffectTask) -> None:
    await task


WAITS: list[Callable[[EffectTask], Coroutine[Any, Any, None]]] = [awaited, last_of, refreshed]


@pytest.mark.parametrize("wait", WAITS)
async def test_an_end_is_told_only_once_it_is_written(
    emulator: Emulator, tmp_path: Path, wait: Callable[[EffectTask], Coroutine[Any, Any, None]]
) -> None:
    """Fault 97: written first, then told; and one who is cancelled does not lose the writing."""
    async with (
        HungJournal(tmp_path / "jobs.db") as journal,
        emulator.client(journal=journal, **QUICK) as client,
    ):
        task = await client.submit(SQUISH, external_task_id=NAME)
        impatient = asyncio.create_task(awaited(task))
        await journal.hangs.wait()
        waiting = asyncio.create_task(wait(task))
        await (await client.submit(LATER)).refresh()  # many turns of the loop
        assert not waiting.done()
        assert not impatient.done()
        impatient.cancel()
        await asyncio.wait({impatient})
        journal.goes_on.set()
        await waiting
        assert [job.state for job in await journal.find(NAME)] == [JobState.SUCCEEDED]


# -- a disk that is full


async def never(_task_id: str) -> TaskSnapshot:
    raise AssertionError("nothing is polled here")


async def test_a_write_that_ended_just_now_holds_up_nobody() -> None:
    """Fault 33: the client closes, also between a write's end and its callback."""
    poller = Poller(PolledService(never), policy=PollPolicy(), clock=SystemClock(), rng=lambda: 0.5)
    follower = Follower(MemoryStore(), poller)
    writing = follower.write(asyncio.sleep(0, "at once"), "nothing")
    for _ in range(2):
        await asyncio.sleep(0)
    assert writing.done()  # its callback comes in the next turn of the loop
    await follower.written()
    await poller.aclose()


class FullJournal(SqliteStore):
    """A journal whose disk has no room for these states."""

    def __init__(self, path: Path, *without_room: JobState) -> None:
        super().__init__(path)
        self.without_room = without_room

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        if update.to in self.without_room:
            raise JournalFullError("no room")
        await super().move(account, external_task_id, update)


async def test_an_end_that_cannot_be_written_is_told_and_logged(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 28: journal disk full: what is paid for is delivered."""
    journal = FullJournal(tmp_path / "jobs.db", JobState.SUCCEEDED, JobState.DOWNLOADED)
    async with journal, emulator.client(journal=journal, **QUICK) as client:
        many = client.run_many([SQUISH], run="one", download_to=tmp_path)
        (outcome,) = [outcome async for outcome in many]
        assert isinstance(outcome, Done)
        assert outcome.path is not None
        assert outcome.path.exists()
    assert f"the end of task {outcome.result.task_id}, a restart will query it" in caplog.text
    assert "where the video of job" in caplog.text


async def test_a_rejection_that_cannot_be_written_is_told_and_logged(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 28: journal disk full: the caller learns what the service said."""
    emulator.fail_next(Fault.rejected(1301))
    journal = FullJournal(tmp_path / "jobs.db", JobState.REJECTED)
    async with journal, emulator.client(journal=journal, **QUICK) as client:
        with pytest.raises(ContentRejectedError):
            await client.submit(SQUISH, external_task_id=NAME)
        assert [job.state for job in await journal.find(NAME)] == [JobState.SUBMITTING]
    assert f"the rejection of job {NAME} cannot be written" in caplog.text
