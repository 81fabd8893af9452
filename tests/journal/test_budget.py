"""A limit in units: whatever may be charged counts, from a journal and from the memory alike."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.errors import BudgetExceededError
from kling_effects_async.journal.budget import Committed, kind_of_cost
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite import schema, sqlite_file
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.journal.store import JobStore, MemoryStore
from kling_effects_async.policy import SubmitPolicy
from tests.support.command_line import clean_environment
from tests.support.killed_when_told import SQUISH
from tests.support.paid_service import ACCOUNT, Bench, PaidService, a_job, lost

ACCEPTED = (JobState.SUBMITTING, JobState.ACCEPTED)
SUCCEEDED = (*ACCEPTED, JobState.SUCCEEDED)
UNCERTAIN_STEPS = (JobState.SUBMITTING, JobState.UNCERTAIN)
EXPECTED = Decimal("3.5")  # of a scene nobody paid for yet
NOTHING = Committed()


async def bring(
    store: JobStore, name: str, *states: JobState, units: str | None = None, scene: str = "squish"
) -> None:
    """A job that came through these states; its cost is told with the last."""
    await store.add(a_job(name, scene=scene))
    for state in states:
        told = Decimal(units) if units and state is states[-1] else None
        await store.move(ACCOUNT, name, JobUpdate(state, units=told))


async def fits(store: JobStore, name: str, limit: str, scene: str = "squish") -> bool:
    """Whether a submit stays within the limit; it is under way then."""
    await store.add(a_job(name, scene=scene))
    try:
        await store.move(ACCOUNT, name, JobUpdate(JobState.SUBMITTING, budget_units=Decimal(limit)))
    except BudgetExceededError:
        return False
    return True


# -- what counts


@pytest.mark.parametrize(
    ("states", "committed"),
    [
        ((), NOTHING),
        (UNCERTAIN_STEPS[:1], Committed(unsettled=EXPECTED)),
        (UNCERTAIN_STEPS, Committed(unsettled=EXPECTED)),
        (ACCEPTED, Committed(running=EXPECTED)),
        ((*UNCERTAIN_STEPS, JobState.ACCEPTED), Committed(running=EXPECTED)),
        (SUCCEEDED, Committed(untold=EXPECTED)),
        ((*SUCCEEDED, JobState.DOWNLOADED), Committed(untold=EXPECTED)),
        ((*ACCEPTED, JobState.FAILED), NOTHING),
        ((JobState.SUBMITTING, JobState.PLANNED), NOTHING),
        ((JobState.SUBMITTING, JobState.REJECTED), NOTHING),
        ((JobState.ABANDONED,), NOTHING),
        ((JobState.SUBMITTING, JobState.PLANNED, JobState.ABANDONED), NOTHING),
        ((*UNCERTAIN_STEPS, JobState.ABANDONED), Committed(untold=EXPECTED)),
        ((*ACCEPTED, JobState.ABANDONED), Committed(untold=EXPECTED)),
    ],
)
async def test_what_may_be_charged_counts_with_what_was_expected(
    store: JobStore, states: tuple[JobState, ...], committed: Committed
) -> None:
    """Fault 86: what runs, what is uncertain and what was never told count."""
    await bring(store, "a", *states)
    assert await store.committed(ACCOUNT) == committed
    assert await store.committed("theirs") == NOTHING


@pytest.mark.parametrize(
    ("states", "units"),
    [
        (SUCCEEDED, "2"),
        (SUCCEEDED, "0"),
        ((*ACCEPTED, JobState.FAILED), "0"),
        ((*ACCEPTED, JobState.FAILED), "1.25"),
    ],
)
async def test_a_cost_that_was_told_replaces_what_was_expected(
    store: JobStore, states: tuple[JobState, ...], units: str
) -> None:
    await bring(store, "a", *states, units=units)
    assert await store.committed(ACCOUNT) == Committed(told=Decimal(units))


async def test_a_job_in_doubt_that_is_sent_again_unproved_counts_twice(store: JobStore) -> None:
    """Fault 86: the first submit may be charged as well as the second."""
    for _ in range(3):
        await bring(store, "a", *UNCERTAIN_STEPS, JobState.PLANNED)
    assert await store.committed(ACCOUNT) == Committed(untold=3 * EXPECTED)
    await bring(store, "a", *SUCCEEDED, units="2")
    assert await store.committed(ACCOUNT) == Committed(untold=3 * EXPECTED, told=Decimal(2))


async def test_a_job_that_is_proved_absent_costs_nothing(store: JobStore) -> None:
    await bring(store, "a", *UNCERTAIN_STEPS)
    await store.move(ACCOUNT, "a", JobUpdate(JobState.PLANNED, is_absent=True))
    assert await store.committed(ACCOUNT) == NOTHING


async def test_the_job_tells_what_was_expected_of_it(store: JobStore) -> None:
    await bring(store, "a", *UNCERTAIN_STEPS, JobState.PLANNED, JobState.SUBMITTING)
    job = await store.add(a_job("a"))
    assert (job.expected_units, job.earlier_units) == (EXPECTED, EXPECTED)


async def test_jobs_of_an_adopted_account_count_for_the_new_one(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "jobs.db") as journal:
        await bring(journal, "a", *SUCCEEDED, units="2")
        await bring(journal, "b", *UNCERTAIN_STEPS, JobState.PLANNED, *ACCEPTED)
        before = await journal.committed(ACCOUNT)
        await journal.adopt(ACCOUNT, "new key")
        assert await journal.committed("new key") == before
        assert await journal.committed(ACCOUNT) == NOTHING


# -- what is expected, and what is rejected


async def test_without_a_limit_everything_fits(store: JobStore) -> None:
    for number in range(50):
        await bring(store, f"{number}", JobState.SUBMITTING)
    assert await store.committed(ACCOUNT) == Committed(unsettled=50 * EXPECTED)


async def test_a_scene_nobody_paid_for_yet_is_expected_to_cost_three_and_a_half(
    store: JobStore,
) -> None:
    assert not await fits(store, "a", "3.4")
    assert await fits(store, "a", "3.5")


async def test_the_dearest_of_a_scenes_last_twenty_is_expected(store: JobStore) -> None:
    await bring(store, "long ago", *SUCCEEDED, units="99")
    await bring(store, "dearest", *SUCCEEDED, units="10")
    for number in range(19):
        await bring(store, f"{number}", *SUCCEEDED, units="9")
    await bring(store, "failed", *ACCEPTED, JobState.FAILED, units="50")
    await bring(store, "other scene", *SUCCEEDED, units="60", scene="hug")
    assert await store.recent_units(ACCOUNT, "squish") == (Decimal(9), Decimal(10))
    taken = (await store.committed(ACCOUNT)).total
    assert not await fits(store, "a", str(taken + Decimal("9.9")))
    assert await fits(store, "a", str(taken + 10))


async def test_the_error_says_what_is_spent_running_in_doubt_and_expected(store: JobStore) -> None:
    """Fault 86: what is told is what counts."""
    await bring(store, "running", *ACCEPTED)
    await bring(store, "uncertain", *UNCERTAIN_STEPS)
    await bring(store, "never told", *SUCCEEDED)
    await bring(store, "told", *SUCCEEDED, units="2")
    await store.add(a_job("a"))
    with pytest.raises(BudgetExceededError, match="Nothing was sent") as caught:
        await store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING, budget_units=Decimal(14)))
    error = caught.value
    assert (error.spent_units, error.running_units) == (Decimal("5.5"), EXPECTED)
    assert (error.unsettled_units, error.expected_units) == (EXPECTED, Decimal(2))
    assert error.limit_units == 14
    assert "5.5 are spent, 3.5 are for running tasks and 3.5 for jobs" in str(error)
    assert (await store.add(a_job("a"))).state is JobState.PLANNED


async def test_parallel_submits_do_not_overshoot(store: JobStore) -> None:
    """Fault 86: the check and what it sets aside are one step."""
    fitting = await asyncio.gather(*(fits(store, f"{number}", "14") for number in range(10)))
    assert sum(fitting) == 4


async def test_another_accounts_jobs_do_not_count(store: JobStore) -> None:
    await store.add(evolve(a_job("theirs"), account="theirs"))
    for state in SUCCEEDED:
        await store.move("theirs", "theirs", JobUpdate(state))
    assert await fits(store, "a", "4")


async def test_the_memory_forgets_jobs_and_not_what_they_cost() -> None:
    store = MemoryStore()
    for number in range(10_010):
        await bring(store, f"{number}", *SUCCEEDED)
    assert await store.committed(ACCOUNT) == Committed(untold=10_010 * EXPECTED)


async def test_the_sums_are_what_a_look_at_every_job_comes_to(tmp_path: Path) -> None:
    """The tables keep sums; they are those of the rule."""
    async with SqliteStore(tmp_path / "jobs.db") as journal:
        ways = [
            SUCCEEDED,
            UNCERTAIN_STEPS,
            ACCEPTED,
            (*ACCEPTED, JobState.FAILED),
            (*UNCERTAIN_STEPS, *ACCEPTED),
        ]
        for number in range(60):
            way = ways[number % 4]
            await bring(
                journal, f"{number}", *way, units="2" if number % 3 and len(way) > 2 else None
            )
        sums = dict.fromkeys(("told", "untold", "running", "unsettled"), Decimal(0))
        async for job in journal.jobs():
            cost = job.expected_units if job.units is None else job.units
            sums[kind_of_cost(job.state, job.units)] += cost or 0
        assert await journal.committed(ACCOUNT) == Committed(**sums)


# -- over a submitter's life


@pytest.mark.looptime
async def test_jobs_in_doubt_are_within_the_budget() -> None:
    """Fault 86: an uncertain job may be charged."""
    bench = Bench(budget_units=Decimal(10))
    bench.service.answers_lookups = False
    bench.service.script.extend([lost(is_accepted=True)] * 12)
    outcomes = await asyncio.gather(
        *(bench.submit(f"{number}") for number in range(12)), return_exceptions=True
    )
    assert sum(isinstance(outcome, BudgetExceededError) for outcome in outcomes) == 10
    assert bench.service.total == 2


@pytest.mark.looptime
async def test_what_a_dead_process_left_running_is_within_the_budget(tmp_path: Path) -> None:
    """Fault 86: over restarts, and without ``resume``."""
    service = PaidService()
    for life in range(4):
        async with SqliteStore(tmp_path / "jobs.db") as journal:
            bench = Bench(service, journal, budget_units=Decimal(10))
            await asyncio.gather(
                *(bench.submit(f"{life}-{number}") for number in range(10)), return_exceptions=True
            )
    assert service.total == 2


@pytest.mark.looptime
async def test_two_submitters_of_one_journal_share_the_budget(tmp_path: Path) -> None:
    """Fault 86: one opened journal in two clients."""
    service = PaidService()
    async with SqliteStore(tmp_path / "jobs.db") as journal:
        benches = [Bench(service, journal, budget_units=Decimal(10)) for _ in range(2)]
        await asyncio.gather(
            *(bench.submit(f"{bench is benches[0]}-{n}") for n in range(10) for bench in benches),
            return_exceptions=True,
        )
    assert service.total == 2


@pytest.mark.looptime
async def test_what_surely_did_not_arrive_gives_its_part_back() -> None:
    bench = Bench(budget_units=2 * EXPECTED)
    await bench.submit("known")
    bench.service.script.append(lost(is_accepted=False))
    assert (await bench.submit("a")).state is JobState.ACCEPTED
    assert bench.service.posts == ["known", "a", "a"]
    assert await bench.store.committed(ACCOUNT) == Committed(running=2 * EXPECTED)


@pytest.mark.looptime
async def test_what_is_sent_again_by_policy_is_within_the_budget_twice() -> None:
    """Fault 86: the first submit may be charged as well."""
    bench = Bench(budget_units=2 * EXPECTED, submit=SubmitPolicy(on_uncertain="resubmit"))
    bench.service.finds_external_ids = bench.service.rejects_used_ids = False
    bench.service.script.append(lost(is_accepted=True))
    await bench.submit("a")
    with pytest.raises(BudgetExceededError):
        await bench.submit("b")
    assert bench.service.total == 2


async def killed(emulator: Emulator, journal: Path, way: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.killed_when_told"),
        *(emulator.url, str(journal), way, str(journal.parent)),
        env=clean_environment(journal.parent, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    async with asyncio.timeout(30):
        assert await child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("way", ["by_submit", "by_post", "by_await"])
async def test_what_a_killed_process_may_have_paid_counts(tmp_path: Path, way: str) -> None:
    """Fault 86: the sum is right after SIGKILL, wherever it hits."""
    journal = tmp_path / "jobs.db"
    async with Emulator(
        clips=Clips.STOCK,
        speed=600,
        task_seconds=60.0,
        units="3",
        bearer_keys=["emulator-key"],
    ) as emulator:
        if way == "by_post":
            emulator.fail_next(Fault.silence(accepted=True))
        await killed(emulator, journal, way)
        async with emulator.client(journal=journal, budget_units=5) as client:
            with pytest.raises(BudgetExceededError):
                await client.submit(SQUISH)
            assert emulator.requests["submit"] == emulator.ledger.total == 1


# -- a journal of the version before


def as_before(path: Path, fill: Callable[[sqlite3.Connection], object]) -> None:
    """A journal of version 2, with what is filled in."""
    sqlite_file.create(path)
    with closing(sqlite_file.connect(path)) as connection:
        sqlite_file.migrate(connection, path, version=0, stamp="", scripts=schema.MIGRATIONS[:2])
        fill(connection)


def named_then(state: JobState) -> str:
    return "ambiguous" if state is JobState.UNCERTAIN else str(state)


async def test_jobs_of_an_older_journal_count_with_what_is_typical(tmp_path: Path) -> None:
    """Fault 86: written before what is expected was."""

    def fill(connection: sqlite3.Connection) -> None:
        jobs = [
            ("told", "squish", SUCCEEDED, "10"),
            ("dearer in letters only", "squish", SUCCEEDED, "9"),
            ("untold", "squish", SUCCEEDED, None),
            ("running", "squish", ACCEPTED, None),
            ("uncertain", "hug", UNCERTAIN_STEPS, None),
            ("failed", "hug", (*ACCEPTED, JobState.FAILED), None),
            ("abandoned uncertain", "hug", (*UNCERTAIN_STEPS, JobState.ABANDONED), None),
            ("abandoned unsent", "hug", (JobState.ABANDONED,), None),
            ("sent back", "hug", (JobState.SUBMITTING, JobState.PLANNED), None),
        ]
        for name, scene, states, units in jobs:
            connection.execute(
                "INSERT INTO jobs (account, external_task_id, scene, fingerprint, effect, state, "
                "message, created_us, updated_us, steps, note) "
                "VALUES (?, ?, ?, 'f', '{}', 'planned', '', 0, 0, 1, '')",
                (ACCOUNT, name, scene),
            )
            for state in states:
                connection.execute(
                    "UPDATE jobs SET state = ?, units = ?, steps = steps + 1 "
                    "WHERE external_task_id = ?",
                    (named_then(state), units if state is states[-1] else None, name),
                )

    await asyncio.to_thread(as_before, tmp_path / "jobs.db", fill)
    async with SqliteStore(tmp_path / "jobs.db") as journal:
        assert await journal.committed(ACCOUNT) == Committed(
            told=Decimal(19),
            untold=10 + EXPECTED,
            running=Decimal(10),
            unsettled=EXPECTED,
        )
