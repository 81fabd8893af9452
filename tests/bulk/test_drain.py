"""``EffectsClient.drain``: nothing new is sent, and all that was sent comes to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kling_effects_async import (
    ClientDrainingError,
    Done,
    EffectsClient,
    Failed,
    JobState,
    Outcome,
    SlotPolicy,
)
from kling_effects_async.effects import Effect
from kling_effects_async.emulator import Clips, Emulator
from tests.support.bulk_run import SLOTS, squish

FIVE = SlotPolicy(start=SLOTS, maximum=SLOTS)
EFFECTS = 30


async def drained_run(client: EffectsClient) -> list[Outcome]:
    """A run of thirty effects; drained at its first outcome."""
    outcomes = []
    async for outcome in client.run_many(map(squish, range(EFFECTS))):
        outcomes.append(outcome)
        client.drain()
    return outcomes


@pytest.mark.looptime
async def test_a_run_ends_with_what_was_sent(emulator: Emulator) -> None:
    async with emulator.client(slots=FIVE) as client:
        outcomes = await asyncio.wait_for(drained_run(client), timeout=300)
    done = [each for each in outcomes if isinstance(each, Done)]
    held_back = [each.error for each in outcomes if isinstance(each, Failed)]
    assert len(done) == emulator.ledger.total < EFFECTS
    assert {type(error) for error in held_back} == {ClientDrainingError}
    assert len(outcomes) < EFFECTS  # the rest of the source was not drawn


async def test_what_was_planned_stays_planned_and_is_paid_once_later(tmp_path: Path) -> None:
    """Not in a quick loop, which lets the tasks end while the journal is written."""
    path = tmp_path / "jobs.db"
    async with Emulator(clips=Clips.STOCK, task_seconds=(900, 900), speed=9000, slots=SLOTS) as at:
        async with at.client(slots=FIVE, journal=path) as client:
            await drained_run(client)
            states = {job.state async for job in client.jobs()}
        assert states == {JobState.PLANNED, JobState.SUCCEEDED}
        async with at.client(slots=FIVE, journal=path) as client:
            outcomes = [each async for each in client.run_many(map(squish, range(EFFECTS)))]
        assert all(isinstance(each, Done) for each in outcomes)
        assert (len(outcomes), at.ledger.total, at.ledger.repeated()) == (30, 30, ())


@pytest.mark.looptime
async def test_a_submit_that_waits_and_one_that_comes_are_not_sent(emulator: Emulator) -> None:
    async with emulator.client(slots=FIVE) as client:
        tasks = [await client.submit(squish(number)) for number in range(SLOTS)]
        waiting = asyncio.ensure_future(client.submit(squish(98)))
        await asyncio.sleep(1)
        client.drain()
        for submit in (waiting, client.submit(squish(99))):
            with pytest.raises(ClientDrainingError, match="was not sent"):
                await submit
        assert [(await task).task_id for task in tasks] == [task.task_id for task in tasks]
    assert emulator.ledger.total == SLOTS


@pytest.mark.looptime
async def test_a_source_that_never_ends_holds_nothing_up(emulator: Emulator) -> None:
    async def endless() -> AsyncIterator[Effect]:
        yield squish(1)
        await asyncio.Event().wait()

    async with emulator.client() as client:
        run = client.run_many(endless())
        assert isinstance(await anext(run), Done)
        rest = asyncio.ensure_future(anext(run, None))
        await asyncio.sleep(1)
        client.drain()
        assert await asyncio.wait_for(rest, timeout=1) is None


@pytest.mark.looptime
async def test_a_client_drained_before_its_first_call_sends_nothing(emulator: Emulator) -> None:
    async with emulator.client() as client:
        client.drain()
        with pytest.raises(ClientDrainingError):
            await client.submit(squish(1))
        assert [each async for each in client.run_many([squish(2)])] == []
    async with client:  # opened again
        assert (await client.run(squish(1))).video is not None
    assert emulator.ledger.total == 1


async def test_resume_follows_what_runs_and_sends_nothing(tmp_path: Path) -> None:
    """Not in a quick loop, which lets the tasks end while the journal is written."""
    path = tmp_path / "jobs.db"
    async with Emulator(clips=Clips.STOCK, task_seconds=(900, 900), speed=9000, slots=SLOTS) as at:
        async with at.client(slots=FIVE, journal=path) as client:
            for number in range(SLOTS):
                await client.submit(squish(number), external_task_id=f"{number}")
            waiting = asyncio.ensure_future(client.submit(squish(98), external_task_id="98"))
            while await client.job("98") is None:
                pass
        await asyncio.gather(waiting, return_exceptions=True)
        async with at.client(slots=FIVE, journal=path) as client:
            client.drain()
            outcomes = [each async for each in client.resume()]
        assert [type(each) for each in outcomes] == [Done] * SLOTS
        assert at.ledger.total == SLOTS
