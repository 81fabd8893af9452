"""A journal that lost its tail says so, and a damaged row is one kind of error."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from kling_effects_async.errors import JournalDamagedError, JournalError
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite import schema, sqlite_file
from kling_effects_async.journal.sqlite.commits import loss
from kling_effects_async.journal.sqlite.lock import lock_path, number_beside
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.planning import effect_of
from tests.support.journal_files import NOON, database, job, line_of, process
from tests.support.paid_service import ACCOUNT, a_job

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "effects.db"


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What we said; asyncio has its own words for children that were killed."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("kling_effects_async")
    ]


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


async def killed(path: Path, writes: int = 60) -> None:
    """A journal whose process was killed while it wrote."""
    async with process("write", path, "a") as child:
        for _ in range(writes):
            await line_of(child)
        child.kill()
        assert child.stdout is not None
        await child.stdout.read()


async def misses_rows(path: Path, *, read_only: bool = False) -> bool:
    async with SqliteStore(path, read_only=read_only) as journal:
        return journal.misses_rows


def without_log(path: Path) -> None:
    log_of(path).unlink()


def with_half_a_log(path: Path) -> None:
    os.truncate(log_of(path), log_of(path).stat().st_size // 2)


def with_a_bit_flipped(path: Path) -> None:
    content = bytearray(log_of(path).read_bytes())
    content[len(content) // 2] ^= 4
    log_of(path).write_bytes(content)


def without_database(path: Path) -> None:
    path.unlink()
    log_of(path).unlink()


def without_lock(path: Path) -> None:
    lock_path(path).unlink()


def with_odd_lock(path: Path) -> None:
    lock_path(path).write_text("no number")


LOSSES = [
    (without_log, "lost its last"),
    (with_half_a_log, "lost its last"),
    (with_a_bit_flipped, "lost its last"),
    (without_database, "an earlier journal of this name is gone"),
    (without_lock, "does not hold the number"),
    (with_odd_lock, "does not hold the number"),
]


@posix_only
@pytest.mark.parametrize(("lose", "said"), LOSSES)
async def test_a_journal_that_lost_its_tail_says_so_and_remembers_it(
    path: Path, caplog: pytest.LogCaptureFixture, lose: Callable[[Path], None], said: str
) -> None:
    """Fault 88: the journal without its log, cut, or with a flipped bit."""
    await killed(path, 600)  # some ten commits: the last may not be told beside yet
    lose(path)
    if path.exists():
        assert await misses_rows(path, read_only=True)
    assert told(caplog) == []
    assert await misses_rows(path)
    [message] = told(caplog)
    assert said in message
    assert str(path) in message
    assert "looked up at the service before it is submitted" in message
    for is_read_only in (True, False):
        assert await misses_rows(path, read_only=is_read_only)
    assert len(told(caplog)) == 1


@posix_only
async def test_a_kill_loses_nothing_and_is_no_loss(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 88, 26: there is no false alarm, whenever the process was killed."""
    for writes in (1, 7, 60):
        await killed(path, writes)
        assert not await misses_rows(path, read_only=True)
        assert not await misses_rows(path)
    assert told(caplog) == []


