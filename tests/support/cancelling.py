"""Cancels a coroutine at any one of its awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

__all__ = ["CancelledAt"]

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
