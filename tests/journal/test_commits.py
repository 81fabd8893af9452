"""What was acknowledged is on the disk, and writes that wait together are one commit."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from kling_effects_async.errors import (
    JournalError,
)
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.journal_files import (
    A,
    job,
    line_of,
    on_its_connection,
    one_batch,
    posix_only,
    process,
)
from tests.support.journal_process import WAY


def commits_in(path: Path) -> int:
    """The commits in the write-ahead log; a frame that ends one tells the size of the database.

    Source: sqlite.org, "Database File Format", 4.1.
    """
    log = path.with_name(f"{path.name}-wal").read_bytes()
    page_size = int.from_bytes(log[8:12])
    frames = range(32, len(log), 24 + page_size)
    salts = log[16:24]
    ends = (log[at + 4 : at + 8] for at in frames if log[at + 8 : at + 16] == salts)
    return sum(any(end) for end in ends)


async def killed_in_the_middle(path: Path, name: str) -> list[str]:
    """What a process was told to be written before it was killed: job and state."""
    async with process("write", path, name) as child:
        told = [await line_of(child) for _ in range(300)]
        child.kill()
        assert child.stdout is not None
        return told + (await child.stdout.read()).decode().splitlines()


@posix_only
async def test_everything_acknowledged_is_there_after_a_kill(path: Path) -> None:
    """Fault 23 and 26: whoever was told that it is written finds it, whatever came then."""
    told = [line for kill in range(4) for line in await killed_in_the_middle(path, f"kill {kill}")]
    assert len({line.rsplit("-", 2)[0] for line in told}) == 4
    order = {state: number for number, state in enumerate((JobState.PLANNED, *WAY))}
    async with SqliteStore(path) as journal:
        for line in told:
            name, _, word = line.rpartition(" ")
            held = await journal.get(A, name)
            assert held is not None
            assert order[held.state] >= order[JobState(word)]


async def test_a_commit_waits_for_the_disk(journal: SqliteStore) -> None:
    """Fault 26: only FULL survives a power cut."""

    def pragmas(connection: sqlite3.Connection) -> list[object]:
        names = ("synchronous", "journal_mode", "fullfsync")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    full = 2
    assert await on_its_connection(journal, pragmas) == [full, "wal", 1]


async def test_writes_that_wait_together_are_one_commit(journal: SqliteStore, path: Path) -> None:
    names = [str(number) for number in range(500)]
    await asyncio.gather(*(journal.add(job(name)) for name in names))
    before = commits_in(path)
    async with one_batch(journal):
        moves = [
            asyncio.create_task(journal.move(A, name, JobUpdate(JobState.SUBMITTING)))
            for name in names
        ]
    await asyncio.gather(*moves)
    assert commits_in(path) - before == 1


async def test_a_bad_write_does_not_spoil_the_others_of_its_commit(journal: SqliteStore) -> None:
    async with one_batch(journal):
        good = asyncio.create_task(journal.add(job("good")))
        bad = asyncio.create_task(journal.add(job("\ud800")))
        moved = asyncio.create_task(journal.move(A, "nobody", JobUpdate(JobState.SUBMITTING)))
        late = asyncio.create_task(journal.add(job("late")))
    with pytest.raises(UnicodeEncodeError):
        await bad
    with pytest.raises(JournalError):
        await moved
    assert [await good, await late] == [held async for held in journal.jobs()]


async def test_who_reads_gets_what_was_written_before(journal: SqliteStore) -> None:
    async with one_batch(journal):
        write = asyncio.create_task(journal.add(job()))
        read = asyncio.create_task(journal.get(A, "order-42"))
    assert await read == await write


async def test_a_cancelled_write_is_written_all_the_same(journal: SqliteStore) -> None:
    async with one_batch(journal):
        write = asyncio.create_task(journal.add(job()))
        other = asyncio.create_task(journal.add(job("other")))
        await asyncio.sleep(0)
        write.cancel()
    await other
    assert write.cancelled()
    assert await journal.get(A, "order-42") == job()


async def test_closing_writes_what_waits(path: Path) -> None:
    async with SqliteStore(path) as journal:
        writes = [asyncio.create_task(journal.add(job(str(number)))) for number in range(100)]
        await asyncio.sleep(0)
    assert all(write.done() for write in writes)
    async with SqliteStore(path, read_only=True) as journal:
        assert (await journal.counts())[JobState.PLANNED] == 100
