"""Opening and closing: which loop, which thread, which file, and who may read it."""

# ruff: noqa: ASYNC110 - a test looks at its own files, and can wait for nothing else

from __future__ import annotations

import asyncio
import stat
import threading
from pathlib import Path

import pytest

from kling_effects_async.errors import (
    JournalError,
)
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.journal_files import (
    A,
    job,
    one_batch,
    posix_only,
)


async def test_a_journal_that_is_not_open_says_so(path: Path) -> None:
    journal = SqliteStore(path)
    with pytest.raises(RuntimeError, match="journal is closed"):
        await journal.add(job())
    async with journal:
        with pytest.raises(RuntimeError, match="open already"):
            await journal.open()
    with pytest.raises(RuntimeError, match="journal is closed"):
        await journal.get(A, "order-42")
    await journal.aclose()


async def test_closing_ends_the_thread(path: Path) -> None:
    async with SqliteStore(path):
        pass
    assert "kling-effects-journal" not in {thread.name for thread in threading.enumerate()}


async def test_a_journal_serves_another_event_loop(journal: SqliteStore) -> None:
    added = await asyncio.to_thread(lambda: asyncio.run(journal.add(job())))
    assert await journal.get(A, "order-42") == added


async def test_a_loop_that_is_gone_holds_up_nobody(journal: SqliteStore) -> None:
    async def ask_and_go() -> None:
        task = asyncio.create_task(journal.add(job()))
        await asyncio.sleep(0)
        task.cancel()

    async with one_batch(journal):
        await asyncio.to_thread(lambda: asyncio.run(ask_and_go()))
    assert await journal.get(A, "order-42") == job()


async def test_a_forgotten_journal_is_told_and_closed(path: Path) -> None:
    journal = SqliteStore(path)
    await journal.open()
    with pytest.warns(ResourceWarning, match="unclosed journal"):
        del journal
    await opened_again(path)


async def opened_again(path: Path) -> None:
    """Wait for the thread that nobody else waits for; then the file must be free."""
    while "kling-effects-journal" in {thread.name for thread in threading.enumerate()}:
        await asyncio.sleep(0)
    async with SqliteStore(path):
        pass


async def test_an_opening_that_is_cancelled_lets_go_of_the_file(path: Path) -> None:
    opening = asyncio.create_task(SqliteStore(path).open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await opened_again(path)


@posix_only
async def test_others_of_the_machine_cannot_read_it(journal: SqliteStore, path: Path) -> None:
    await journal.add(job())
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(files.values()) == {0o600}
    assert set(files) == {"effects.db", "effects.db-wal", "effects.db-shm", "effects.db.lock"}


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="nowhere"):
        await SqliteStore(tmp_path / "nowhere" / "effects.db").open()