async def test_a_number_that_was_not_written_in_time_is_no_loss(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 88, 26: a power cut keeps the database, which is synced, and not the last numbers."""
    async with SqliteStore(path) as journal:
        early = lock_path(path).read_bytes()
        for name in "abc":
            await journal.add(job(name))
    lock_path(path).write_bytes(early)
    assert not await misses_rows(path, read_only=True)
    assert not await misses_rows(path)
    assert told(caplog) == []


async def test_the_number_beside_a_journal_is_that_of_its_last_commit(path: Path) -> None:
    async with SqliteStore(path) as journal:
        begun = number_beside(path)
        assert begun is not None
        for name in "abc":
            await journal.add(job(name))
        with pytest.raises(JournalError):
            await journal.move("account", "nobody", JobUpdate(JobState.SUBMITTING))
        assert number_beside(path) == begun + 4
    with database(path) as connection:
        assert connection.execute("SELECT number FROM commits").fetchone() == (begun + 4,)


async def test_a_new_journal_and_one_of_an_older_version_miss_nothing(path: Path) -> None:
    assert not await misses_rows(path)
    old = path.with_name("old.db")
    before = schema.MIGRATIONS[: schema.NUMBERED_SINCE - 1]

    def make() -> None:
        sqlite_file.create(old)
        connection = sqlite_file.connect(old)
        sqlite_file.migrate(connection, old, version=0, stamp="now", scripts=before)
        connection.close()

    await asyncio.to_thread(make)
    assert not await misses_rows(old)


async def test_a_first_opening_that_is_cut_short_is_no_loss(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 88, 25: the tables are there, and nothing else of the opening."""

    def clock() -> datetime:
        if path.exists() and path.stat().st_size:
            raise ZeroDivisionError
        return NOON

    with pytest.raises(ZeroDivisionError):
        await SqliteStore(path, clock=clock).open()
    with database(path) as connection:
        assert connection.execute("SELECT number FROM commits").fetchone() == (0,)
    assert not await misses_rows(path)
    assert told(caplog) == []


async def test_what_was_only_planned_before_a_loss_counts_as_sent(path: Path) -> None:
    """Fault 88: its later lines may be lost, and its task is ours."""
    async with SqliteStore(path) as journal:
        for name in ("planned", "rejected"):
            await journal.add(job(name))
        await journal.move("account", "rejected", JobUpdate(JobState.REJECTED))
    lock_path(path).write_text(f"{10**6:020}\n")
    async with SqliteStore(path) as journal:
        assert [held.was_sent async for held in journal.jobs()] == [True, True]
        later = await journal.add(job("later"))
        assert not later.was_sent


async def test_an_older_copy_of_a_journal_in_its_place_misses_rows(path: Path) -> None:
    """Fault 88: a backup that was put back."""
    async with SqliteStore(path) as journal:
        await journal.add(job("a"))
    shutil.copy(path, path.with_name("backup.db"))
    async with SqliteStore(path) as journal:
        await journal.add(job("b"))
    shutil.copy(path.with_name("backup.db"), path)
    assert await misses_rows(path)


@posix_only
async def test_an_empty_file_is_not_begun_while_the_log_holds_the_last_writes(path: Path) -> None:
    """Fault 88: SQLite would delete the log."""
    await killed(path)
    log = log_of(path).read_bytes()
    os.truncate(path, 0)
    with pytest.raises(JournalDamagedError, match="empty, and the log") as caught:
        await SqliteStore(path).open()
    assert caught.value.path is not None
    assert log_of(caught.value.path).read_bytes() == log


@pytest.mark.parametrize("way", ["start_fresh", "marker deleted"])
@pytest.mark.parametrize("has_lock", [True, False])
async def test_what_begins_in_place_of_a_damaged_journal_misses_rows(
    path: Path, way: str, has_lock: bool
) -> None:
    """Fault 27: its jobs may be paid for."""
    async with SqliteStore(path):
        pass
    os.truncate(path, path.stat().st_size // 2)
    if not has_lock:
        lock_path(path).unlink()
    with pytest.raises(JournalDamagedError):
        await SqliteStore(path).open()
    if way == "marker deleted":
        path.with_name("effects.db.damaged").unlink()
    async with SqliteStore(path, start_fresh=way == "start_fresh") as journal:
        assert journal.misses_rows


def test_whether_something_is_lost_is_told_by_two_numbers() -> None:
    where = Path("effects.db")
    assert loss(where, inside=7, beside=7) is None
    assert loss(where, inside=8, beside=7) is None
    assert loss(where, inside=0, beside=0) is None
    assert loss(where, inside=7, beside=9) == "effects.db lost its last 2 of 9 commits"
    assert "begins anew" in (loss(where, inside=0, beside=9) or "")
    assert "does not hold" in (loss(where, inside=7, beside=None) or "")


# -- damaged rows


DAMAGES = [
    "state = 'acceptee'",
    "created_us = 9000000000000000000",
    "updated_us = -9000000000000000000",
    "units = 'three'",
    "message = CAST(x'ff41' AS TEXT)",
    "external_task_id = CAST(x'ff41' AS TEXT)",
    "expected_units = 'three'",
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_row_is_a_damaged_journal_whoever_reads_it(path: Path, damage: str) -> None:
    """Fault 88: never a ``KeyError``."""
    async with SqliteStore(path) as journal:
        await journal.add(a_job("a"))
        with database(path) as connection:
            connection.execute(f"UPDATE jobs SET {damage}")
            connection.execute("UPDATE jobs SET task_id = 't'")
        with pytest.raises(JournalDamagedError, match=f"{path} is damaged"):
            await journal.find("t")
        with pytest.raises(JournalDamagedError):
            [_ async for _ in journal.jobs()]
        await journal.add(a_job("b"))  # a damaged row spoils no other


@pytest.mark.parametrize("damage", DAMAGES[:4])
async def test_a_damaged_row_is_found_when_the_journal_is_opened(path: Path, damage: str) -> None:
    """Fault 88, 27: it is moved aside, as it is where SQLite finds the damage."""
    async with SqliteStore(path) as journal:
        await journal.add(a_job("a"))
    with database(path) as connection:
        connection.execute(f"UPDATE jobs SET {damage}")
    with pytest.raises(JournalDamagedError, match="moved aside"):
        await SqliteStore(path).open()


async def test_a_damaged_cost_is_a_damaged_journal_for_whoever_counts_with_it(path: Path) -> None:
    """Fault 88: never an ``InvalidOperation``."""
    async with SqliteStore(path) as journal:
        await journal.add(a_job("a"))
        for state in (JobState.SUBMITTING, JobState.UNCERTAIN):
            await journal.move(ACCOUNT, "a", JobUpdate(state))
        with database(path) as connection:
            connection.execute("UPDATE jobs SET expected_units = 'three'")
        with pytest.raises(JournalDamagedError):
            await journal.move(ACCOUNT, "a", JobUpdate(JobState.PLANNED))


async def test_damaged_sums_and_histories_are_a_damaged_journal_too(path: Path) -> None:
    """Fault 88."""
    async with SqliteStore(path) as journal:
        await journal.add(a_job("a"))
        with database(path) as connection:
            connection.execute("UPDATE jobs SET units = 'x', state = 'succeedee'")
            connection.execute("UPDATE transitions SET state = 'plannee'")
        for read in (
            journal.units_spent(ACCOUNT),
            journal.counts(),
            journal.history(ACCOUNT, "a"),
        ):
            with pytest.raises(JournalDamagedError):
                await read
        with database(path) as connection:
            connection.execute("UPDATE jobs SET state = 'succeeded'")
        with pytest.raises(JournalDamagedError):
            await journal.recent_units(ACCOUNT, "squish")


async def test_an_id_that_is_not_the_one_of_the_index_is_damage(path: Path) -> None:
    """Fault 88: a flipped bit in an id, whose job would be paid for again."""
    async with SqliteStore(path) as journal:
        await journal.add(a_job("keb-0123456789abcdef"))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"keb-0123456789abcdef", b"keb-0123456789abcdeg", 1))
    with pytest.raises(JournalDamagedError, match="moved aside"):
        await SqliteStore(path).open()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"images": 7}',
        '{"images": [{"url": "https://a.example"}], "options": {"no": 1}}',
        "[" * 10**5,
    ],
)
def test_a_damaged_effect_is_a_damaged_journal(text: str) -> None:
    """Fault 88: bad JSON."""
    with pytest.raises(JournalDamagedError, match="'order-42' is damaged"):
        effect_of(job(effect=text))


