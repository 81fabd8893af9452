"""What you need to test your own code: a clock that you turn by hand.

For a whole service on this machine see ``kling_effects_async.emulator``.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from kling_effects_async.transport.clock import Timer

__all__ = ["ManualClock"]

# Enough loop turns for what a due call started (a request through several coroutines) to come to
# rest; there is no sleep in them.
_TURNS_TO_SETTLE = 50


class _ManualTimer:
    def __init__(self) -> None:
        self.is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualClock:
    """A clock that stands still until ``advance`` turns it.

    Give it to ``EffectsClient(clock=...)``. Works for code that does no network I/O, such as the
    engine under test; whole flows with sockets want an event loop that fast-forwards.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._timers: list[tuple[float, int, _ManualTimer, Callable[[], object]]] = []
        self._numbers = count()

    def monotonic(self) -> float:
        return self._elapsed_s

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        timer = _ManualTimer()
        heapq.heappush(self._timers, (when, next(self._numbers), timer, callback))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let time pass; every call due on the way is made at its own time, in order."""
        end = self._elapsed_s + seconds
        await self.settle()
        while self._timers and self._timers[0][0] <= end:
            when, _number, timer, callback = heapq.heappop(self._timers)
            self._elapsed_s = max(self._elapsed_s, when)
            if not timer.is_cancelled:
                callback()
                await self.settle()
        self._elapsed_s = end
        await self.settle()

    def jump(self, seconds: float) -> None:
        """Let time pass in which nothing ran, as when a machine sleeps."""
        self._elapsed_s += seconds

    async def settle(self) -> None:
        """Let the event loop do everything that can be done without time passing."""
        for _ in range(_TURNS_TO_SETTLE):
            await asyncio.sleep(0)
