"""What runs under batches: lazy, bounded, and clean at its end."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from kling_effects_async.concurrency import SourceOrder, map_as_completed, merged

pytestmark = pytest.mark.looptime


async def slow_square(number: int) -> int:
    await asyncio.sleep(100 - number)
    return number * number


async def all_of(source: object, *, room: int = 4, ordered: bool = False) -> list[int]:
    results = map_as_completed(
        source,  # type: ignore[arg-type]  # both kinds of iterable
        slow_square,
        limit=lambda: room,
        changed=asyncio.Event(),
        ordered=ordered,
    )
    return [result async for result in results]


async def test_results_come_as_they_finish() -> None:
    assert await all_of(range(4)) == [9, 4, 1, 0]


async def test_results_come_in_order_where_that_is_asked_for() -> None:
    assert await all_of(range(10), ordered=True) == [n * n for n in range(10)]


async def test_an_async_source_is_as_good() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(6):
            await asyncio.sleep(1)
            yield number

    assert sorted(await all_of(numbers())) == [n * n for n in range(6)]


async def test_results_come_while_the_source_is_waited_for() -> None:
    """A source that is fed with the results, such as a queue, must not wait for itself."""
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    queue.put_nowait(0)

    async def numbers() -> AsyncIterator[int]:
        while (number := await queue.get()) is not None:
            yield number

    seen = []
    async for result in map_as_completed(
        numbers(), slow_square, limit=lambda: 4, changed=asyncio.Event()
    ):
        seen.append(result)
        queue.put_nowait(None if len(seen) == 5 else len(seen))
    assert seen == [0, 1, 4, 9, 16]


async def test_leaving_it_while_the_source_is_waited_for_leaves_nothing_behind() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(10_000)

    wake = asyncio.Event()
    async with aclosing(
        map_as_completed(numbers(), slow_square, limit=lambda: 4, changed=wake)
    ) as results:
        async for _ in results:
            break
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_of_an_async_source_is_raised() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise OSError("the queue is gone")

    with pytest.raises(OSError, match="the queue is gone"):
        await all_of(broken())
    assert len(asyncio.all_tasks()) == 1


async def test_nothing_comes_of_nothing() -> None:
    assert await all_of([]) == []


@pytest.mark.parametrize("ordered", [False, True])
async def test_no_more_is_drawn_than_there_is_room_for(ordered: bool) -> None:
    drawn = taken = 0
    ahead: list[int] = []

    def numbers() -> Iterator[int]:
        nonlocal drawn
        for number in range(60):
            drawn += 1
            ahead.append(drawn - taken)
            yield number

    wake = asyncio.Event()
    async for _ in map_as_completed(
        numbers(), slow_square, limit=lambda: 5, changed=wake, ordered=ordered
    ):
        taken += 1
    assert (taken, max(ahead)) == (60, 5)


async def test_room_that_opens_later_is_used() -> None:
    room = 1
    wake = asyncio.Event()
    running = most = 0

    async def act(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(10)
        running -= 1
        return number

    def open_up() -> None:
        nonlocal room
        room = 7
        wake.set()

    asyncio.get_running_loop().call_later(5, open_up)
    results = [
        result
        async for result in map_as_completed(range(20), act, limit=lambda: room, changed=wake)
    ]
    assert (len(results), most) == (20, 7)


async def test_without_any_room_it_still_gets_on() -> None:
    assert sorted(await all_of(range(3), room=0)) == [0, 1, 4]


async def test_leaving_it_cancels_and_awaits_what_is_under_way() -> None:
    ended: list[int] = []

    async def act(number: int) -> int:
        try:
            await asyncio.sleep(10 * number)
        finally:
            await asyncio.sleep(3)  # an end takes its time
            ended.append(number)
        return number

    async with aclosing(
        map_as_completed(range(100), act, limit=lambda: 6, changed=asyncio.Event())
    ) as results:
        async for _ in results:
            break
    assert sorted(ended) == list(range(6))
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_of_the_source_is_raised_and_leaves_nothing_behind() -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise OSError("the folder is gone")

    with pytest.raises(OSError, match="the folder is gone"):
        await all_of(broken())
    assert len(asyncio.all_tasks()) == 1


async def test_many_items_take_no_more_memory_than_a_few() -> None:
    async def act(number: int) -> bytes:
        await asyncio.sleep(0)
        return bytes(10_000)

    async def peak_bytes(count: int) -> int:
        tracemalloc.start()
        async for _ in map_as_completed(
            range(count), act, limit=lambda: 8, changed=asyncio.Event()
        ):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    await peak_bytes(100)
    assert await peak_bytes(10_000) < await peak_bytes(500) + 50_000


async def in_turn(order: SourceOrder, after_s: float, seen: list[int]) -> None:
    place = order.next_place()
    try:
        await asyncio.sleep(after_s)
        if after_s == 3:
            return  # it leaves without its turn
        await order.turn(place)
        seen.append(place)
    finally:
        order.leave(place)


async def test_turns_come_in_the_order_of_the_places_whoever_is_ready() -> None:
    order, seen = SourceOrder(), list[int]()
    await asyncio.gather(*(in_turn(order, after_s, seen) for after_s in (9, 3, 5, 0, 7)))
    assert seen == [1, 3, 4, 5]


async def test_who_is_cancelled_before_its_turn_holds_up_nobody() -> None:
    order, seen = SourceOrder(), list[int]()
    acts = [asyncio.ensure_future(in_turn(order, after_s, seen)) for after_s in (9, 0, 1)]
    await asyncio.sleep(4)
    acts[1].cancel()
    await asyncio.gather(*acts, return_exceptions=True)
    assert seen == [1, 3]
    order.leave(1)  # again
    assert order.next_place() == 4
    await order.turn(4)


async def ticks(name: str, pause_s: float, number: int) -> AsyncGenerator[str, None]:
    for tick in range(number):
        await asyncio.sleep(pause_s)
        yield f"{name}{tick}"


async def test_the_items_of_merged_streams_come_as_they_are_there() -> None:
    streams = [ticks("a", 10, 2), ticks("b", 3, 4), ticks("none", 1, 0)]
    assert [item async for item in merged(*streams)] == ["b0", "b1", "b2", "a0", "b3", "a1"]
    nothing: list[AsyncGenerator[str, None]] = []
    assert [item async for item in merged(*nothing)] == []


async def test_leaving_merged_streams_closes_them_all() -> None:
    left: list[str] = []

    async def endless(name: str) -> AsyncGenerator[str, None]:
        try:
            async for tick in ticks(name, 1, 1_000):
                yield tick
        finally:
            await asyncio.sleep(0)
            left.append(name)

    async with aclosing(merged(endless("a"), endless("b"))) as items:
        await anext(items)
        left_at = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() < left_at + 0.5
    assert sorted(left) == ["a", "b"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_exception_of_one_merged_stream_ends_all() -> None:
    async def broken() -> AsyncGenerator[str, None]:
        await asyncio.sleep(5)
        yield "last"
        raise OSError("no disk")

    items = merged(ticks("a", 2, 100), broken())
    assert [await anext(items) for _ in range(3)] == ["a0", "a1", "last"]
    with pytest.raises(OSError, match="no disk"):
        await anext(items)
    assert asyncio.all_tasks() == {asyncio.current_task()}
