"""Two clocks: emulated time, which may run faster, and the wall clock, which signatures need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define, field

__all__ = ["EmulatedClock", "milliseconds"]


@define
class EmulatedClock:
    """Emulated time is Unix time that starts at the wall clock's and runs ``speed`` times faster.

    It follows the event loop's own clock, so a test that fast-forwards the loop fast-forwards the
    service too. Must be made inside the running loop.
    """

    speed: float
    _wall: Callable[[], float]
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _loop_start_s: float = field(init=False)
    _start_s: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._loop_start_s = self._loop.time()
        self._start_s = self._wall()

    def now_s(self) -> float:
        """Emulated Unix time."""
        return self._start_s + (self._loop.time() - self._loop_start_s) * self.speed

    def loop_s(self) -> float:
        """The event loop's own clock, its zero is arbitrary: for limits of real requests."""
        return self._loop.time()

    def wall_s(self) -> float:
        """Real Unix time: tokens and webhook signatures are judged by it, at any speed."""
        return self._wall()

    def loop_seconds_until(self, moment_s: float) -> float:
        """Seconds to sleep on the event loop until an emulated moment; 0 when it is past."""
        return max(0.0, (moment_s - self.now_s()) / self.speed)


def milliseconds(moment_s: float) -> int:
    """A moment as Kling's replies have it: whole Unix milliseconds."""
    return int(moment_s * 1000)
