"""Many things at once: a lazy source, a bounded number under way, a clean end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

__all__ = ["flow"]

T = TypeVar("T")
R = TypeVar("R")


async def flow(
    items: Iterable[T] | AsyncIterable[T],
    act: Callable[[T], Coroutine[Any, Any, R]],
    *,
    room: Callable[[], int],
    wake: asyncio.Event,
    ordered: bool = False,
) -> AsyncGenerator[R, None]:
    """The results of ``act`` over the items, each as soon as it is there.

    An item is drawn only while fewer than ``room()`` are under way or wait to be taken. When the
    iteration is left, what is under way is cancelled and awaited.

    Args:
        room: looked at whenever something finished, and whenever ``wake`` is set.
        ordered: in the order of the items instead.
    """
    # Not asyncio.wait: it looks at all that run each time one of them finishes.
    line: deque[asyncio.Task[R]] = deque()  # in the order in which they may be taken
    running: set[asyncio.Task[R]] = set()

    def finished(task: asyncio.Task[R]) -> None:
        running.discard(task)
        if not ordered:
            line.append(task)
        wake.set()

    is_exhausted = False
    async with aclosing(_lazily(items)) as source:
        try:
            while True:
                wake.clear()
                while not is_exhausted and _unfinished(running, line, ordered) < max(1, room()):
                    try:
                        item = await anext(source)
                    except StopAsyncIteration:
                        is_exhausted = True
                        break
                    task = asyncio.create_task(act(item))
                    running.add(task)
                    task.add_done_callback(finished)
                    if ordered:
                        line.append(task)
                if line and line[0].done():
                    yield line.popleft().result()
                elif running:
                    await wake.wait()
                elif is_exhausted:
                    return
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, *line, return_exceptions=True)


def _unfinished(running: set[Any], line: deque[Any], ordered: bool) -> int:
    return len(line) if ordered else len(running) + len(line)


async def _lazily(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """One kind of iterator for both kinds of iterable."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