def test_a_schema_that_is_no_text_is_damage(path: Path) -> None:
    """Fault 88: SQLite says what it found, and that is no text either."""

    async def make() -> None:
        async with SqliteStore(path):
            pass

    async def open_again() -> None:
        await SqliteStore(path).open()

    asyncio.run(make())
    path.write_bytes(path.read_bytes().replace(b"scene TEXT NOT NULL", b"scene TEXT NOT\xd5NULL"))
    with pytest.raises(JournalDamagedError, match="moved aside"):
        asyncio.run(open_again())


@pytest.mark.parametrize(
    ("text", "flipped"),
    [
        (b"UPDATE costs SET jobs = jobs - 1", b"UPDATE cosus SET jobs = jobs - 1"),
        (b"INSERT INTO transitions VALUES", b"INSERT INTO transitionr VALUES"),
        (b"updated_us INTEGER", b"updated_ur INTEGER"),
        (b"CREATE TABLE memos", b"CREATE TABLE lemos"),
        (b"text TEXT NOT NULL", b"teyt TEXT NOT NULL"),
        (b"host TEXT NOT NULL", b"iost TEXT NOT NULL"),
        (b"misses_rows INTEGER", b"misses_rowr INTEGER"),
    ],
)
async def test_a_name_of_the_schema_that_is_another_one_is_damage(
    path: Path, text: bytes, flipped: bytes
) -> None:
    """Fault 88: a flipped bit in a trigger, which SQLite reads no earlier than at a write."""
    async with SqliteStore(path) as journal:
        await journal.add(a_job("a"))
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, flipped))
    with pytest.raises(JournalDamagedError, match="moved aside"):
        await SqliteStore(path).open()
