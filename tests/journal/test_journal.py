"""What a journal keeps of a job: members, steps, costs and memos, and how jobs are found."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_effects_async.errors import (
    IdempotencyConflictError,
    JournalError,
)
from kling_effects_async.journal.job import FOLLOWERS, Job, JobState, JobUpdate, Transition
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.testing import ManualClock
from tests.support.journal_files import (
    NOON,
    A,
    job,
    moved,
)


async def walk(journal: SqliteStore, *states: JobState, external_task_id: str = "order-42") -> Job:
    held = await journal.add(job(external_task_id))
    for state in states:
        held = await moved(journal, state, external_task_id)
    return held


async def states_of(journal: SqliteStore, external_task_id: str = "order-42") -> list[JobState]:
    return [step.state for step in await journal.history(A, external_task_id)]


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


async def test_spent_units_are_summed_exactly(journal: SqliteStore) -> None:
    for number in range(10):
        await journal.add(job(str(number), units=Decimal("0.1")))
    await journal.add(job("unknown"))
    await journal.add(job("of another", account="other", units=Decimal(5)))
    assert await journal.units_spent(A) == Decimal("1.0")
    assert await journal.units_spent("nobody") == 0


async def test_a_scenes_typical_cost_is_the_highest_of_its_last_twenty_successes(
    journal: SqliteStore,
) -> None:
    succeeded = {"state": JobState.SUCCEEDED}
    await journal.add(job("long ago", units=Decimal(99), **succeeded))
    await journal.add(job("downloaded", units=Decimal(10), state=JobState.DOWNLOADED))
    for number in range(19):
        await journal.add(job(f"{number}", units=Decimal("9.5"), **succeeded))
    await journal.add(job("failed", units=Decimal(50), state=JobState.FAILED))
    await journal.add(job("other scene", scene="hug", units=Decimal(60), **succeeded))
    assert await journal.recent_units(A, "squish") == (Decimal("9.5"), Decimal(10))


async def test_a_scene_without_a_known_cost_has_no_typical_one(journal: SqliteStore) -> None:
    await journal.add(job(state=JobState.SUCCEEDED))
    assert await journal.recent_units(A, "squish") is None


async def test_a_memo_is_the_last_that_was_set(journal: SqliteStore) -> None:
    assert await journal.memo("slots", A) is None
    await journal.set_memo("slots", A, "3")
    await journal.set_memo("slots", A, "4")
    await journal.set_memo("schedule", A, "other")
    assert await journal.memo("slots", A) == "4"
