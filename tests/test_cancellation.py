"""A cancellation goes on as what it is, wherever it comes: timeouts and task groups rely on it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from kling_effects_async import (
    ClientClosedError,
    EffectsClient,
    Journal,
    JournalBusyError,
    PollPolicy,
    SingleImageEffect,
    SubmitPolicy,
)
from kling_effects_async.emulator import Clips, Emulator

# A journal writes in a thread, and a busy machine is late with what a socket has: before the time
# moves on, and requests time out, the loop looks so often whether anything has come.
LOOPTIME = pytest.mark.looptime(noop_cycles=1000)
POLL, SUBMIT = PollPolicy(shortest_s=0.05), SubmitPolicy(cancel_grace_s=1.0)

Act = Callable[[EffectsClient, Path], Awaitable[object]]


T = TypeVar("T")


class CancelledAt(Generic[T]):
    """Await it in place of the coroutine; its task is cancelled at the await of this number.

    Args:
        also: what happens at the same moment.

    Attributes:
        awaits: at how many awaits it has waited.
    """

    def __init__(
        self, act: Coroutine[Any, Any, T], number: int, also: Callable[[], object] = int
    ) -> None:
        self._act = act
        self._number = number
        self._also = also
        self.awaits = 0

    def __await__(self) -> Generator[Any, Any, T]:
        act, waited = self._act.__await__(), None
        fault: BaseException | None = None
        while True:
            try:
                waited = act.send(None) if fault is None else act.throw(fault)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a StopIteration has any value
            if self.awaits == self._number:
                task = asyncio.current_task()
                assert task is not None
                task.cancel("by the test")
                self._also()
            self.awaits += 1
            fault = None
            try:
                yield waited
            except BaseException as error:
                fault = error


def squish(number: int = 1) -> SingleImageEffect:
    return SingleImageEffect("squish", image=f"https://img.example/{number}.jpg")


async def submit(client: EffectsClient, _folder: Path) -> object:
    return await client.submit(squish(), external_task_id="order-1")


async def submit_unnamed(client: EffectsClient, _folder: Path) -> object:
    return await client.submit(squish())


async def run(client: EffectsClient, _folder: Path) -> object:
    return await client.run(squish(), external_task_id="order-1")


async def run_many(client: EffectsClient, folder: Path) -> object:
    effects = [squish(number) for number in range(3)]
    async with aclosing(client.run_many(effects, run="r", download_to=folder)) as outcomes:
        return [outcome async for outcome in outcomes]


async def submit_many(client: EffectsClient, _folder: Path) -> object:
    async with aclosing(client.submit_many([squish(), squish(2)], run="r")) as handles:
        return [handle async for handle in handles]


async def resume(client: EffectsClient, folder: Path) -> object:
    async with aclosing(client.resume(download_to=folder)) as outcomes:
        return [outcome async for outcome in outcomes]


async def follow(client: EffectsClient, _folder: Path) -> object:
    return [each async for each in client.attach(external_task_id="order-0")]


async def refresh(client: EffectsClient, _folder: Path) -> object:
    return await client.attach(external_task_id="order-0").refresh()


async def download(client: EffectsClient, folder: Path) -> object:
    result = await client.attach(external_task_id="order-0")
    return await client.download(result.video, folder / "a.mp4", overwrite=True)


async def list_tasks(client: EffectsClient, _folder: Path) -> object:
    return [each async for each in client.list_tasks()]


async def leave(client: EffectsClient, _folder: Path) -> object:
    await client.submit(squish(), external_task_id="order-1")
    await client.aclose()
    return None


async def enter(client: EffectsClient, _folder: Path) -> object:
    await client.aclose()
    async with client:
        return await client.submit(squish(), external_task_id="order-1")


ACTS = [submit, submit_unnamed, run, run_many, submit_many, resume, follow, refresh, download]
ACTS += [list_tasks, leave, enter]


@LOOPTIME
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
@pytest.mark.parametrize("is_left", [False, True])
async def test_cancelled_at_any_await_it_ends_as_cancelled(
    act: Act, is_left: bool, tmp_path: Path
) -> None:
    """Fault 33: no await makes another error of it, also where the client is left meanwhile."""
    ended = Counter[str]()
    while not ended["done"]:
        ended[await cancelled_at(ended.total(), act, tmp_path, is_left=is_left)] += 1
    assert ended == {"cancelled": ended.total() - 1, "done": 1}


async def cancelled_at(number: int, act: Act, folder: Path, *, is_left: bool) -> str:
    """How it ends: cancelled, done, or with which error."""
    journal = folder / f"{number}.db"
    async with (
        Emulator(clips=Clips.STOCK, speed=600, seed=1) as emulator,
        emulator.client(journal=journal, poll=POLL, submit=SUBMIT) as client,
    ):
        await client.submit(squish(0), external_task_id="order-0")
        leaving: list[asyncio.Task[None]] = []

        def leave() -> None:
            if is_left:
                leaving.append(asyncio.create_task(client.aclose()))

        cancelling = CancelledAt(_as_coroutine(act(client, folder)), number, leave)
        task = asyncio.ensure_future(_as_coroutine(cancelling))
        await asyncio.wait([task])
        await asyncio.gather(*leaving)
        paid = Counter(entry.external_task_id for entry in emulator.ledger.entries)
        await client.aclose()
        await until_free(journal)
    if paid.total() > len(paid):
        return "paid twice"
    if task.cancelled():
        return "cancelled"
    if cancelling.awaits > number:
        return f"went on after await {number} to {task.exception() or task.result()!r}"
    return "done" if task.exception() is None else repr(task.exception())


@LOOPTIME
async def test_a_client_that_is_cancelled_while_it_opens_holds_nothing(tmp_path: Path) -> None:
    """Fault 33: its block was not entered, so nobody would close it."""
    async with Emulator(clips=Clips.STOCK, speed=600) as emulator:
        for number in count():
            journal = tmp_path / f"{number}.db"
            entering = CancelledAt(entered(emulator.client(journal=journal)), number)
            task = asyncio.ensure_future(_as_coroutine(entering))
            await asyncio.wait([task])
            await until_free(journal)
            if not task.cancelled():
                break
    assert number > 1


async def entered(client: EffectsClient) -> None:
    async with client:
        pass


@pytest.mark.parametrize("act", [submit, run_many, resume, follow], ids=lambda act: act.__name__)
async def test_closing_a_client_whose_journal_opens_just_now_frees_it(
    act: Act, tmp_path: Path
) -> None:
    """Fault 33: the call is told, and the journal is free at once."""
    async with Emulator(clips=Clips.STOCK, speed=600) as emulator:
        for number in range(1, 30):
            journal = tmp_path / f"{number}.db"
            client = emulator.client(journal=journal)
            opening = asyncio.ensure_future(_as_coroutine(act(client, tmp_path)))
            for _ in range(number):
                await asyncio.sleep(0)
            await client.aclose()
            (ended,) = await asyncio.gather(opening, return_exceptions=True)
            assert isinstance(ended, (ClientClosedError, list)), ended
            async with Journal(journal):
                pass


@LOOPTIME
async def test_a_call_after_a_cancelled_first_one_finds_its_journal(tmp_path: Path) -> None:
    """Fault 33: the first call opened it, and the next one has it."""
    async with Emulator(clips=Clips.STOCK, speed=600) as emulator:
        for number in count():
            client = emulator.client(journal=tmp_path / f"{number}.db")
            submitting = CancelledAt(_as_coroutine(submit(client, tmp_path)), number)
            task = asyncio.ensure_future(_as_coroutine(submitting))
            await asyncio.wait([task])
            await until_called(client)
            await client.aclose()
            if not task.cancelled():
                break
    assert number > 1


async def until_called(client: EffectsClient) -> None:
    """Submit; the thread of an opening that was cancelled may need a moment to close the file."""
    give_up_at = time.monotonic() + 5
    while True:
        try:
            await client.submit(squish(2), external_task_id=None)
            return
        except JournalBusyError:
            assert time.monotonic() < give_up_at, "the client's own journal is in its way"
            await asyncio.sleep(0)


async def until_free(journal: Path) -> None:
    """Fail if somebody goes on holding the journal; its thread may need a moment to close it."""
    give_up_at = time.monotonic() + 5
    while True:
        try:
            async with Journal(journal):
                return
        except JournalBusyError:
            assert time.monotonic() < give_up_at, "the journal is still held"
            await asyncio.sleep(0)


async def _as_coroutine(act: Awaitable[object]) -> object:
    return await act
