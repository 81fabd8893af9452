"""Jobs that an earlier process left planned: their shares get slots in turn as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    Done,
    EffectsClient,
    Outcome,
    SharePolicy,
    SingleImageEffect,
    SlotPolicy,
    SubmitPolicy,
)
from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.planning import make_job
from tests.support.paid_service import ACCOUNT
from tests.support.submits import QUICK

FOUR = SlotPolicy(start=4, maximum=4)
ONE = SlotPolicy(start=1, maximum=1)
TO_THE_TASK = (JobState.SUBMITTING, JobState.ACCEPTED)


def picture(name: str) -> SingleImageEffect:
    return SingleImageEffect("squish", image=f"https://img.example/{name}.jpg")


class Left:
    """A journal as a dead process left it, and a service that goes on."""

    def __init__(self, emulator: Emulator, path: Path) -> None:
        self.emulator = emulator
        self.path = path

    async def planned(self, **shares: int) -> None:
        """So many planned jobs of each share, named like "A0", all of one share together."""
        names = [(share, f"{share}{n}") for share, number in shares.items() for n in range(number)]
        async with SqliteStore(self.path) as store:
            await asyncio.gather(*(self._add(store, name, share) for share, name in names))

    async def accepted(self, *names: str) -> None:
        """Jobs whose tasks run."""
        async with self.client() as dead:
            for name in names:
                await dead.submit(picture(name), external_task_id=name, share=name[0])

    async def brought(self, name: str, *states: JobState, task_id: str | None = None) -> None:
        async with SqliteStore(self.path) as store:
            await self._add(store, name, name[0])
            for state in states:
                await store.move(ACCOUNT, name, JobUpdate(state, task_id=task_id))

    def client(self, **options: Any) -> EffectsClient:
        return self.emulator.client(journal=self.path, **(QUICK | options))

    async def _add(self, store: SqliteStore, name: str, share: str) -> None:
        effect = picture(name)
        job = make_job(
            effect,
            account=ACCOUNT,
            external_task_id=name,
            image_hashes=[image_hash(image) for image in effect.images],
            share=share,
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        await store.add(job)


@pytest.fixture
async def left(tmp_path: Path) -> AsyncIterator[Left]:
    async with Emulator(clips=Clips.STOCK, speed=600, task_seconds=30.0) as emulator:
        yield Left(emulator, tmp_path / "jobs.db")


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Left]:
    """Where no task ends within a test."""
    async with Emulator(clips=Clips.STOCK, task_seconds=3_600.0) as emulator:
        yield Left(emulator, tmp_path / "jobs.db")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


async def names_of(client: EffectsClient, most: int = 1_000) -> list[str]:
    """The first jobs that are done, in the order of their ends."""
    names: list[str] = []
    async with aclosing(client.resume()) as outcomes:
        async for outcome in outcomes:
            assert isinstance(outcome, Done)
            names.append(outcome.external_task_id)
            if len(names) == most:
                break
    return names


class Resuming:
    """A client that resumes, while the test looks at it."""

    def __init__(self, client: EffectsClient, **options: Any) -> None:
        self.outcomes: list[Outcome] = []
        self._resuming = asyncio.ensure_future(self._resume(client, **options))

    async def __aenter__(self) -> Resuming:
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._resuming.cancel()
        await asyncio.gather(self._resuming, return_exceptions=True)

    async def _resume(self, client: EffectsClient, **options: Any) -> None:
        async with aclosing(client.resume(**options)) as outcomes:
            async for outcome in outcomes:
                self.outcomes.append(outcome)


async def test_one_job_does_not_wait_for_the_forty_of_another(left: Left) -> None:
    await left.planned(A=40, B=1)
    async with left.client(slots=FOUR) as client:
        names = await names_of(client, most=8)
    assert "B0" in names


async def test_all_jobs_are_resumed_and_those_of_a_share_in_their_order(left: Left) -> None:
    await left.planned(A=9, B=3)
    async with left.client(slots=ONE) as client:
        names = await names_of(client)
    assert [name for name in names if name[0] == "A"] == [f"A{number}" for number in range(9)]
    assert names[:6] == ["A0", "B0", "A1", "B1", "A2", "B2"]
    assert left.emulator.ledger.total == 12
    assert left.emulator.ledger.repeated() == ()


async def test_a_share_at_its_maximum_leaves_no_slot_idle(slow: Left) -> None:
    await slow.planned(A=40, B=40, C=1)
    shares = SharePolicy(max_per_share=1)
    async with slow.client(slots=FOUR, shares=shares) as client, Resuming(client):
        await until(lambda: client.stats().running == 3)
        await until(lambda: client.stats().waiting_by_share == {"A": 1, "B": 1})


async def test_all_jobs_of_a_share_at_its_maximum_are_resumed(left: Left) -> None:
    await left.planned(A=5)
    async with left.client(slots=FOUR, shares=SharePolicy(max_per_share=1)) as client:
        names = await asyncio.wait_for(names_of(client), 20)
    assert names == [f"A{number}" for number in range(5)]


@pytest.mark.parametrize("slots", [ONE, FOUR])
async def test_tasks_that_run_are_followed_before_any_planned_job_is_sent(
    slow: Left, slots: SlotPolicy
) -> None:
    await slow.accepted("B0", "B1", "B2", "B3")
    await slow.planned(A=2)
    async with slow.client(slots=slots) as client, Resuming(client):
        await until(lambda: client.stats().running == 4)
        await until(lambda: client.stats().waiting == 2)
    assert slow.emulator.requests["submit"] == 4


async def test_a_planned_job_does_not_wait_for_the_lookups_of_uncertain_ones(left: Left) -> None:
    await left.brought("known", *TO_THE_TASK, JobState.SUCCEEDED, task_id="t-known")
    for number in range(3):
        await left.brought(f"U{number}", JobState.SUBMITTING, JobState.UNCERTAIN)
    await left.planned(A=1)
    patient = SubmitPolicy(settle_pause_s=3_600, cancel_grace_s=0.01)
    async with left.client(slots=ONE, submit=patient) as client:
        assert await names_of(client, most=1) == ["A0"]


async def test_each_job_has_one_outcome_though_its_state_changes(
    left: Left, tmp_path: Path
) -> None:
    await left.accepted("R0", "R1")
    await left.planned(A=3)
    async with left.client(slots=FOUR) as client:
        outcomes = [outcome async for outcome in client.resume(download_to=tmp_path)]
    assert sorted(outcome.external_task_id for outcome in outcomes) == [
        "A0",
        "A1",
        "A2",
        "R0",
        "R1",
    ]


async def test_what_is_submitted_meanwhile_is_not_resumed(left: Left) -> None:
    await left.planned(A=6)
    async with left.client(slots=ONE) as client:
        resuming = asyncio.ensure_future(names_of(client))
        await until(lambda: client.stats().waiting_by_share == {"A": 1})
        live = client.run(picture("l"), external_task_id="l", share="L")
        names, _result = await asyncio.gather(resuming, live)
    assert names == [f"A{number}" for number in range(6)]


async def test_a_job_that_is_over_before_it_is_drawn_is_left_out(left: Left) -> None:
    await left.planned(A=12)
    async with left.client(slots=ONE) as client:
        resuming = asyncio.ensure_future(names_of(client))
        await until(lambda: client.stats().running == 1)
        await client.settle("A10", abandon=True)
        assert await resuming == [f"A{number}" for number in (*range(10), 11)]


async def test_of_two_thousand_jobs_a_few_are_in_memory(slow: Left) -> None:
    await slow.planned(A=2_000, B=1)
    async with slow.client(slots=FOUR) as client:
        idle = len(asyncio.all_tasks())
        async with Resuming(client):
            await until(lambda: client.stats().running == 4)
            await until(lambda: client.stats().waiting == 4)
            assert len(asyncio.all_tasks()) < idle + 20


async def test_a_job_that_is_drawn_has_its_place_in_the_queue_again(slow: Left) -> None:
    await slow.planned(A=40, B=2)
    async with slow.client(slots=ONE) as client, Resuming(client):
        await until(lambda: client.stats().waiting == 1)
        assert client.queue_position("B0") == 1
        assert client.queue_position("A39") is None
