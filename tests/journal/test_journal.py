"""The journal on real files: what it keeps, what it rejects, and what survives a kill."""

# ruff: noqa: ASYNC110 - a test looks at its own files, and can wait for nothing else

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_effects_async.errors import (
    AccountChangedError,
    IdempotencyConflictError,
    JournalBusyError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalVersionError,
)
from kling_effects_async.journal.job import FOLLOWERS, Job, JobState, JobUpdate, Transition
from kling_effects_async.journal.sqlite import ownership, schema, sqlite_file, times
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.testing import ManualClock
from tests.support import journal_process
from tests.support.journal_process import WAY

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "effects.db"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def journal(path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(path, clock=clock.now) as opened:
        yield opened


async def walk(journal: SqliteStore, *states: JobState, external_task_id: str = "order-42") -> Job:
    held = await journal.add(job(external_task_id))
    for state in states:
        held = await moved(journal, state, external_task_id)
    return held


async def moved(
    journal: SqliteStore, to: JobState, external_task_id: str = "order-42", **news: Any
) -> Job:
    """Move a job, and read what is held then."""
    await journal.move(A, external_task_id, JobUpdate(to, **news))
    held = await journal.get(A, external_task_id)
    assert held is not None
    return held


async def states_of(journal: SqliteStore, external_task_id: str = "order-42") -> list[JobState]:
    return [step.state for step in await journal.history(A, external_task_id)]


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as any other program sees it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@asynccontextmanager
async def one_batch(journal: SqliteStore) -> AsyncIterator[None]:
    """What is started inside meets in one transaction, which begins afterwards."""
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        is_held.set()
        may_go_on.wait()

    plug = asyncio.create_task(journal._connection.read(hold))
    while not is_held.is_set():
        await asyncio.sleep(0)
    yield
    await asyncio.sleep(0)
    may_go_on.set()
    await plug


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


# -- what it keeps


async def test_a_job_comes_back_as_it_was_given(path: Path) -> None:
    given = job(
        run="run 7",
        download_to="clips",
        callback_url="https://c.example",
        state=JobState.DOWNLOADED,
        task_id="Cm1",
        message="fine",
        units=Decimal("3.50"),
        result='{"videos": []}',
        path="clips/1.mp4",
        updated_at=NOON + timedelta(microseconds=1),
    )
    async with SqliteStore(path) as journal:
        assert await journal.add(given) == given
    async with SqliteStore(path) as journal:
        assert await journal.get(A, "order-42") == given


async def test_a_job_that_is_not_there_is_none(journal: SqliteStore) -> None:
    assert await journal.get(A, "order-42") is None
    assert await journal.history(A, "order-42") == ()


async def test_the_same_job_again_is_the_stored_one(journal: SqliteStore) -> None:
    stored = await walk(journal, JobState.SUBMITTING)
    assert await journal.add(job(run="another")) == stored
    assert await states_of(journal) == [JobState.PLANNED, JobState.SUBMITTING]


@pytest.mark.parametrize(
    ("members", "differs"),
    [({"scene": "hug"}, "scene"), ({"fingerprint": "0" * 64}, "content")],
)
async def test_an_external_id_is_not_used_for_another_job(
    journal: SqliteStore, members: dict[str, str], differs: str
) -> None:
    """Fault 22: same external id, other content."""
    await journal.add(job())
    with pytest.raises(IdempotencyConflictError, match=rf"'order-42'.*{differs}") as caught:
        await journal.add(job(**members))
    assert caught.value.differs == (differs,)
    assert await journal.get(A, "order-42") == job()


async def test_another_account_may_use_the_same_external_id(journal: SqliteStore) -> None:
    await journal.add(job())
    other = job(account="other", scene="hug")
    assert await journal.add(other) == other
    assert await journal.get(A, "order-42") == job()


# -- moves


async def test_a_move_tells_what_is_new_and_when(journal: SqliteStore, clock: ManualClock) -> None:
    await walk(journal, JobState.SUBMITTING, JobState.ACCEPTED)
    clock.jump(60)
    held = await moved(
        journal, JobState.SUCCEEDED, units=Decimal("3.5"), result="{}", message="done"
    )
    assert held == job(
        state=JobState.SUCCEEDED,
        units=Decimal("3.5"),
        expected_units=Decimal("3.5"),
        result="{}",
        message="done",
        updated_at=NOON + timedelta(seconds=60),
    )
    assert await journal.get(A, "order-42") == held


async def test_a_move_leaves_what_it_does_not_tell(journal: SqliteStore) -> None:
    await walk(journal, JobState.SUBMITTING)
    await journal.move(A, "order-42", JobUpdate(JobState.ACCEPTED, task_id="Cm1", message="queued"))
    held = await moved(journal, JobState.FAILED)
    assert (held.task_id, held.message) == ("Cm1", "queued")


async def test_history_tells_every_step_with_its_time_and_note(
    journal: SqliteStore, clock: ManualClock
) -> None:
    await journal.add(job())
    clock.jump(1)
    await journal.move(A, "order-42", JobUpdate(JobState.SUBMITTING, note="first try"))
    clock.jump(1)
    await journal.move(A, "order-42", JobUpdate(JobState.PLANNED))
    assert await journal.history(A, "order-42") == (
        Transition(JobState.PLANNED, NOON),
        Transition(JobState.SUBMITTING, NOON + timedelta(seconds=1), "first try"),
        Transition(JobState.PLANNED, NOON + timedelta(seconds=2)),
    )


async def test_a_move_the_table_does_not_have_is_rejected_and_changes_nothing(
    journal: SqliteStore, clock: ManualClock
) -> None:
    held = await walk(journal, JobState.SUBMITTING, JobState.ACCEPTED)
    clock.jump(1)
    with pytest.raises(JournalError, match="'order-42' is accepted and cannot become submitting"):
        await journal.move(A, "order-42", JobUpdate(JobState.SUBMITTING, message="again"))
    assert await journal.get(A, "order-42") == held


async def test_a_move_to_where_it_is_adds_news_and_no_step(journal: SqliteStore) -> None:
    await walk(journal, JobState.SUBMITTING)
    held = await moved(journal, JobState.SUBMITTING, message="second try")
    assert held.message == "second try"
    assert await states_of(journal) == [JobState.PLANNED, JobState.SUBMITTING]


async def test_each_download_is_a_step(journal: SqliteStore) -> None:
    await walk(journal, JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED)
    await journal.move(A, "order-42", JobUpdate(JobState.DOWNLOADED, path="a.mp4"))
    held = await moved(journal, JobState.DOWNLOADED, path="b.mp4")
    assert held.path == "b.mp4"
    assert (await states_of(journal))[-2:] == [JobState.DOWNLOADED, JobState.DOWNLOADED]


@pytest.mark.parametrize("to", [JobState.ACCEPTED, JobState.SUCCEEDED])
async def test_a_second_task_for_a_job_is_not_written_over_the_first(
    journal: SqliteStore, to: JobState
) -> None:
    await walk(journal, JobState.SUBMITTING)
    await journal.move(A, "order-42", JobUpdate(JobState.ACCEPTED, task_id="Cm1"))
    with pytest.raises(JournalError, match=r"has task Cm1 and cannot get task Cm2"):
        await journal.move(A, "order-42", JobUpdate(to, task_id="Cm2"))
    held = await moved(journal, to, task_id="Cm1")
    assert held.task_id == "Cm1"


async def test_a_job_that_was_never_added_cannot_move(journal: SqliteStore) -> None:
    with pytest.raises(JournalError, match="no job 'order-42'"):
        await journal.move(A, "order-42", JobUpdate(JobState.SUBMITTING))


@settings(max_examples=40)
@given(st.lists(st.sampled_from(JobState), max_size=12))
def test_any_moves_leave_a_history_that_walks_the_table(moves: list[JobState]) -> None:
    async def history_after(folder: str) -> list[JobState]:
        async with SqliteStore(Path(folder, "effects.db")) as journal:
            await journal.add(job())
            for to in moves:
                with suppress(JournalError):
                    await journal.move(A, "order-42", JobUpdate(to))
            return await states_of(journal)

    expected = [JobState.PLANNED]
    for to in moves:
        expected += [to] if to in FOLLOWERS[expected[-1]] else []
    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(history_after(folder)) == expected


# -- finding


async def test_a_job_is_found_by_its_task_and_by_its_external_id(journal: SqliteStore) -> None:
    await walk(journal, JobState.SUBMITTING)
    held = await moved(journal, JobState.ACCEPTED, task_id="Cm1")
    other = await journal.add(job(account="other"))
    assert await journal.find("Cm1") == [held]
    assert await journal.find("order-42") == [held, other]
    assert await journal.find("order-43") == []


async def test_the_known_task_is_the_accounts_youngest(journal: SqliteStore) -> None:
    assert await journal.known_task(A) is None
    await journal.add(job("1", task_id="Cm1"))
    youngest = await journal.add(job("2", task_id="Cm2"))
    await journal.add(job("3"))
    await journal.add(job("4", account="other", task_id="Cm4"))
    assert await journal.known_task(A) == youngest


async def test_jobs_come_in_the_order_they_were_added(journal: SqliteStore) -> None:
    names = ["b", "a", "c"]
    for name in names:
        await journal.add(job(name))
    assert [held.external_task_id async for held in journal.jobs()] == names


async def test_jobs_are_chosen_by_account_state_and_run(journal: SqliteStore) -> None:
    await journal.add(job("1", run="run 7"))
    await journal.add(job("2", state=JobState.FAILED))
    await journal.add(job("3", account="other", run="run 7", state=JobState.FAILED))

    async def names(**chosen: object) -> list[str]:
        found = journal.jobs(**chosen)  # type: ignore[arg-type]  # given right below
        return [held.external_task_id async for held in found]

    assert await names() == ["1", "2", "3"]
    assert await names(account=A) == ["1", "2"]
    assert await names(states={JobState.FAILED}) == ["2", "3"]
    assert await names(run="run 7") == ["1", "3"]
    assert await names(account=A, run="run 7", states={JobState.PLANNED}) == ["1"]
    assert await names(states=()) == []


async def test_ten_thousand_jobs_are_read_a_page_at_a_time(journal: SqliteStore) -> None:
    names = [f"{number:05}" for number in range(10_000)]
    await asyncio.gather(*(journal.add(job(name)) for name in names))
    seen: list[str] = []
    async for held in journal.jobs():
        if not seen:  # the last pages cannot have been read yet
            await journal.move(A, names[-1], JobUpdate(JobState.SUBMITTING))
        seen.append(held.external_task_id)
    assert seen == names
    assert held.state is JobState.SUBMITTING


async def test_counts_have_a_number_for_every_state(journal: SqliteStore) -> None:
    await journal.add(job("1"))
    await journal.add(job("2", state=JobState.FAILED))
    await journal.add(job("3", state=JobState.FAILED, account="other"))
    none = dict.fromkeys(JobState, 0)
    assert await journal.counts() == none | {JobState.PLANNED: 1, JobState.FAILED: 2}
    assert await journal.counts(A) == none | {JobState.PLANNED: 1, JobState.FAILED: 1}


# -- money and memos


async def test_spent_units_are_summed_exactly(journal: SqliteStore) -> None:
    for number in range(10):
        await journal.add(job(str(number), units=Decimal("0.1")))
    await journal.add(job("unknown"))
    await journal.add(job("of another", account="other", units=Decimal(5)))
    assert await journal.units_spent(A) == Decimal("1.0")
    assert await journal.units_spent("nobody") == 0


async def test_what_a_scene_typically_costs_is_the_highest_of_its_last_twenty_successes(
    journal: SqliteStore,
) -> None:
    succeeded = {"state": JobState.SUCCEEDED}
    await journal.add(job("long ago", units=Decimal(99), **succeeded))
    await journal.add(job("downloaded", units=Decimal(10), state=JobState.DOWNLOADED))
    for number in range(19):
        await journal.add(job(f"{number}", units=Decimal("9.5"), **succeeded))
    await journal.add(job("failed", units=Decimal(50), state=JobState.FAILED))
    await journal.add(job("other scene", scene="hug", units=Decimal(60), **succeeded))
    assert await journal.typical_units(A, "squish") == Decimal(10)


async def test_a_scene_without_a_known_cost_has_no_typical_one(journal: SqliteStore) -> None:
    await journal.add(job(state=JobState.SUCCEEDED))
    assert await journal.typical_units(A, "squish") is None


async def test_a_memo_is_the_last_that_was_set(journal: SqliteStore) -> None:
    assert await journal.memo("slots", A) is None
    await journal.set_memo("slots", A, "3")
    await journal.set_memo("slots", A, "4")
    await journal.set_memo("schedule", A, "other")
    assert await journal.memo("slots", A) == "4"


# -- durable, together


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
    full = 2
    pragmas = ("synchronous", "journal_mode", "fullfsync")

    def values(connection: sqlite3.Connection) -> list[object]:
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]

    asked = await journal._connection.read(values)
    assert asked == [full, "wal", 1]


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


# -- open and closed


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


# -- one owner


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


# -- damage, versions, a full disk


async def filled(path: Path) -> bytes:
    """A closed journal with some pages in it; its bytes."""
    async with SqliteStore(path) as journal:
        await asyncio.gather(*(journal.add(job(str(number))) for number in range(100)))
    return path.read_bytes()


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


async def pages(journal: SqliteStore, more: int) -> None:
    """Let the file grow by so many pages and no further."""

    def limit(connection: sqlite3.Connection) -> None:
        (now,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={now + more}").fetchone()

    await journal._connection.read(limit)


async def test_a_full_disk_fails_the_whole_commit_and_stays_readable(journal: SqliteStore) -> None:
    """Fault 28: journal disk full; submit nothing, go on with what is there."""
    await journal.add(job())
    await pages(journal, 2)
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
    await pages(journal, 2)
    with pytest.raises(JournalFullError):
        await journal.add(big)
    await pages(journal, 1000)
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
