"""Whether submits may go out now: paced for all, or stopped for all with one reason.

1302 and a 429 with ``Retry-After`` are about the account's pace, so every submit keeps the pause. A
key that is refused or an account that cannot pay stops everything at once: a thousand submits need
not learn the same from a thousand answers. From time to time one submit goes through as a probe, so
that a long-lived service resumes by itself once a person has acted.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from functools import partial

from kling_effects_async.errors import ApiError, KlingEffectsError
from kling_effects_async.policy import SlotPolicy
from kling_effects_async.transport.clock import TICK_S, Clock

__all__ = ["Gate"]


class Gate:
    """Stands before every submit of one account at one service.

    Args:
        on_stop: told the reason when the gate is shut.
    """

    def __init__(
        self, policy: SlotPolicy, clock: Clock, *, on_stop: Callable[[ApiError], None]
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._on_stop = on_stop
        self._paused_until = 0.0
        self._reason: ApiError | None = None
        self._next_probe_at = 0.0
        self._closed: KlingEffectsError | None = None
        self._resting: set[asyncio.Future[None]] = set()

    async def pass_through(self) -> None:
        """Wait for the end of a pause.

        Raises:
            ApiError: the gate is shut, for this reason.
        """
        while True:
            self.check()
            pause_s = self._paused_until - self._clock.monotonic()
            if pause_s <= TICK_S:
                break
            await self.rest(pause_s)
        if self._reason is not None:
            self._next_probe_at = self._clock.monotonic() + self._policy.probe_s

    def check(self) -> None:
        """Raise the reason if the gate is shut and no probe is due.

        Raises:
            ApiError: a copy of the reason, for this caller alone.
        """
        if self._closed is not None:
            raise copy.copy(self._closed)
        if self._reason is not None and self._clock.monotonic() < self._next_probe_at:
            raise copy.copy(self._reason)

    async def rest(self, seconds: float) -> None:
        """Let time pass; the closing of the gate ends it."""
        if self._closed is not None:
            return
        done = asyncio.get_running_loop().create_future()
        self._resting.add(done)
        timer = self._clock.call_at(self._clock.monotonic() + seconds, partial(_settle, done))
        try:
            await done
        finally:
            timer.cancel()
            self._resting.discard(done)

    def close(self, error: KlingEffectsError) -> None:
        """Let nothing out any more; whoever waits here gets the error."""
        self._closed = error
        for done in self._resting:
            _settle(done)

    def pause(self, seconds: float) -> None:
        """Let no submit out for so long."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def shut(self, reason: ApiError) -> None:
        """Let no submit out until a probe was accepted."""
        self._reason = reason
        self._next_probe_at = self._clock.monotonic() + self._policy.probe_s
        self._on_stop(reason)

    def open(self) -> None:
        """A submit was accepted."""
        self._reason = None


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
