"""What polls that fail do to the waits, and when the next poll may start.

A failure delays the next poll of its task. A pause that the service asks for is kept by all. Where
the service does not answer anybody the circuit opens: all waits rest, one poll at a time is tried,
and a wait ends where this lasts for ``PollPolicy.max_outage_s``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

from kling_effects_async.errors import KlingEffectsError, TaskNotFoundError
from kling_effects_async.policy import PollPolicy
from kling_effects_async.transport.clock import TICK_S, Clock
from kling_effects_async.waiting.circuit import Circuit, concerns_service
from kling_effects_async.waiting.pages import Pages
from kling_effects_async.waiting.trouble import (
    explained,
    grace_s,
    has_lasted,
    is_hopeless,
    pause_after_trouble,
)
from kling_effects_async.waiting.watch import Watch

__all__ = ["Failures"]

_log = logging.getLogger(__name__)


class Failures:
    """Takes them in, for one tracker.

    Args:
        random: a source of numbers in [0, 1).
        resting: all who are due.
    """

    def __init__(
        self,
        policy: PollPolicy,
        clock: Clock,
        random: Callable[[], float],
        pages: Pages,
        resting: Callable[[], Iterable[Watch]],
    ) -> None:
        self.circuit: Circuit = Circuit(random)
        self._policy = policy
        self._clock = clock
        self._random = random
        self._pages = pages
        self._resting = resting
        self._paused_until = 0.0
        self._latest: KlingEffectsError | None = None

    @property
    def next_start_at(self) -> float:
        """Before this no poll may start; ``NEVER`` while one is under way to see."""
        return max(self._paused_until, self.circuit.next_start_at)

    def has_room(self, under_way: int) -> bool:
        """Whether one more poll may be under way, beside so many."""
        return under_way < min(self._policy.parallel, self.circuit.most_at_once)

    def may_start(self) -> bool:
        """Whether a poll may start now."""
        return self.next_start_at <= self._clock.monotonic() + TICK_S

    def may_start_page(self) -> bool:
        """Whether a page may be asked for now; a single query is enough to see an outage's end."""
        return self.circuit.is_closed and self.may_start()

    def started(self) -> None:
        """A poll starts."""
        self.circuit.started(self._clock.monotonic())

    def answered(self) -> None:
        """The service answered somebody, if only that it does not know the task."""
        circuit, now = self.circuit, self._clock.monotonic()
        if not circuit.is_closed:
            if not circuit.is_of_list:
                self._pages.forgive(circuit.since)
            _log.warning("the service answers polls again, after %.0f s", now - circuit.since)
        circuit.answered(now)

    def take(self, watch: Watch, error: KlingEffectsError) -> None:
        """A task was asked about in vain."""
        _log.info("asking about task %s failed, asking again: %s", watch.name, error)
        self._delay(watch, error)
        if concerns_service(error):
            self._count([watch], error)
        else:
            self.answered()

    def take_page(
        self, watches: Collection[Watch], error: KlingEffectsError, *, delays: bool
    ) -> None:
        """A page could not be had; are its tasks asked about later, or singly now?"""
        _log.info("asking for a page of %d tasks failed: %s", len(watches), error)
        if delays:
            for watch in watches:
                self._delay(watch, error)
        if concerns_service(error):
            self._count(watches, error, is_page=True)

    def rest(self, watch: Watch) -> None:
        """It is due during an outage: it waits, and its wait ends where that lasts too long."""
        if self.circuit.is_closed or self._latest is None:
            return
        now = self._clock.monotonic()
        watch.failed(self._latest, now, polls=0 if watch.failures else 1)
        if watch.waiters and has_lasted(watch, self._policy, now):
            self._end(watch, self._latest, now)

    def _count(
        self, watches: Collection[Watch], error: KlingEffectsError, *, is_page: bool = False
    ) -> None:
        was_closed, now = self.circuit.is_closed, self._clock.monotonic()
        self._latest = error
        names = (watch.name for watch in watches)
        if not self.circuit.failed(names, self._asked_s(error), now, is_page=is_page):
            return
        if was_closed:
            _log.warning("the service answers no poll; one at a time is tried: %s", error)
        for watch in self._resting():
            self.rest(watch)

    def _asked_s(self, error: KlingEffectsError) -> float | None:
        """What nobody here would wait for is no pause but a rejection."""
        asked_s = error.retry_after_s
        return None if asked_s is None or asked_s > self._policy.deadline_s else asked_s

    def _delay(self, watch: Watch, error: KlingEffectsError) -> None:
        now = self._clock.monotonic()
        watch.failed(error, now)
        if isinstance(error, TaskNotFoundError) and watch.unknown_since is None:
            watch.unknown_since = now
        if is_hopeless(error, watch, self._policy, now):
            self._end(watch, error, now)
            return
        asked_s = error.retry_after_s
        pause_s = pause_after_trouble(self._policy, watch.failures, asked_s, self._random)
        watch.next_ask_at = now + pause_s
        if watch.unknown_since is not None and asked_s is None:  # the last poll is at its end
            grace_ends_at = watch.unknown_since + grace_s(watch, self._policy)
            watch.next_ask_at = min(watch.next_ask_at, max(now + TICK_S, grace_ends_at))
        if asked_s is not None:
            self._paused_until = max(self._paused_until, watch.next_ask_at)

    def _end(self, watch: Watch, error: KlingEffectsError, now: float) -> None:
        watch.wake(explained(error, watch, self._policy, now))
        watch.failures = 0
        watch.unknown_since = None
        watch.next_ask_at = now + self._policy.max_interval_s
