"""Where the jobs stand: the stats, the budget, and the jobs that the journal holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    ClientClosedError,
    EffectsClient,
    JobState,
    SingleImageEffect,
    SlotPolicy,
    SubmissionUncertainError,
    TaskStatus,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.submits import QUICK, SQUISH, URL

HUG = SingleImageEffect("expansion", image=URL)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=0.1, seed=1) as running:
        yield running


@pytest.fixture(params=["memory", "journal"])
async def client(
    request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path
) -> AsyncIterator[EffectsClient]:
    journal = tmp_path / "jobs.db" if request.param == "journal" else None
    async with emulator.client(journal=journal, **QUICK) as opened:
        yield opened


async def names(client: EffectsClient, **chosen: Any) -> list[str]:
    return [job.external_task_id async for job in client.jobs(**chosen)]


async def leave_uncertain(emulator: Emulator, client: EffectsClient, name: str) -> None:
    emulator.fail_next(Fault.cut_after_reading(on="submit", accepted=True))
    for operation in ("query", "list"):
        emulator.fail_next(Fault.answer(503, on=operation), times=3)
    with pytest.raises(SubmissionUncertainError):
        await client.submit(SQUISH, external_task_id=name)


async def test_the_jobs_are_those_of_the_states_the_run_and_the_scene(
    client: EffectsClient,
) -> None:
    await client.run(SQUISH, external_task_id="order-1")
    await client.run(HUG, external_task_id="order-2")
    (third,) = [outcome async for outcome in client.run_many([SQUISH], run="summer")]
    assert await names(client) == ["order-1", "order-2", third.external_task_id]
    assert await names(client, scene="expansion") == ["order-2"]
    assert await names(client, run="summer") == [third.external_task_id]
    assert await names(client, states={JobState.SUCCEEDED}, scene="squish", run=None) == [
        "order-1",
        third.external_task_id,
    ]
    assert await names(client, states=iter([JobState.SUCCEEDED]), run="summer") == [
        third.external_task_id
    ]
    assert await names(client, states=set()) == []


async def test_a_job_is_found_by_its_external_id_alone(client: EffectsClient) -> None:
    result = await client.run(SQUISH, external_task_id="order-1")
    job = await client.job("order-1")
    assert job is not None
    assert (job.task_id, job.state) == (result.task_id, JobState.SUCCEEDED)
    assert await client.job(result.task_id) is None
    assert await client.job("order-2") is None


async def test_jobs_of_another_account_are_not_shown(emulator: Emulator, tmp_path: Path) -> None:
    journal = tmp_path / "jobs.db"
    async with emulator.client(journal=journal, **QUICK) as client:
        await client.run(SQUISH, external_task_id="order-1")
    other = {**QUICK, "account": "another"}
    async with emulator.client(journal=journal, **other) as client:
        assert await names(client) == []
        assert await client.job("order-1") is None


async def test_a_client_that_is_closed_ends_the_iteration(client: EffectsClient) -> None:
    for number in range(3):
        await client.run(SQUISH, external_task_id=f"order-{number}")
    jobs = client.jobs()
    await anext(jobs)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await anext(jobs)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scene": 7},
        {"run": 7},
        {"states": {"uncertain"}},
        {"states": JobState.UNCERTAIN},
        {"states": iter(["uncertain"])},
        {"states": ""},
        {"states": 5},
    ],
)
async def test_a_wrong_choice_of_jobs_is_rejected_at_the_call(
    emulator: Emulator, wrong: dict[str, Any]
) -> None:
    async with emulator.client() as client:
        with pytest.raises(TypeError, match=f"^{next(iter(wrong))} must be "):
            client.jobs(**wrong)


async def test_a_doubt_is_counted_until_it_is_settled(
    emulator: Emulator, client: EffectsClient
) -> None:
    await leave_uncertain(emulator, client, "order-1")
    assert client.stats().uncertain == 1
    job = await client.job("order-1")
    assert job is not None
    assert job.state is JobState.UNCERTAIN
    assert "broke" in job.message
    assert (await client.settle("order-1")).state is JobState.ACCEPTED
    assert client.stats().uncertain == 0


async def test_a_decision_settles_a_doubt_too(emulator: Emulator, client: EffectsClient) -> None:
    await leave_uncertain(emulator, client, "order-1")
    await client.settle("order-1", abandon=True)
    assert client.stats().uncertain == 0


async def test_the_stats_count_polls_and_the_last_lag(client: EffectsClient) -> None:
    assert (client.stats().polls, client.stats().last_lag_s) == (0, None)
    await client.run(SQUISH)
    assert client.stats().polls >= 1
    lag_s = client.stats().last_lag_s
    assert lag_s is not None
    assert 0 <= lag_s < 30


async def test_the_stats_tell_why_there_are_so_many_slots(
    emulator: Emulator, client: EffectsClient
) -> None:
    await client.run(SQUISH)
    assert "accepted" in client.stats().slots_reason


async def test_slots_that_were_remembered_are_told_so(emulator: Emulator, tmp_path: Path) -> None:
    journal = tmp_path / "jobs.db"
    emulator.fail_next(Fault.rejected(1303))
    policy = SlotPolicy(start=4)
    async with emulator.client(journal=journal, slots=policy, **QUICK) as client:
        await client.run(SQUISH)
    async with emulator.client(journal=journal, slots=policy, **QUICK) as client:
        assert "remembered" in client.stats().slots_reason


@pytest.mark.parametrize("has_journal", [True, False])
async def test_the_budget_tells_what_is_spent_and_left(
    emulator: Emulator, has_journal: bool, tmp_path: Path
) -> None:
    journal = tmp_path / "jobs.db" if has_journal else None
    async with emulator.client(journal=journal, budget_units=10, **QUICK) as client:
        empty = await client.budget()
        assert [empty.limit_units, empty.spent_units, empty.left_units] == [
            Decimal(10),
            Decimal(0),
            Decimal(10),
        ]
        task = await client.submit(SQUISH)
        running = await client.budget()
        assert running.running_units > 0
        result = await task
        ended = await client.budget()
    assert result.units is not None
    assert [ended.spent_units, ended.running_units] == [result.units, Decimal(0)]
    assert ended.left_units == Decimal(10) - result.units


async def test_without_a_limit_nothing_is_left_to_tell(client: EffectsClient) -> None:
    budget = await client.budget()
    assert (budget.limit_units, budget.left_units) == (None, None)


async def test_an_attached_task_recalls_its_end_without_a_request(
    emulator: Emulator, tmp_path: Path
) -> None:
    journal = tmp_path / "jobs.db"
    async with emulator.client(journal=journal, **QUICK) as client:
        await client.run(SQUISH, external_task_id="order-1")
    before = emulator.requests.total()
    async with emulator.client(journal=journal, **QUICK) as client:
        task = client.attach(external_task_id="order-1")
        assert task.latest is None
        snapshot = await task.recall()
        assert snapshot is not None
        assert snapshot.status is TaskStatus.SUCCEEDED
        assert task.latest == snapshot
    assert emulator.requests.total() == before


async def test_a_task_that_is_in_no_journal_recalls_nothing(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with emulator.client(journal=tmp_path / "jobs.db", **QUICK) as client:
        assert await client.attach("t-unknown").recall() is None
    assert emulator.requests.total() == 0


@pytest.mark.looptime
async def test_a_task_expects_its_end_by_what_its_scene_took() -> None:
    slow = Emulator(clips=Clips.STOCK, task_seconds=30.0, seed=1)
    async with slow as emulator, emulator.client(**QUICK) as client:
        early = await client.submit(SQUISH)
        assert early.expected_end is None
        await asyncio.gather(*(client.run(SQUISH) for _ in range(8)))
        task = await client.submit(SQUISH)
        expected = task.expected_end
        assert expected is not None
        first, last = expected
        assert first <= last
        assert (last - first).total_seconds() < 20
        other = await client.submit(HUG)
        assert other.expected_end is None
        await task
        assert task.expected_end is None
