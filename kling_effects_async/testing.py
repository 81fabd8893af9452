"""For tests of your own code: a clock that only your test moves.

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

# Turns of the loop, without a sleep: enough for a request through all our coroutines, and for most
# results of threads.
_TURNS_TO_SETTLE = 50


class _ManualTimer:
    def __init__(self) -> None:
        self.is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


class ManualClock:
    """A clock that stands still until ``advance`` or ``jump`` moves it.

    Pass it to ``EffectsClient(clock=...)``. For code without network I/O, since an answer takes
    real time; for whole flows over sockets use an event loop that fast-forwards.

    Args:
        start: the wall time at which it starts, an aware datetime.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._timers: list[tuple[float, int, _ManualTimer, Callable[[], object]]] = []
        self._numbers = count()

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed_s

    def now(self) -> datetime:
        """The wall time: ``start`` and the seconds since."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back in the ``advance`` that reaches ``when``; its ``cancel`` calls it off."""
        timer = _ManualTimer()
        heapq.heappush(self._timers, (when, next(self._numbers), timer, callback))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass; every call that is due meanwhile is made at its time."""
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
        """Let so many seconds pass without a call, as when a machine was suspended."""
        self._elapsed_s += seconds

    async def settle(self) -> None:
        """Let the event loop do everything that is due already."""
        for _ in range(_TURNS_TO_SETTLE):
            await asyncio.sleep(0)
