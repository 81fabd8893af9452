"""The scripted faults that wait for a call."""

from __future__ import annotations

from collections import deque

from attrs import define, field

from kling_effects_async.emulator.faults import OPERATIONS, Fault

__all__ = ["FaultQueues"]


@define
class FaultQueues:
    """The faults still to come, one queue per operation; of each, how often it comes."""

    # A fault is kept once with its number: it may come a hundred million times.
    _queues: dict[str, deque[tuple[Fault, int]]] = field(
        factory=lambda: {operation: deque() for operation in OPERATIONS}, init=False
    )

    def add(self, fault: Fault, times: int = 1) -> None:
        if times < 1:
            raise ValueError(f"times must be at least 1, not {times}")
        self._queues[fault.on].append((fault, times))

    def take(self, operation: str) -> Fault | None:
        queue = self._queues.get(operation)
        if not queue:
            return None
        fault, times = queue[0]
        if times == 1:
            queue.popleft()
        else:
            queue[0] = (fault, times - 1)
        return fault

    @property
    def scripts(self) -> int:
        """How many entries are held, however often each of them is to come."""
        return sum(map(len, self._queues.values()))

    @property
    def left(self) -> int:
        """How many faults wait for a call; 0 at a test's end: all of them happened."""
        return sum(times for queue in self._queues.values() for _fault, times in queue)
