"""The only module that reads the time.

Waiting counts on ``monotonic``; wall time (``now``) is for signed tokens and HTTP dates alone, so a
clock that is set back or forth ends no wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["TICK_S", "Clock", "SystemClock", "Timer", "sleep"]

# A timer may fire as early as its clock is coarse, so what is due this soon is due now. Whoever
# waited again for the rest would, on a coarse clock, wait again for ever.
TICK_S = 0.001


class Timer(Protocol):
    """A call that is due later and can be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """What the engine needs of time."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def now(self) -> datetime:
        """The wall clock as an aware datetime in UTC."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back once ``monotonic()`` has reached ``when``; soon if it has already."""


class SystemClock:
    """The running event loop's clock, and the machine's wall clock."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_at(when, callback)


async def sleep(clock: Clock, seconds: float) -> None:
    """Let ``seconds`` of this clock pass."""
    done = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    timer = clock.call_at(clock.monotonic() + max(0.0, seconds), wake)
    try:
        await done
    finally:
        timer.cancel()
