"""A job, the steps it takes, and the journal's file as other programs and processes see it."""

# ruff: noqa: ASYNC110 - a test looks at its own files, and can wait for nothing else

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support import journal_process

T = TypeVar("T")

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
A = "account"
PROGRAM = Path(journal_process.__file__)
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks")


def job(external_task_id: str = "order-42", **members: object) -> Job:
    usual: dict[str, object] = {
        "account": A,
        "external_task_id": external_task_id,
        "scene": "squish",
        "fingerprint": "f" * 64,
        "effect": '{"image": "cat.jpg"}',
        "created_at": NOON,
    }
    return Job(**{**usual, **members})  # type: ignore[arg-type]  # each test gives the right ones


async def moved(
    journal: SqliteStore, to: JobState, external_task_id: str = "order-42", **news: Any
) -> Job:
    """Move a job, and read what is held then."""
    await journal.move(A, external_task_id, JobUpdate(to, **news))
    held = await journal.get(A, external_task_id)
    assert held is not None
    return held


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as any other program sees it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def on_its_connection(journal: SqliteStore, act: Callable[[sqlite3.Connection], T]) -> T:
    """Call this on the thread and the connection that the journal writes with."""
    return await journal.connection.read(
        act
    )  # limits and pragmas of one connection are nowhere public


@asynccontextmanager
async def one_batch(journal: SqliteStore) -> AsyncIterator[None]:
    """What is started inside meets in one transaction, which begins afterwards."""
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        is_held.set()
        may_go_on.wait()

    plug = asyncio.create_task(on_its_connection(journal, hold))
    while not is_held.is_set():
        await asyncio.sleep(0)
    yield
    await asyncio.sleep(0)
    may_go_on.set()
    await plug


@asynccontextmanager
async def process(*arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that uses a journal, dead in the end."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def line_of(child: asyncio.subprocess.Process) -> str:
    assert child.stdout is not None
    return (await child.stdout.readline()).decode().strip()


async def filled(path: Path) -> bytes:
    """A closed journal with some pages in it; its bytes."""
    async with SqliteStore(path) as journal:
        await asyncio.gather(*(journal.add(job(str(number))) for number in range(100)))
    return path.read_bytes()
