"""Whether submits may be sent now: a few at once, paced for all, or stopped for all for one reason.

How many may be without an answer at once starts small and grows by one with each acceptance, so it
doubles with each round of answers. A rejection for pace (1302, a 429) is about the account: every
submit keeps the pause, rejections of submits that were under way together count once, the pauses
grow, and afterwards one submit at a time is tried until one is accepted. The log reports it, as a
warning once nothing was accepted for half a minute.

Those that wait for their turn have a slot already, and pass in turn by share, so that a share with
few slots does not wait here for all slots of another.

A key that is rejected or an account that cannot pay stops everything at once: a thousand submits
need not learn the same from a thousand answers. From time to time one submit goes through as a
probe, so that a long-lived service resumes by itself once a person has acted.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import math
from collections.abc import Callable
from functools import partial

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.log_fields import log_fields
from kling_effects_async.policy import SharePolicy, SlotPolicy, backoff_s
from kling_effects_async.submitting.fair_queue import FairQueue
from kling_effects_async.transport.clock import TICK_S, Clock

__all__ = ["SubmitBreaker"]

_log = logging.getLogger(__name__)

# A trial account's slots (a reseller's figures, 2026): no account is rejected more than this before
# it has answered once.
_FIRST_WINDOW = 5

# Source: Kling's concurrency rules: back off exponentially, from one second. The lower half of the
# first pause is not drawn, so it is at least that.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 60.0

# Shorter pauses are usual at the limit of an account; this one is worth a line in every log.
_WARN_AFTER_S = 30.0


class SubmitBreaker:
    """Every submit of one account at one service passes it.

    Args:
        shares: who passes first where several wait for their turn.
        on_stop: called with the reason when the breaker trips.
        rng: a source of numbers in [0, 1).
    """

    def __init__(
        self,
        policy: SlotPolicy,
        clock: Clock,
        *,
        shares: SharePolicy | None = None,
        on_stop: Callable[[KlingEffectsError], None],
        rng: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._on_stop = on_stop
        self._rng = rng
        self._window = _FIRST_WINDOW
        self._under_way = 0
        self._round = 0
        self._rejections = 0
        self._paused_until = 0.0
        self._paced_s = 0.0
        self._held_by: KlingEffectsError | None = None
        self._held_since = math.inf
        self._reason: KlingEffectsError | None = None
        self._next_probe_at = 0.0
        self._closed: KlingEffectsError | None = None
        self._resting: set[asyncio.Future[None]] = set()
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue(shares or SharePolicy())

    @property
    def paced_s(self) -> float:
        """The pauses for the service's pace since a submit was accepted, in all."""
        return self._paced_s

    @property
    def held_back_by(self) -> KlingEffectsError | None:
        """What holds submits back since one was accepted, if anything does."""
        return self._reason or self._held_by

    @property
    def is_tripped(self) -> bool:
        """Whether nothing is sent but a probe from time to time."""
        return self._reason is not None

    @property
    def waiting(self) -> int:
        """How many submits wait for the end of a pause, or for their turn."""
        return len(self._resting) + len(self._queue)

    async def pass_through(self, share: str = "") -> int:
        """Wait for the end of a pause and until few enough are under way; call ``came_back`` later.

        Args:
            share: whose submit it is.

        Returns:
            The number of the round, for ``slow_down``.

        Raises:
            KlingEffectsError: the breaker is tripped, for this reason.
        """
        while True:
            self.check()
            pause_s = self._paused_until - self._clock.monotonic()
            if pause_s > TICK_S:
                await self.rest(pause_s)
            elif self._under_way >= self._window:
                await self._wait_for_turn(share)
            else:
                break
        self._under_way += 1
        if self._reason is not None:
            self._next_probe_at = self._clock.monotonic() + self._policy.probe_s
        return self._round

    def came_back(self) -> None:
        """A submit that passed has its answer, or never will."""
        self._under_way -= 1
        self._call_next()

    def check(self) -> None:
        """Raise the reason if the breaker is tripped and no probe is due.

        Raises:
            KlingEffectsError: a copy of the reason, for this caller alone.
        """
        if self._closed is not None:
            raise copy.copy(self._closed)  # a copy each, as raising adds a traceback
        if self._reason is not None and self._clock.monotonic() < self._next_probe_at:
            raise copy.copy(self._reason)

    async def rest(self, seconds: float) -> None:
        """Let time pass; the closing of the breaker ends it."""
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
        """Nothing passes any more; all that wait get the error."""
        self._closed = error
        for done in self._resting:
            _settle(done)
        self._wake_all()

    def pause(self, seconds: float, reason: KlingEffectsError) -> None:
        """No submit passes for so long."""
        now = self._clock.monotonic()
        self._held_by = reason
        self._held_since = min(self._held_since, now)
        if now + seconds > self._paused_until:
            self._paused_until = now + seconds
            self._log_pause(seconds, reason, now - self._held_since)

    def slow_down(self, round_number: int, reason: KlingEffectsError) -> None:
        """The service rejected a submit for its pace.

        Args:
            round_number: what ``pass_through`` returned for that submit.
            reason: the rejection; its ``Retry-After`` is kept.
        """
        asked_s = reason.retry_after_s
        # Others of the round were sent before the pause: their rejections are no news.
        if round_number == self._round:
            self._round += 1
            self._rejections += 1
            self._window = 1
            drawn_s = backoff_s(
                self._rejections,
                asked_s,
                self._rng,
                base_s=_FIRST_PAUSE_S,
                max_pause_s=_LONGEST_PAUSE_S,
            )
            self._paced_s += drawn_s
            self.pause(drawn_s, reason)
        elif asked_s is not None:
            self.pause(asked_s, reason)

    def trip(self, reason: KlingEffectsError) -> None:
        """No submit passes until a probe was accepted."""
        if self._reason is None:
            probe_s = self._policy.probe_s
            _log.info(
                "until a submit is accepted, one is sent every %.0f s: %s",
                probe_s,
                reason,
                extra=log_fields("submits.stopped", probe_s=probe_s, error=reason),
            )
        self._reason = reason
        self._next_probe_at = self._clock.monotonic() + self._policy.probe_s
        self._on_stop(reason)
        self._wake_all()

    def reset(self) -> None:
        """A submit was accepted."""
        self._reason = self._held_by = None
        self._held_since = math.inf
        self._rejections = 0
        self._paced_s = 0.0
        self._window += 1
        self._call_next()

    def _log_pause(self, seconds: float, reason: KlingEffectsError, held_s: float) -> None:
        level = logging.INFO if held_s < _WARN_AFTER_S else logging.WARNING
        since = f"; none was accepted for {held_s:.0f} s" if held_s else ""
        _log.log(
            level,
            "submits are held back for %.1f s%s: %s",
            seconds,
            since,
            reason,
            extra=log_fields("submits.held_back", pause_s=seconds, held_s=held_s, error=reason),
        )

    async def _wait_for_turn(self, share: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.enqueue(turn, share)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._queue:
                self._queue.remove(turn)
            else:
                self._call_next()  # it was this one's turn
            raise

    def _wake_all(self) -> None:
        for turn in list(self._queue):
            # Left in the queue, it would use up the turn of one that comes later.
            self._queue.remove(turn)
            _settle(turn)

    def _call_next(self) -> None:
        """Wake as many as may pass; each checks everything again."""
        for _ in range(max(0, self._window - self._under_way)):
            turn = self._queue.first()
            if turn is None:
                return
            # Nothing is held here: the turns alone decide.
            self._queue.release(self._queue.next())
            _settle(turn)


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
