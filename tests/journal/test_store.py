"""What the engine needs of a store: the same from a journal and from the memory."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import evolve

from kling_effects_async.errors import IdempotencyConflictError, JournalError
from kling_effects_async.journal.job import FOLLOWERS, Job, JobState, JobUpdate
from kling_effects_async.journal.sqlite.journal import Journal
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.journal.store import JobStore, MemoryStore
from tests.conftest import STORE_NOW
from tests.support.paid_service import ACCOUNT, a_job

TO_THE_END = (JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED)


async def bring(store: JobStore, name: str, *states: JobState, units: str | None = None) -> Job:
    """A job that came through these states; task and cost are told with the last."""
    await store.add(a_job(name))
    for state in states:
        is_last = state is states[-1]
        await store.move(
            ACCOUNT,
            name,
            JobUpdate(
                state,
                task_id=f"t-{name}" if is_last and state not in NOT_ACCEPTED else None,
                units=Decimal(units) if units and is_last else None,
            ),
        )
    return await store.add(a_job(name))


NOT_ACCEPTED = frozenset(
    {JobState.PLANNED, JobState.SUBMITTING, JobState.UNCERTAIN, JobState.REJECTED}
)


async def test_the_same_job_added_again_is_the_one_that_is_held(store: JobStore) -> None:
    held = await bring(store, "a", *TO_THE_END)
    assert await store.add(a_job("a")) == held


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (a_job("a", scene="hug"), ("scene",)),
        (a_job("a", content="a dog"), ("content",)),
        (a_job("a", scene="hug", content="a dog"), ("scene", "content")),
    ],
)
async def test_another_job_under_a_used_id_is_a_conflict(
    store: JobStore, other: Job, differs: tuple[str, ...]
) -> None:
    """Fault 22: same external id, other content."""
    held = await store.add(a_job("a"))
    with pytest.raises(IdempotencyConflictError) as caught:
        await store.add(other)
    assert caught.value.differs == differs
    assert await store.add(a_job("a")) == held


async def test_two_accounts_may_use_the_same_id(store: JobStore) -> None:
    await store.add(a_job("a"))
    theirs = evolve(a_job("a", scene="hug"), account="theirs")
    assert await store.add(theirs) == theirs


ROADS: dict[JobState, tuple[JobState, ...]] = {
    JobState.PLANNED: (),
    JobState.SUBMITTING: (JobState.SUBMITTING,),
    JobState.UNCERTAIN: (JobState.SUBMITTING, JobState.UNCERTAIN),
    JobState.ACCEPTED: TO_THE_END[:2],
    JobState.SUCCEEDED: TO_THE_END,
    JobState.FAILED: (*TO_THE_END[:2], JobState.FAILED),
    JobState.DOWNLOADED: (*TO_THE_END, JobState.DOWNLOADED),
    JobState.REJECTED: (JobState.REJECTED,),
    JobState.ABANDONED: (JobState.ABANDONED,),
}


@pytest.mark.parametrize("start", JobState)
@pytest.mark.parametrize("to", JobState)
async def test_a_job_goes_where_the_table_lets_it(
    store: JobStore, start: JobState, to: JobState
) -> None:
    held = await bring(store, "a", *ROADS[start])
    if to is start or to in FOLLOWERS[start]:
        await store.move(ACCOUNT, "a", JobUpdate(to))
        assert (await store.add(a_job("a"))).state is to
    else:
        with pytest.raises(JournalError):
            await store.move(ACCOUNT, "a", JobUpdate(to))
        assert await store.add(a_job("a")) == held


async def test_what_a_move_does_not_tell_stays_as_it_is(store: JobStore) -> None:
    await bring(store, "a", *TO_THE_END[:2])
    await store.move(
        ACCOUNT, "a", JobUpdate(JobState.SUCCEEDED, message="fine", units=Decimal("1.5"))
    )
    await store.move(ACCOUNT, "a", JobUpdate(JobState.DOWNLOADED, path="/clips/a.mp4"))
    job = await store.add(a_job("a"))
    assert (job.task_id, job.message, job.units) == ("t-a", "fine", Decimal("1.5"))
    assert job.updated_at == STORE_NOW
    assert job.created_at == a_job("a").created_at


async def test_a_task_id_is_never_replaced(store: JobStore) -> None:
    """There would be a second paid task, and nobody to ask for the first."""
    held = await bring(store, "a", *TO_THE_END[:2])
    with pytest.raises(JournalError):
        await store.move(ACCOUNT, "a", JobUpdate(JobState.ACCEPTED, task_id="another"))
    assert await store.add(a_job("a")) == held


async def test_a_job_that_is_not_there_cannot_be_moved(store: JobStore) -> None:
    with pytest.raises(JournalError):
        await store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))


async def test_jobs_are_gone_through_in_order_and_by_choice(store: JobStore) -> None:
    for name in "abc":
        await store.add(evolve(a_job(name), run="monday" if name != "b" else None))
    await store.add(evolve(a_job("d"), account="theirs"))
    await store.move(ACCOUNT, "c", JobUpdate(JobState.SUBMITTING))
    assert [job.external_task_id async for job in store.jobs()] == [*"abcd"]
    assert [job.external_task_id async for job in store.jobs(account=ACCOUNT)] == [*"abc"]
    assert [job.external_task_id async for job in store.jobs(run="monday")] == [*"ac"]
    planned = store.jobs(account=ACCOUNT, states={JobState.PLANNED})
    assert [job.external_task_id async for job in planned] == [*"ab"]


async def test_a_known_task_is_one_that_the_service_accepted(store: JobStore) -> None:
    await bring(store, "a", JobState.SUBMITTING, JobState.UNCERTAIN)
    assert await store.known_task(ACCOUNT) is None
    await bring(store, "b", *TO_THE_END)
    known = await store.known_task(ACCOUNT)
    assert known is not None
    assert known.task_id == "t-b"
    assert await store.known_task("theirs") is None


async def test_what_was_spent_is_added_up_exactly(store: JobStore) -> None:
    assert (await store.committed(ACCOUNT)).told == 0
    for number in range(10):
        await bring(store, f"{number}", *TO_THE_END, units="0.1")
    await bring(store, "not told", *TO_THE_END)
    assert (await store.committed(ACCOUNT)).told == 1
    assert (await store.committed("theirs")).told == 0


async def test_a_cost_told_twice_counts_once(store: JobStore) -> None:
    await bring(store, "a", *TO_THE_END, units="2")
    await store.move(ACCOUNT, "a", JobUpdate(JobState.SUCCEEDED, units=Decimal(2)))
    assert (await store.committed(ACCOUNT)).told == 2


async def test_what_a_scene_cost_is_known_from_the_cheapest_to_the_dearest(store: JobStore) -> None:
    assert await store.recent_units(ACCOUNT, "squish") is None
    for name, units in (("a", "2"), ("b", "5"), ("c", "1")):
        await bring(store, name, *TO_THE_END, units=units)
    assert await store.recent_units(ACCOUNT, "squish") == (Decimal(1), Decimal(5))
    assert await store.recent_units(ACCOUNT, "hug") is None


async def test_a_memo_is_remembered_and_replaced(store: JobStore) -> None:
    assert await store.memo("slots", ACCOUNT) is None
    await store.set_memo("slots", ACCOUNT, "3")
    await store.set_memo("slots", ACCOUNT, "4")
    assert await store.memo("slots", ACCOUNT) == "4"
    assert await store.memo("slots", "theirs") is None


async def test_the_memory_forgets_the_oldest_ended_jobs_and_never_an_open_one() -> None:
    store = MemoryStore()
    await bring(store, "open", *TO_THE_END[:2])
    for number in range(10_010):
        await bring(store, f"{number}", *TO_THE_END, units="1")
    names = [job.external_task_id async for job in store.jobs()]
    assert len(names) == 10_001
    assert names[0] == "open"
    assert names[-1] == "10009"
    assert (await store.committed(ACCOUNT)).told == 10_010


async def test_the_memory_forgets_no_job_whose_video_is_still_to_come() -> None:
    store = MemoryStore()
    waits = evolve(a_job("waits"), download_to="clips")
    await store.add(waits)
    for state in TO_THE_END:
        await store.move(ACCOUNT, "waits", JobUpdate(state))
    for number in range(10_010):
        await bring(store, f"{number}", *TO_THE_END)
    await store.move(ACCOUNT, "waits", JobUpdate(JobState.DOWNLOADED, path="clips/waits.mp4"))
    assert (await store.add(waits)).state is JobState.DOWNLOADED


async def test_the_memory_forgets_no_job_that_was_asked_for_again() -> None:
    store = MemoryStore()
    await bring(store, "again", JobState.SUBMITTING, JobState.REJECTED, JobState.PLANNED)
    for number in range(10_010):
        await bring(store, f"{number}", *TO_THE_END)
    await store.move(ACCOUNT, "again", JobUpdate(JobState.SUBMITTING))
    assert (await store.add(a_job("again"))).state is JobState.SUBMITTING


def test_a_journal_shows_users_reading_and_no_step_of_a_job() -> None:
    shown = {name for name in dir(Journal) if not name.startswith("_")}
    reading = {"jobs", "find", "get", "history", "counts", "units_spent", "misses_rows"}
    assert shown == {"open", "aclose", "adopt"} | reading


async def test_jobs_are_numbered_by_state_and_share_in_parts(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "jobs.db") as store:
        for name, share in [("a1", "A"), ("b1", "B"), ("a2", "A"), ("a3", "A"), ("none", "")]:
            await store.add(evolve(a_job(name), share=share))
        await bring(store, "old", *TO_THE_END)
        await store.add(evolve(a_job("theirs"), account="theirs"))
        numbers = store.numbers(ACCOUNT, {JobState.PLANNED}, part_size=3)
        first = await anext(numbers)
        await store.add(evolve(a_job("late"), share="A"))
        parts = [first, *[part async for part in numbers]]
        assert [
            (state, share, [await name_at(store, number) for number in found])
            for state, share, found in parts
        ] == [
            (JobState.PLANNED, "A", ["a1", "a2"]),
            (JobState.PLANNED, "B", ["b1"]),
            (JobState.PLANNED, "A", ["a3"]),
            (JobState.PLANNED, "", ["none"]),
        ]
        assert await store.found_at(99) is None


async def name_at(store: SqliteStore, number: int) -> str | None:
    found = await store.found_at(number)
    return None if found is None else found.external_task_id


async def test_an_empty_journal_has_no_numbers(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "jobs.db") as store:
        assert [part async for part in store.numbers(ACCOUNT, set(JobState))] == []


async def test_the_store_of_an_open_journal_writes_to_its_file(tmp_path: Path) -> None:
    """Fault 87: and its turns are the journal's, whichever client it was made for."""
    async with Journal(tmp_path / "jobs.db") as journal:
        one, other = SqliteStore.of(journal), SqliteStore.of(journal)
        await one.add(a_job("1"))
        assert [job.external_task_id for job in await journal.find("1")] == ["1"]
        async with one.turn_of(ACCOUNT, "1"):
            waiting = asyncio.create_task(other.turn_of(ACCOUNT, "1").__aenter__())
            for _ in range(3):
                await asyncio.sleep(0)
            assert not waiting.done()
        await waiting
