"""One living process owns a journal; others read it, and a dead owner is no owner."""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async.errors import (
    JournalBusyError,
    JournalError,
)
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite import ownership, times
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.testing import ManualClock
from tests.support.journal_files import (
    NOON,
    A,
    database,
    filled,
    job,
    line_of,
    posix_only,
    process,
)


async def test_a_second_process_is_rejected_and_told_who_owns_it(path: Path) -> None:
    """Fault 29: two processes on one journal."""
    async with process("hold", path) as owner:
        assert await line_of(owner) == "open"
        with pytest.raises(JournalBusyError, match=f"process {owner.pid} on ") as caught:
            await SqliteStore(path).open()
    assert caught.value.pid == owner.pid
    assert caught.value.host
    assert caught.value.since is not None


async def test_a_second_journal_of_one_process_is_rejected(
    journal: SqliteStore, path: Path
) -> None:
    """Fault 29, within one process."""
    with pytest.raises(JournalBusyError) as caught:
        await SqliteStore(path).open()
    assert caught.value.pid == os.getpid()


@posix_only
async def test_the_journal_of_a_killed_process_opens_at_once(path: Path) -> None:
    """Fault 25: go on from the journal."""
    async with process("hold", path) as owner:
        await line_of(owner)
    async with SqliteStore(path) as journal:
        assert await journal.counts()


async def test_an_owner_that_closes_leaves_nothing_to_find_out(path: Path) -> None:
    async with SqliteStore(path):
        pass
    with database(path) as connection:
        assert connection.execute("SELECT count(*) FROM lease").fetchone() == (0,)


@posix_only
async def test_a_child_left_behind_does_not_keep_the_journal(path: Path) -> None:
    async with process("orphan", path) as owner:
        child = int(await line_of(owner))
        owner.kill()
        await owner.wait()
        try:
            async with SqliteStore(path) as journal:
                assert await journal.counts()
        finally:
            os.kill(child, signal.SIGKILL)


@posix_only
async def test_a_forked_child_is_told_to_open_its_own(path: Path) -> None:
    """Fault 68: after a fork."""
    async with process("fork", path) as parent:
        assert "belongs to the parent process" in await line_of(parent)
        assert await line_of(parent) == "1"


async def test_others_may_read_while_it_is_owned(journal: SqliteStore, path: Path) -> None:
    await journal.add(job())
    async with SqliteStore(path, read_only=True) as reader:
        assert await reader.get(A, "order-42") == job()
        with pytest.raises(JournalError, match="reading only"):
            await reader.move(A, "order-42", JobUpdate(JobState.SUBMITTING))
    await journal.move(A, "order-42", JobUpdate(JobState.SUBMITTING))


async def test_reading_makes_no_journal(path: Path) -> None:
    with pytest.raises(JournalError, match="no journal at"):
        await SqliteStore(path, read_only=True).open()
    assert not path.exists()


def write_owner(path: Path, *, host: str = "elsewhere", process: str = "") -> None:
    with database(path) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO lease VALUES (1, 'token', 4711, ?, ?, ?)",
            (host, process, times.us_of(NOON + timedelta(days=3650))),
        )


@pytest.mark.parametrize("since_noon", [timedelta(0), timedelta(days=-3650)])
async def test_a_row_of_another_boot_or_machine_is_a_dead_owners_at_once(
    path: Path, since_noon: timedelta
) -> None:
    """Fault 87, 65: a container that died, and a clock that was set by ten years."""
    await filled(path)
    write_owner(path, process="another boot:1")
    async with SqliteStore(path, clock=ManualClock(NOON + since_noon).now) as journal:
        assert await journal.get(A, "1") is not None


async def test_an_owner_that_lost_the_journal_writes_nothing_more(
    journal: SqliteStore, path: Path
) -> None:
    await journal.add(job())
    write_owner(path)
    for _ in range(2):
        with pytest.raises(JournalBusyError, match="4711 on elsewhere"):
            await journal.move(A, "order-42", JobUpdate(JobState.SUBMITTING))
    assert await journal.get(A, "order-42") == job()


HERE = ownership.this_process(NOON)


@pytest.mark.skipif(not HERE.process, reason="no /proc")
@pytest.mark.parametrize(
    "owner",
    [
        HERE,  # a journal of this process that was closed, and whose row could not be deleted
        evolve(HERE, process="an earlier process with this pid"),
        evolve(HERE, pid=2**22 + 1),
        evolve(HERE, pid=1, process=""),
    ],
)
def test_an_owner_whose_process_is_not_there_is_dead(owner: ownership.Owner) -> None:
    assert not ownership.is_alive(owner, here=HERE)


@pytest.mark.skipif(not HERE.process, reason="no /proc")
def test_the_owners_process_lives_under_whatever_name_of_the_machine() -> None:
    pid = os.getppid()
    parent = evolve(
        HERE, pid=pid, process=ownership.process_mark(pid), host="before it was renamed"
    )
    assert ownership.is_alive(parent, here=HERE)


@pytest.mark.skipif(not HERE.process, reason="no /proc")
def test_a_process_that_is_dead_and_not_taken_note_of_is_dead() -> None:
    """Fault 87: a container's first process may never take note of its children's ends."""
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child}").exists()
    assert ownership.process_mark(child) == ""
    os.waitpid(child, 0)
