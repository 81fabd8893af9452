"""What waiting costs when there is much of it: requests, memory, timers."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from kling_effects_async import (
    Done,
    EffectsClient,
    PollPolicy,
    SingleImageEffect,
    SlotPolicy,
    TaskStatus,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.poller import Poller
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.transport.clock import Timer
from tests.support.polled_service import PolledService, QuickClock

IN_FLIGHT = 20_000
NOW = datetime(2026, 9, 1, tzinfo=UTC)


class CountingClock(QuickClock):
    """Counts the timers that were not called off."""

    def __init__(self) -> None:
        super().__init__()
        self.open_timers = 0

    def call_at(self, when: float, callback: Callable[[], object]) -> Counted:
        self.open_timers += 1
        return Counted(self, super().call_at(when, callback))


class Counted:
    def __init__(self, clock: CountingClock, timer: Timer) -> None:
        self._clock = clock
        self._timer = timer

    def cancel(self) -> None:
        self._clock.open_timers -= 1
        self._timer.cancel()


def running(number: int) -> TaskSnapshot:
    return TaskSnapshot(
        task_id=f"86000000000{number:07}",
        external_task_id=f"keb-{number:032}",
        status=TaskStatus.PROCESSING,
        raw_status="processing",
        created_at=NOW,
        updated_at=NOW,
    )


class Endless:
    """A service whose tasks run on and on."""

    def __init__(self) -> None:
        self.tasks = {task.task_id: task for task in map(running, range(IN_FLIGHT))}
        self.newest_first = list(self.tasks.values())[::-1]

    async def one(self, task_id: str) -> TaskSnapshot:
        return self.tasks[task_id]

    async def page(
        self, number: int, size: int, wanted: Mapping[str, TaskSnapshot | None]
    ) -> Listed:
        shown = self.newest_first[(number - 1) * size : number * size]
        return Listed(
            tasks=[task for task in shown if task.task_id in wanted],
            shown=len(shown),
            first_id=shown[0].task_id if shown else "",
            newest_at=NOW if shown else None,
            oldest_at=NOW if shown else None,
        )


@pytest.mark.parametrize("has_list", [True, False])
async def test_twenty_thousand_tasks_take_two_kilobytes_each_and_one_timer(has_list: bool) -> None:
    service, clock = Endless(), CountingClock()
    poller = Poller(
        PolledService(service.one, service.page if has_list else None),
        policy=PollPolicy(),
        clock=clock,
        rng=lambda: 0.5,
    )
    tracemalloc.start()
    for task in service.tasks.values():
        poller.follow(poller.track(task.task_id, task.external_task_id), lambda _final: None)
    await clock.advance(2)
    held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 2048 * IN_FLIGHT
    assert peak_bytes < 2048 * IN_FLIGHT
    assert clock.open_timers <= 1
    assert len(asyncio.all_tasks()) < 50
    await poller.aclose()


async def queries_of_a_batch(client: EffectsClient, emulator: Emulator, run: str) -> int:
    before = emulator.requests["query"]
    effects = (SingleImageEffect("squish", image=f"https://img.example/{n}.jpg") for n in range(30))
    async for outcome in client.run_many(effects, run=run):
        assert isinstance(outcome, Done)
    return emulator.requests["query"] - before


@pytest.mark.looptime
async def test_what_one_batch_teaches_makes_the_next_one_cheaper() -> None:
    async with (
        Emulator(
            clips=Clips.STOCK, task_seconds=(60.0, 80.0), lists_tasks=False, seed=1
        ) as emulator,
        emulator.client() as client,
    ):
        first = await queries_of_a_batch(client, emulator, "first")
        second = await queries_of_a_batch(client, emulator, "second")
    assert second < first / 2


@pytest.mark.looptime
async def test_a_gateway_that_looks_every_15_s_is_not_asked_more_often() -> None:
    async with (
        Emulator(
            clips=Clips.STOCK,
            task_seconds=(60.0, 120.0),
            refresh_s=15.0,
            lists_tasks=False,
            seed=1,
        ) as emulator,
        emulator.client() as client,
    ):
        first = await queries_of_a_batch(client, emulator, "first")
        second = await queries_of_a_batch(client, emulator, "second")
    looks = 1 + 60 / 15 + 1  # one before, one for each refresh while ends are likely, one after
    assert second <= 30 * looks < first


@pytest.mark.looptime
async def test_a_query_does_not_wait_behind_submits_that_wait_for_a_connection() -> None:
    async with Emulator(clips=Clips.STOCK, seed=1) as emulator:
        emulator.fail_next(Fault.late(60.0, on="submit"), times=150)
        async with emulator.client(slots=SlotPolicy(start=200)) as client:
            effects = [
                SingleImageEffect("squish", image=f"https://i.example/{n}") for n in range(150)
            ]
            submits = [asyncio.ensure_future(client.submit(effect)) for effect in effects]
            await asyncio.sleep(1)
            async with asyncio.timeout(5):
                await client.list_tasks()
            assert not any(submit.done() for submit in submits)
            await asyncio.gather(*submits)


@pytest.mark.looptime
async def test_many_more_tasks_than_a_page_holds_cost_hardly_more_than_their_submits() -> None:
    """Fault 81: more than 500 newer tasks in the list than the one waited for."""
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=5.0, seed=1) as emulator,
        emulator.client(slots=SlotPolicy(start=1500)) as client,
    ):
        effects = (SingleImageEffect("squish", image=f"https://i.example/{n}") for n in range(2000))
        async for outcome in client.run_many(effects):
            assert isinstance(outcome, Done)
    assert emulator.requests.total() <= 2200
