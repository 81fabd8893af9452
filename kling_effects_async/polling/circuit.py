"""Whether the service can be polled at all; pure.

    closed ------ so many failures in a row, of several tasks ------> open
      ^  slow start: a few polls a second, doubled every two      |  ^  pause: about 1 s,
      |  seconds, then as many as there are                 pause |  |  doubled up to 30 s
      |                                                           v  |
      '--------------------- an answer ---------------------- half-open: one poll

How many polls are under way at once grows with the answers, from a few after each idle moment, and
shrinks with failures: an outage that begins meets few of them.

What counts are failures that are about no task: no connection, no answer in time, a proxy's page, a
5xx, a 429. Any answer about a task, "not found" included, shows that the service is there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from itertools import islice

from kling_effects_async.errors import (
    KlingEffectsError,
    RateLimitError,
    ReplyError,
    ServiceError,
    TransportError,
)
from kling_effects_async.policy import backoff_s
from kling_effects_async.polling.tracked_task import NEVER

__all__ = ["Circuit", "CircuitState", "concerns_service"]

# A task of its own kind may fail for ever, and where one answer in five is an error, so many in a
# row are rare: three in a million.
_FAILURES, _TASKS = 8, 3
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
# Slow start: polls a second, how often they are doubled, and when there is no limit any more.
_FIRST_RATE, _STEP_S, _SLOW_S = 5.0, 2.0, 20.0


class CircuitState(enum.Enum):
    """Closed: polls may start. Open: none may. Half-open: one is under way, as a probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


def concerns_service(error: KlingEffectsError) -> bool:
    """Whether the error is about the service, and not about the task that was polled."""
    return isinstance(error, (TransportError, ReplyError, ServiceError, RateLimitError))


class Circuit:
    """Counts failed polls in a row, and decides when the next one may start.

    Args:
        rng: a source of numbers in [0, 1).

    Attributes:
        state: see the top of this file.
        since: when the first of the failures in a row came.
        most_at_once: how many polls may be under way; pages among them.
    """

    def __init__(self, rng: Callable[[], float]) -> None:
        self.state: CircuitState = CircuitState.CLOSED
        self.since: float = 0.0
        self.most_at_once: int = _FAILURES
        self._rng = rng
        self._failures = 0
        self._names: set[str] = set()
        self._only_pages = True
        self._probes = 0
        self._next_start_at = 0.0
        self._closed_at = -_SLOW_S

    @property
    def is_closed(self) -> bool:
        """No outage is known."""
        return self.state is CircuitState.CLOSED

    @property
    def is_of_list(self) -> bool:
        """All failures in a row were the list's."""
        return self._only_pages

    @property
    def next_start_at(self) -> float:
        """Before this no poll may start; ``NEVER`` while a probe is under way."""
        return NEVER if self.state is CircuitState.HALF_OPEN else self._next_start_at

    def started(self, now: float) -> None:
        """A poll starts, which ``next_start_at`` allows."""
        if self.state is CircuitState.OPEN:
            self.state = CircuitState.HALF_OPEN
        elif now - self._closed_at < _SLOW_S:
            steps = (now - self._closed_at) // _STEP_S
            self._next_start_at = max(now, self._next_start_at) + 1 / (_FIRST_RATE * 2.0**steps)

    def failed(
        self, names: Iterable[str], asked_s: float | None, now: float, *, is_page: bool = False
    ) -> bool:
        """A poll failed, of the tasks of these names, in a way that concerns the service.

        Args:
            asked_s: the pause of its ``Retry-After``, if it sends one.

        Returns:
            Whether the circuit opens, for the first time or again.
        """
        self.since = now if self._failures == 0 else self.since
        self._failures += 1
        # Enough to open the circuit, and not so few that hung polls of one task hold up the others.
        self.most_at_once = min(self.most_at_once, max(_FAILURES - self._failures, _TASKS))
        self._only_pages = self._only_pages and is_page
        self._names.update(islice(names, _TASKS) if self.is_closed else ())
        is_outage = self._failures >= _FAILURES and len(self._names) >= _TASKS
        opens = self.state is not CircuitState.OPEN and is_outage
        if opens:
            self._open(asked_s, now)
        return opens

    def answered(self, now: float) -> None:
        """The service answered."""
        if not self.is_closed:
            self.state = CircuitState.CLOSED
            self._closed_at = self._next_start_at = now
        self.most_at_once += 1
        self._failures = self._probes = 0
        self._names.clear()
        self._only_pages = True

    def idle(self) -> None:
        """No poll is under way, and none is due."""
        self.most_at_once = min(self.most_at_once, _FAILURES)

    def spoiled(self) -> None:
        """The probe ended by a fault of ours, which shows nothing of the service."""
        if self.state is CircuitState.HALF_OPEN:
            self.state = CircuitState.OPEN

    def _open(self, asked_s: float | None, now: float) -> None:
        self.state = CircuitState.OPEN
        self._probes += 1
        self._next_start_at = now + backoff_s(
            self._probes, asked_s, self._rng, base_s=_FIRST_PAUSE_S, max_pause_s=_LONGEST_PAUSE_S
        )
