"""The scripted faults that wait for a call, or for a callback."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from attrs import define, field

from kling_effects_async.emulator.callback_faults import CallbackFault
from kling_effects_async.emulator.faults import OPERATIONS, Fault

__all__ = ["FaultQueues"]

T = TypeVar("T")


@define
class _Queue(Generic[T]):
    """The faults of one operation, in order; of each, how often it comes."""

    # A fault is kept once with its number: it may come a hundred million times.
    _waiting: deque[tuple[T, int]] = field(factory=deque, init=False)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def left(self) -> int:
        return sum(times for _fault, times in self._waiting)

    def add(self, fault: T, times: int) -> None:
        self._waiting.append((fault, times))

    def take(self) -> T | None:
        if not self._waiting:
            return None
        fault, times = self._waiting.popleft()
        if times > 1:
            self._waiting.appendleft((fault, times - 1))
        return fault


@define
class FaultQueues:
    """The faults still to come, one queue per operation, and one for the callbacks."""

    _calls: dict[str, _Queue[Fault]] = field(
        factory=lambda: {operation: _Queue() for operation in OPERATIONS}, init=False
    )
    _callbacks: _Queue[CallbackFault] = field(factory=_Queue, init=False)

    def add(self, fault: Fault | CallbackFault, times: int = 1) -> None:
        if times < 1:
            raise ValueError(f"times must be at least 1, not {times}")
        if isinstance(fault, CallbackFault):
            self._callbacks.add(fault, times)
        else:
            self._calls[fault.on].add(fault, times)

    def take(self, operation: str) -> Fault | None:
        queue = self._calls.get(operation)
        return None if queue is None else queue.take()

    def take_for_callback(self) -> CallbackFault | None:
        return self._callbacks.take()

    @property
    def scripts(self) -> int:
        """How many entries are held, however often each of them is to come."""
        return sum(map(len, self._all()))

    @property
    def left(self) -> int:
        """How many faults wait; 0 at a test's end: all of them happened."""
        return sum(queue.left for queue in self._all())

    def _all(self) -> list[_Queue[Fault] | _Queue[CallbackFault]]:
        return [*self._calls.values(), self._callbacks]
