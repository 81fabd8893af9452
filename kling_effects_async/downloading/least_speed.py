"""The least speed of a transfer, counted over the time that its server was waited for.

A window in which too few bytes came ends the transfer. The time that the receiver takes for a chunk
(a disk, a slow reader of a stream) is no fault of the server: it does not count, and a chunk is
never cut off while the receiver has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from kling_effects_async.downloading.reply import TryAgainError
from kling_effects_async.transport.clock import TICK_S, Clock, Timer

__all__ = ["Pace", "least_speed"]


class Pace:
    """How fast one transfer is.

    Args:
        limit: ends the transfer.
        window_s: how long the server is waited for until its speed is judged.
        window_bytes: how many bytes have to come in that time.
    """

    def __init__(
        self, clock: Clock, limit: asyncio.Timeout, *, window_s: float, window_bytes: int
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._window_s = window_s
        self._window_bytes = window_bytes
        self._paused_at: float | None = None  # since when the receiver takes its time
        self._is_ended = False
        self._begin_window()
        self._set_timer()

    @contextmanager
    def received(self, size_bytes: int) -> Iterator[None]:
        """So many bytes came, and the receiver takes them in the block."""
        self._came_bytes += size_bytes
        self._paused_at = self._clock.monotonic()
        if not self._limit.expired():
            self._limit.reschedule(None)  # an end that is due just now must not cut the chunk off
        try:
            yield
        finally:
            self._paused_s += self._clock.monotonic() - self._paused_at
            self._paused_at = None
            if self._is_ended:
                self.end()

    def end(self) -> None:
        """End the transfer, once the receiver has the chunk that it takes."""
        self._is_ended = True
        if self._paused_at is None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Judge no more."""
        self._timer.cancel()

    def _begin_window(self) -> None:
        self._since, self._came_bytes, self._paused_s = self._clock.monotonic(), 0, 0.0

    def _set_timer(self) -> None:
        due_at = self._clock.monotonic() + self._window_s
        self._timer: Timer = self._clock.call_at(due_at, self._judge)

    def _judge(self) -> None:
        self._set_timer()
        waited_s = self._clock.monotonic() - self._since - self._paused_s
        if self._paused_at is not None or waited_s < self._window_s - TICK_S:
            return  # the window is not full yet
        if self._came_bytes < self._window_bytes * waited_s / self._window_s:
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self._begin_window()


@asynccontextmanager
async def least_speed(clock: Clock, *, window_s: float, window_bytes: int) -> AsyncIterator[Pace]:
    """End the block when a whole window brought too few bytes.

    Raises:
        TryAgainError: it did.
    """
    # aiohttp's sock_read cannot do it: a byte now and then begins it anew.
    limit = asyncio.timeout(None)
    try:
        async with limit:
            pace = Pace(clock, limit, window_s=window_s, window_bytes=window_bytes)
            try:
                yield pace
            finally:
                pace.stop()
    except TimeoutError:
        if not limit.expired():  # the receiver's own
            raise
        raise TryAgainError("it stood still, or nearly so") from None
