"""A damaged file, another version, another account, and a disk that is full."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async import SingleImageEffect
from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.errors import (
    AccountChangedError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalVersionError,
)
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite import schema, sqlite_file
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.journal_files import (
    A,
    database,
    filled,
    job,
    on_its_connection,
    one_batch,
    posix_only,
)


def garbled(content: bytes) -> bytes:
    """With a page in the middle that makes no sense."""
    page = 4096
    return content[: 3 * page] + b"\xff" * page + content[4 * page :]


@pytest.mark.parametrize("damage", [garbled, lambda _: b"no database " * 999, lambda c: c[:9999]])
async def test_a_damaged_journal_is_moved_aside_and_kept(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """Fault 27: journal file damaged."""
    damaged = damage(await filled(path))
    path.write_bytes(damaged)
    with pytest.raises(JournalDamagedError, match="start_fresh=True") as caught:
        await SqliteStore(path).open()
    assert caught.value.path is not None
    assert caught.value.path.read_bytes() == damaged
    assert str(caught.value.path) in str(caught.value)
    assert not path.exists()


async def test_the_log_of_a_damaged_journal_is_kept_with_it(path: Path) -> None:
    """Fault 27: what was written last is in the log."""
    path.write_bytes(garbled(await filled(path)))
    log = path.with_name("effects.db-wal")
    log.write_bytes(b"the last writes")
    with pytest.raises(JournalDamagedError) as caught:
        await SqliteStore(path).open()
    kept = caught.value.path
    assert kept is not None
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"the last writes"
    assert not log.exists()


async def test_after_damage_nothing_opens_until_the_user_agrees(path: Path) -> None:
    """Fault 27: do not submit until the user agrees."""
    path.write_bytes(garbled(await filled(path)))
    with pytest.raises(JournalDamagedError) as first:
        await SqliteStore(path).open()
    with pytest.raises(JournalDamagedError) as second:
        await SqliteStore(path).open()
    assert (second.value.path, str(second.value)) == (first.value.path, str(first.value))
    async with SqliteStore(path, start_fresh=True) as journal:
        assert await journal.get(A, "1") is None
    async with SqliteStore(path):
        pass


async def test_a_journal_of_a_newer_version_is_not_touched(path: Path) -> None:
    """Fault 30: do not open it, say which version wrote it."""
    await filled(path)
    with database(path) as connection:
        connection.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    with pytest.raises(JournalVersionError, match="version 99") as caught:
        await SqliteStore(path).open()
    assert (caught.value.ours, caught.value.theirs) == (schema.VERSION, 99)
    assert path.read_bytes() == before


async def test_with_a_journal_of_a_newer_version_nothing_is_submitted(path: Path) -> None:
    """Fault 30: neither one effect nor a batch, and nothing of the journal is written."""
    await filled(path)
    with database(path) as connection:
        connection.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    squish = SingleImageEffect("squish", image="https://img.example/a.jpg")
    async with Emulator(clips=Clips.STOCK, speed=600) as emulator:
        with pytest.raises(JournalVersionError, match="version 99"):
            await emulator.client(journal=path).__aenter__()
        client = emulator.client(journal=path)  # opened by the first call
        with pytest.raises(JournalVersionError, match="version 99"):
            await client.submit(squish)
        for outcomes in (client.run_many([squish]), client.resume()):
            with pytest.raises(JournalVersionError, match="version 99"):
                await anext(aiter(outcomes))
        await client.aclose()
        assert (emulator.ledger.total, sum(emulator.requests.values())) == (0, 0)
    assert path.read_bytes() == before


async def test_another_programs_database_is_not_touched(path: Path) -> None:
    with database(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="another program's database"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before


async def test_a_job_of_another_account_of_the_service_is_not_added_again(path: Path) -> None:
    """Fault 72: the key was rotated, and the journal is the old one."""
    old, new = (job(account=name, service="https://s.example") for name in "ab")
    async with SqliteStore(path) as journal:
        await journal.add(old)
        with pytest.raises(AccountChangedError) as caught:
            await journal.add(new)
        assert (caught.value.account, caught.value.other_account) == ("b", "a")
        elsewhere = evolve(new, service="https://other.example")
        assert await journal.add(elsewhere) == elsewhere


async def test_jobs_are_taken_over_from_another_account(path: Path) -> None:
    """Fault 72: what a person does about it."""
    async with SqliteStore(path) as journal:
        for number in range(3):
            await journal.add(job(f"job-{number}", account="old"))
        assert await journal.adopt("old", "new") == 3
        assert [each.account async for each in journal.jobs()] == ["new"] * 3
        assert await journal.adopt("old", "new") == 0


async def test_accounts_with_the_same_ids_are_not_made_one(path: Path) -> None:
    async with SqliteStore(path) as journal:
        for account in ("old", "new"):
            await journal.add(job(account=account))
        with pytest.raises(JournalError, match="two accounts"):
            await journal.adopt("old", "new")
        assert {each.account async for each in journal.jobs()} == {"old", "new"}


async def test_that_a_submit_was_sent_is_never_taken_back(path: Path) -> None:
    sent = job()
    async with SqliteStore(path) as journal:
        await journal.add(sent)
        await journal.move(A, sent.external_task_id, JobUpdate(JobState.SUBMITTING))
        await journal.move(A, sent.external_task_id, JobUpdate(JobState.PLANNED, was_sent=True))
        await journal.move(A, sent.external_task_id, JobUpdate(JobState.SUBMITTING))
        held = await journal.get(A, sent.external_task_id)
    assert held is not None
    assert held.was_sent


VERSION = schema.VERSION
NEXT_VERSION = (*schema.MIGRATIONS, "ALTER TABLE jobs ADD COLUMN mood TEXT")


def test_an_older_journal_is_copied_before_it_is_brought_up_to_date(path: Path) -> None:
    asyncio.run(filled(path))
    with closing(sqlite_file.connect(path)) as connection:
        sqlite_file.migrate(connection, path, version=VERSION, stamp="now", scripts=NEXT_VERSION)
        assert connection.execute("SELECT count(mood), count(*) FROM jobs").fetchone() == (0, 100)
    copy = path.with_name(f"effects.db.v{VERSION}-now")
    assert sqlite_file.check(copy, thoroughly=True) == VERSION
    with database(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)


THEN = {"new": "planned", "sent": "submitting", "unknown": "ambiguous", "not taken": "refused"}


def test_a_journal_of_the_first_version_keeps_its_jobs(path: Path) -> None:
    """What was submitted then counts as sent, and each state has its name of today."""

    async def read() -> list[Job]:
        async with SqliteStore(path) as journal:
            return [job async for job in journal.jobs()]

    sqlite_file.create(path)
    with closing(sqlite_file.connect(path)) as connection:
        sqlite_file.migrate(connection, path, version=0, stamp="now", scripts=schema.MIGRATIONS[:1])
        for name, state in THEN.items():
            connection.execute(
                "INSERT INTO jobs (account, external_task_id, scene, fingerprint, effect, state, "
                "message, created_us, updated_us, steps, note) "
                "VALUES ('a', ?, 'squish', 'f', '{}', ?, '', 1, 1, 1, '')",
                (name, state),
            )
    jobs = asyncio.run(read())
    assert [(job.external_task_id, job.was_sent, job.state, job.service) for job in jobs] == [
        ("new", False, JobState.PLANNED, None),
        ("sent", True, JobState.SUBMITTING, None),
        ("unknown", False, JobState.UNCERTAIN, None),
        ("not taken", False, JobState.REJECTED, None),
    ]
    assert {job.share for job in jobs} == {""}
    assert {job.clip_name for job in jobs} == {None}


def test_a_migration_that_fails_leaves_the_older_version(path: Path) -> None:
    asyncio.run(filled(path))
    half = (*schema.MIGRATIONS, f"{NEXT_VERSION[-1]}; no statement at all")
    with closing(sqlite_file.connect(path)) as connection, pytest.raises(sqlite3.OperationalError):
        sqlite_file.migrate(connection, path, version=VERSION, stamp="now", scripts=half)
    assert sqlite_file.check(path, thoroughly=True) == VERSION
    with database(path) as connection, pytest.raises(sqlite3.OperationalError, match="mood"):
        connection.execute("SELECT mood FROM jobs")


async def test_an_older_journal_is_not_read_as_if_it_were_ours(path: Path) -> None:
    await filled(path)
    with database(path) as connection:
        connection.execute("PRAGMA user_version=0")
    with pytest.raises(JournalVersionError, match="open it for writing once"):
        await SqliteStore(path, read_only=True).open()


async def page_limit(journal: SqliteStore, more: int) -> None:
    """Let the file grow by so many pages and no further."""

    def limit(connection: sqlite3.Connection) -> None:
        (now,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={now + more}").fetchone()

    await on_its_connection(journal, limit)


async def test_a_full_disk_fails_the_whole_commit_and_stays_readable(journal: SqliteStore) -> None:
    """Fault 28: journal disk full; submit nothing, go on with what is there."""
    await journal.add(job())
    await page_limit(journal, 2)
    async with one_batch(journal):
        small = asyncio.create_task(journal.add(job("small")))
        big = asyncio.create_task(journal.add(job("big", effect="x" * 100_000)))
        read = asyncio.create_task(journal.get(A, "order-42"))
    with pytest.raises(JournalFullError, match="submit nothing"):
        await big
    with pytest.raises(JournalFullError):
        await small
    assert await read == job()
    assert [held async for held in journal.jobs()] == [job()]


async def test_once_there_is_room_again_writes_go_on(journal: SqliteStore) -> None:
    """Fault 28: later writes are tried again."""
    big = job("big", effect="x" * 100_000)
    await page_limit(journal, 2)
    with pytest.raises(JournalFullError):
        await journal.add(big)
    await page_limit(journal, 1000)
    assert await journal.add(big) == big
    assert await journal.get(A, "big") == big


@posix_only
async def test_a_file_that_was_deleted_is_not_written_on_into_nothing(
    journal: SqliteStore, path: Path
) -> None:
    await journal.add(job())
    path.unlink()
    with pytest.raises(JournalError, match="moved or deleted"):
        await journal.move(A, "order-42", JobUpdate(JobState.SUBMITTING))
