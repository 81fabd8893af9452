"""Many things at once: a lazy source, a bounded number under way, a clean end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["map_as_completed"]

T = TypeVar("T")
R = TypeVar("R")


async def map_as_completed(
    items: Iterable[T] | AsyncIterable[T],
    act: Callable[[T], Coroutine[Any, Any, R]],
    *,
    limit: Callable[[], int],
    changed: asyncio.Event,
    ordered: bool = False,
) -> AsyncGenerator[R, None]:
    """Map ``act`` over the items: its results each as soon as it is there.

    An item is drawn only while fewer than ``limit()`` are under way or wait to be taken; results
    come while a slow source is waited for. When the iteration is left, what is under way is
    cancelled and awaited.

    Args:
        limit: looked at whenever something finished, and whenever ``changed`` is set.
        ordered: in the order of the items instead.
    """
    # Not asyncio.wait: it looks at all that run each time one of them finishes.
    line: deque[asyncio.Task[R]] = deque()  # in the order in which they may be taken
    running: set[asyncio.Task[R]] = set()
    source = _AsyncSource(items, changed) if isinstance(items, AsyncIterable) else _Source(items)

    def finished(task: asyncio.Task[R]) -> None:
        running.discard(task)
        if not ordered:
            line.append(task)
        changed.set()

    def has_room() -> bool:
        unfinished = len(line) if ordered else len(running) + len(line)
        return unfinished < max(1, limit())

    try:
        while True:
            changed.clear()
            while has_room() and source.has_next():
                task = asyncio.create_task(act(source.next()))
                running.add(task)
                task.add_done_callback(finished)
                if ordered:
                    line.append(task)
            if line and line[0].done():
                yield line.popleft().result()
            elif running or not source.is_exhausted:
                await changed.wait()
            else:
                return
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *line, source.aclose(), return_exceptions=True)


class _Source(Generic[T]):
    """What is left of an iterable."""

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
        """The one that ``has_next`` found."""
        return self._drawn.pop()

    async def aclose(self) -> None:
        """Draw no more."""


class _AsyncSource(Generic[T]):
    """What is left of an async iterable; sets ``changed`` when there is more to know of it."""

    def __init__(self, items: AsyncIterable[T], changed: asyncio.Event) -> None:
        self._iterator = aiter(items)
        self._wake = changed
        self._drawing: asyncio.Task[list[T]] | None = None
        self.is_exhausted: bool = False

    def has_next(self) -> bool:
        """Whether there is one more now; if not, it is waited for meanwhile."""
        if self.is_exhausted:
            return False
        if self._drawing is None:
            self._drawing = asyncio.create_task(self._draw())
            self._drawing.add_done_callback(lambda _: self._wake.set())
        if not self._drawing.done():
            return False
        self.is_exhausted = not self._drawing.result()
        return not self.is_exhausted

    def next(self) -> T:
        """The one that ``has_next`` found."""
        assert self._drawing is not None
        drawn, self._drawing = self._drawing.result(), None
        return drawn[0]

    async def aclose(self) -> None:
        """Draw no more."""
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.wait([self._drawing])

    async def _draw(self) -> list[T]:
        """One item, or none at the end."""
        async for item in self._iterator:
            return [item]
        return []
