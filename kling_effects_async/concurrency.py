"""Many coroutines at once: a lazy source, a bounded number running, a clean end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
)
from typing import Any, Generic, TypeVar

__all__ = ["SourceOrder", "map_as_completed", "merged"]

T = TypeVar("T")
R = TypeVar("R")


async def map_as_completed(
    items: Iterable[T] | AsyncIterable[T],
    act: Callable[[T], Coroutine[Any, Any, R]],
    *,
    limit: Callable[[], int],
    changed: asyncio.Event,
    is_over: Callable[[], bool] = lambda: False,
    ordered: bool = False,
) -> AsyncGenerator[R, None]:
    """Map ``act`` over the items, and yield each result as soon as it is there.

    An item is drawn only while fewer than ``limit()`` calls run or have a result that is not taken;
    results are yielded while a slow source is waited for. When the iteration is left, running calls
    are cancelled and awaited. An exception of ``act`` or of the source is raised, and ends it.

    Args:
        limit: called whenever a call of ``act`` finishes, and whenever ``changed`` is set; a value
            below 1 counts as 1.
        changed: to be set whenever ``limit()`` grows, and when ``is_over()`` becomes true.
        is_over: no more items are drawn once it is true; the running calls are the last.
        ordered: yield the results in the order of the items instead.
    """
    # Not asyncio.wait: it visits all running tasks each time one of them finishes.
    results: deque[asyncio.Task[R]] = deque()  # in the order in which they are yielded
    running: set[asyncio.Task[R]] = set()
    source = _AsyncSource(items, changed) if isinstance(items, AsyncIterable) else _Source(items)

    def finished(task: asyncio.Task[R]) -> None:
        running.discard(task)
        if not ordered:
            results.append(task)
        changed.set()

    def has_room() -> bool:
        # In order, a task is among the results from its start; otherwise from its end.
        unfinished = len(results) if ordered else len(running) + len(results)
        return unfinished < max(1, limit())

    try:
        while True:
            changed.clear()  # before has_room, so that no change in between is missed
            while not is_over() and has_room() and source.has_next():
                task = asyncio.create_task(act(source.next()))
                running.add(task)
                task.add_done_callback(finished)
                if ordered:
                    results.append(task)
            if results and results[0].done():
                yield results.popleft().result()
            elif running or not (is_over() or source.is_exhausted):
                await changed.wait()
            else:
                return
    finally:
        # All first, then awaited together: one after another would add up their grace periods.
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *results, source.aclose(), return_exceptions=True)


class SourceOrder:
    """Calls of ``act`` that run side by side, one after the other for a step.

    Each call gets a place, by which it waits for its turn, and which it leaves in every case: the
    others wait for it.
    """

    def __init__(self) -> None:
        self._places = 0
        self._first = 1  # the place whose turn it is
        self._left: set[int] = set()  # behind it
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def next_place(self) -> int:
        """The next place, from 1; to be called as the items are drawn."""
        self._places += 1
        return self._places

    async def turn(self, place: int) -> None:
        """Return once all places before it were left."""
        if place != self._first:
            self._waiting[place] = asyncio.get_running_loop().create_future()
            await self._waiting[place]

    def leave(self, place: int) -> None:
        """Leave a place; to leave it again does nothing."""
        if place < self._first:
            return
        self._left.add(place)
        while self._first in self._left:
            self._left.remove(self._first)
            self._first += 1
        turn = self._waiting.pop(self._first, None)
        if turn is not None and not turn.done():
            turn.set_result(None)


async def merged(*streams: AsyncGenerator[R, None]) -> AsyncGenerator[R, None]:
    """The items of all streams, each as soon as it is there.

    When the iteration is left, all streams are closed. An exception of one is raised, and ends all.
    """
    steps = {_step(stream): stream for stream in streams}
    try:
        while steps:
            await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
            for step in [step for step in steps if step.done()]:
                stream = steps.pop(step)
                for item in step.result():
                    steps[_step(stream)] = stream
                    yield item
    finally:
        for step in steps:
            step.cancel()
        await asyncio.gather(*steps, return_exceptions=True)
        await asyncio.gather(*(stream.aclose() for stream in streams), return_exceptions=True)


def _step(stream: AsyncGenerator[R, None]) -> asyncio.Task[list[R]]:
    return asyncio.create_task(_next_of(stream))


async def _next_of(stream: AsyncIterator[R]) -> list[R]:
    """One item, or none at the end."""
    async for item in stream:
        return [item]
    return []


class _Source(Generic[T]):
    """The rest of an iterable."""

    def __init__(self, items: Iterable[T]) -> None:
        self._iterator = iter(items)
        self._drawn: list[T] = []
        self.is_exhausted: bool = False

    def has_next(self) -> bool:
        """Whether there is one more now."""
        if not self._drawn and not self.is_exhausted:
            for item in self._iterator:
                self._drawn.append(item)
                return True
            self.is_exhausted = True
        return bool(self._drawn)

    def next(self) -> T:
        """The item that ``has_next`` found."""
        return self._drawn.pop()

    async def aclose(self) -> None:
        """Draw no more."""


class _AsyncSource(Generic[T]):
    """The rest of an async iterable; sets ``changed`` when an item, or its end, has come."""

    def __init__(self, items: AsyncIterable[T], changed: asyncio.Event) -> None:
        self._iterator = aiter(items)
        self._changed = changed
        self._drawing: asyncio.Task[list[T]] | None = None
        self.is_exhausted: bool = False

    def has_next(self) -> bool:
        """Whether there is one more now; if not, the next one is drawn in a task."""
        if self.is_exhausted:
            return False
        if self._drawing is None:
            self._drawing = asyncio.create_task(_next_of(self._iterator))
            self._drawing.add_done_callback(lambda _: self._changed.set())
        if not self._drawing.done():
            return False
        self.is_exhausted = not self._drawing.result()
        return not self.is_exhausted

    def next(self) -> T:
        """The item that ``has_next`` found."""
        assert self._drawing is not None
        drawn, self._drawing = self._drawing.result(), None
        return drawn[0]

    async def aclose(self) -> None:
        """Draw no more."""
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.wait([self._drawing])
