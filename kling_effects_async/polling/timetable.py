"""Which task is next at which moment; a heap in which a moment may be changed or removed."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from kling_effects_async.polling.tracked_task import NEVER, TrackedTask

__all__ = ["Timetable"]

# Entries that count no more stay in the heap until they are more than those that do, and so many.
_STALE_ALLOWED = 256


class Timetable:
    """At most one moment for each task; a new one replaces the one before."""

    def __init__(self) -> None:
        self._moments: dict[TrackedTask, float] = {}
        self._heap: list[tuple[float, int, TrackedTask]] = []
        self._numbers = count()  # decides between equal moments: first come, first served

    def __len__(self) -> int:
        return len(self._moments)

    def __iter__(self) -> Iterator[TrackedTask]:
        return iter(list(self._moments))

    def __contains__(self, task: TrackedTask) -> bool:
        return task in self._moments

    @property
    def next_at(self) -> float:
        """The first moment, or one before it; ``NEVER`` if there is none."""
        return self._heap[0][0] if self._heap else NEVER

    def schedule(self, task: TrackedTask, at: float) -> None:
        """Set the task's moment."""
        if self._moments.get(task) == at:
            return
        self._moments[task] = at
        heapq.heappush(self._heap, (at, next(self._numbers), task))
        self._compact()

    def remove(self, task: TrackedTask) -> None:
        """Remove the task's moment, if it has one."""
        self._moments.pop(task, None)
        self._compact()

    def take_due(self, now: float) -> Iterator[TrackedTask]:
        """Remove and yield every task whose moment has come."""
        while self._heap and self._heap[0][0] <= now:
            at, _number, task = heapq.heappop(self._heap)
            if self._moments.get(task) == at:
                del self._moments[task]
                yield task

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._moments) + _STALE_ALLOWED:
            self._heap = [entry for entry in self._heap if self._moments.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
