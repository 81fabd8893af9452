"""A server that is too slow ends a transfer; a receiver that takes its time does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from kling_effects_async.downloading.least_speed import least_speed
from kling_effects_async.downloading.reply import TryAgainError
from kling_effects_async.testing import ManualClock
from kling_effects_async.transport.clock import Timer

WINDOW_S, WINDOW_BYTES = 60.0, 6_000


class HandClock(ManualClock):
    """Tells the last call that is due, so that a test can make it itself."""

    due: Callable[[], object]

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.due = callback
        return super().call_at(when, callback)


class Transfer:
    """Does what a test says, in one block under the rule."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.taken = asyncio.Event()  # the receiver has taken its chunk
        self.next = asyncio.Event()
        self.size_bytes = 1

    async def run(self) -> None:
        async with least_speed(self.clock, window_s=WINDOW_S, window_bytes=WINDOW_BYTES) as pace:
            while True:
                await self.next.wait()
                self.next.clear()
                with pace.received(self.size_bytes):
                    await self.taken.wait()
                self.taken.clear()

    async def brings(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.next.set()
        await self.clock.settle()

    async def takes(self) -> None:
        self.taken.set()
        await self.clock.settle()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def transfer(clock: HandClock) -> Transfer:
    return Transfer(clock)


@pytest.fixture
async def task(transfer: Transfer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(transfer.run())
    yield task
    task.cancel()
    await asyncio.wait([task])


async def test_the_time_that_the_receiver_takes_does_not_count(
    transfer: Transfer, task: asyncio.Task[None], clock: HandClock
) -> None:
    """Fault 45: an hour at a slow reader is not the server's."""
    await transfer.brings(1)
    await clock.advance(3_590)
    await transfer.takes()
    await clock.advance(40)  # a judgement falls into it
    assert not task.done()


async def test_after_a_slow_receiver_a_server_that_stands_still_is_found(
    transfer: Transfer, task: asyncio.Task[None], clock: HandClock
) -> None:
    """Fault 45: within two windows of waiting for it."""
    await transfer.brings(WINDOW_BYTES)
    await clock.advance(WINDOW_S * 10 + 20)
    await transfer.takes()
    await clock.advance(WINDOW_S * 2 + 20)
    with pytest.raises(TryAgainError, match="stood still"):
        await task


async def test_a_longer_window_demands_more_bytes(
    transfer: Transfer, task: asyncio.Task[None], clock: HandClock
) -> None:
    """Fault 45: half the speed is too little, however the receiver's pauses fall."""
    await transfer.brings(WINDOW_BYTES)
    await clock.advance(WINDOW_S - 1)
    await transfer.takes()
    await clock.advance(WINDOW_S + 1)  # waited for during 61 of 120 s
    with pytest.raises(TryAgainError):
        await task


async def test_a_chunk_is_not_cut_off_while_the_receiver_has_it(
    transfer: Transfer, task: asyncio.Task[None], clock: HandClock
) -> None:
    """Fault 45: it came in the very moment in which the window ended."""
    await clock.settle()
    clock.jump(WINDOW_S)
    transfer.next.set()
    clock.due()
    await clock.settle()
    await transfer.takes()
    assert not task.done()
