"""Turns at a job: several clients of one store are never at the same job at the same time."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest

from kling_effects_async.journal.job import Job, JobState
from kling_effects_async.journal.store import JobStore, MemoryStore
from tests.support.paid_service import ACCOUNT, Bench, Failure, PaidService, a_job

SLOW = Failure(arrives_after_s=60.0)  # uploading; the service knows nothing of it yet


def two_clients() -> tuple[PaidService, Bench, Bench]:
    """Two clients of one store, and a service that takes a used id again, and charges again."""
    service, store = PaidService(), MemoryStore()
    service.rejects_used_ids = False
    one, other = Bench(service, store), Bench(service, store)
    return service, one, other


async def begun(bench: Bench, name: str) -> asyncio.Task[Job]:
    """A submit whose POST is under way."""
    submit = asyncio.create_task(bench.submit(name))
    await asyncio.sleep(1)
    return submit


@pytest.mark.looptime
async def test_two_clients_of_a_store_submit_a_job_once() -> None:
    """Fault 87: one opened journal in two clients."""
    service, one, other = two_clients()
    await one.submit("known")
    service.script.append(SLOW)
    first = await begun(one, "a")
    assert (await other.submit("a")).task_id == (await first).task_id
    assert (service.books["a"], service.lookups) == (["t1"], [])


@pytest.mark.looptime
async def test_a_job_that_a_living_client_submits_is_in_doubt_for_nobody() -> None:
    """Fault 87: a resume by another client of the journal."""
    service, one, other = two_clients()
    await one.submit("known")
    service.script.append(SLOW)
    first = await begun(one, "a")
    assert await one.state("a") is JobState.SUBMITTING
    settled = await other.submitter.settle(a_job("a"))
    assert settled.task_id == (await first).task_id
    assert (service.books["a"], service.lookups) == (["t1"], [])


@pytest.mark.looptime
async def test_an_attempt_keeps_the_turn_of_the_caller_that_left_it() -> None:
    """Fault 87, 78: the caller was cancelled twice, and its attempt goes on."""
    service, one, other = two_clients()
    await one.submit("known")
    service.script.append(Failure(arrives_after_s=8.0))
    first = await begun(one, "a")
    for _ in range(2):
        first.cancel()
        await asyncio.sleep(0.1)
    assert first.cancelled()
    assert (await other.submit("a")).task_id == "t1"
    assert (service.posts.count("a"), service.lookups) == (1, [])


async def test_turns_come_in_the_order_of_asking(store: JobStore) -> None:
    served: list[int] = []

    async def take(number: int) -> None:
        async with store.turn_of(ACCOUNT, "a"):
            served.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*map(take, range(10)))
    assert served == list(range(10))


async def test_jobs_do_not_wait_for_each_other(store: JobStore) -> None:
    async with (
        store.turn_of(ACCOUNT, "a"),
        store.turn_of(ACCOUNT, "b"),
        store.turn_of("another", "a"),
    ):
        pass


async def test_who_waits_may_be_cancelled_at_any_time(store: JobStore) -> None:
    """Also in the moment its turn has come, which then is the next one's."""
    served: list[str] = []

    async def take(name: str) -> None:
        async with store.turn_of(ACCOUNT, "a"):
            served.append(name)

    async with store.turn_of(ACCOUNT, "a"):
        waiting = {name: asyncio.create_task(take(name)) for name in ("x", "y", "z")}
        await asyncio.sleep(0)
        waiting["x"].cancel()
        await asyncio.sleep(0)
    waiting["y"].cancel()  # told, and not awake yet
    await waiting["z"]
    assert served == ["z"]


async def test_turns_are_kept_across_event_loops(store: JobStore) -> None:
    """Fault 87: an opened journal may be used from several loops and threads."""
    inside = most = served = 0

    async def take() -> None:
        nonlocal inside, most, served
        async with store.turn_of(ACCOUNT, "a"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            served += 1
            inside -= 1

    async def take_many() -> None:
        await asyncio.gather(*(take() for _ in range(50)))

    def in_a_loop() -> None:
        asyncio.run(take_many())

    await asyncio.gather(*(asyncio.to_thread(in_a_loop) for _ in range(4)), take_many())
    assert (most, served) == (1, 250)


async def test_a_loop_that_is_gone_keeps_nobody_waiting(store: JobStore) -> None:
    def leave_without_a_word() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(enter())
        loop.close()

    async def enter() -> None:
        await store.turn_of(ACCOUNT, "a").__aenter__()

    thread = threading.Thread(target=leave_without_a_word)
    thread.start()
    await asyncio.to_thread(thread.join)
    async with store.turn_of(ACCOUNT, "a"):
        pass


async def test_a_turn_ends_with_its_block_whatever_was_raised(store: JobStore) -> None:
    with suppress(ZeroDivisionError):
        async with store.turn_of(ACCOUNT, "a"):
            raise ZeroDivisionError
    async with store.turn_of(ACCOUNT, "a"):
        pass
