"""When to look at which watch next; a heap that forgives changes of plan."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from kling_effects_async.waiting.watch import NEVER, Watch

__all__ = ["Agenda"]

# Entries that count no more stay in the heap until they are more than those that do, and so many.
_STALE_ALLOWED = 256


class Agenda:
    """At most one moment for each watch; a new plan replaces the one before."""

    def __init__(self) -> None:
        self._planned: dict[Watch, float] = {}
        self._heap: list[tuple[float, int, Watch]] = []
        self._numbers = count()  # decides between equal moments: first come, first served

    def __len__(self) -> int:
        return len(self._planned)

    def __iter__(self) -> Iterator[Watch]:
        return iter(list(self._planned))

    @property
    def next_at(self) -> float:
        """The first moment, or one before it; ``NEVER`` if there is none."""
        return self._heap[0][0] if self._heap else NEVER

    def plan(self, watch: Watch, at: float) -> None:
        """Look at the watch then, and at no other time."""
        if self._planned.get(watch) == at:
            return
        self._planned[watch] = at
        heapq.heappush(self._heap, (at, next(self._numbers), watch))
        self._compact()

    def strike(self, watch: Watch) -> None:
        """Do not look at it."""
        self._planned.pop(watch, None)
        self._compact()

    def take_due(self, now: float) -> Iterator[Watch]:
        """Strike off and hand out every watch whose moment has come."""
        while self._heap and self._heap[0][0] <= now:
            at, _number, watch = heapq.heappop(self._heap)
            if self._planned.get(watch) == at:
                del self._planned[watch]
                yield watch

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._planned) + _STALE_ALLOWED:
            self._heap = [entry for entry in self._heap if self._planned.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
