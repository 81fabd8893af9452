"""How late a service's answers are, where it refreshes from its upstream only at times; pure.

    stated end    last seen running   first seen ended
       |...................|.................|
       '- the service had not refreshed since: its answers are stale

Such a service shows a task as running after the end that it states later. So does one whose times
are wrong. The difference: a service that has not refreshed shows no end of any task meanwhile, and
when it refreshes, ends of different times show together. And how late it is varies, up to the time
between two refreshes; a lateness that is always the same is a clock's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from attrs import frozen

__all__ = ["Sighting", "Staleness"]

# One late answer is an accident; this many are how the gateway works.
_ENOUGH = 3
# Beyond what gateways are known for (about 15 s), the service's times mean something else.
_FROM_S, _TO_S = 2.0, 20.0
# Ends at times so far apart are different ones; the same for how late they came.
_APART_S = 2.0


@frozen
class Sighting:
    """Between which moments the end of a task was seen, and when it was by the service's times."""

    running_at: float
    ended_at: float
    stated_at: float

    @property
    def late_s(self) -> float:
        """How long after its end, by the service's times, the task was still shown running."""
        return self.running_at - self.stated_at


class Staleness:
    """What the last ends show about it."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=16)
        self._late: deque[Sighting] = deque(maxlen=16)
        self._ends: deque[tuple[float, float]] = deque(maxlen=64)

    @property
    def refresh_s(self) -> float:
        """Seconds between two refreshes of the service, as far as was noticed; 0: none is stale."""
        if len(self._late_s) < _ENOUGH or max(self._late_s) - min(self._late_s) < _APART_S:
            return 0.0
        return max(self._late_s)

    def saw(self, running_at: float, ended_at: float) -> None:
        """An end was seen, whatever its times are."""
        self._ends.append((running_at, ended_at))

    def notice(self, end: Sighting) -> None:
        """Add an end with its time; call ``saw`` afterwards."""
        if not _FROM_S < end.late_s <= _TO_S:
            return
        is_proved = self._is_shared(end) and not self._has_refreshed(end)
        self._late.append(end)
        if is_proved:
            self.add([end.late_s])

    def add(self, late_s: Iterable[float]) -> None:
        """Add how late some answers were, without a proof."""
        self._late_s.extend(late for late in late_s if _FROM_S < late <= _TO_S)

    def dumps(self) -> list[float]:
        """What ``add`` takes."""
        return list(self._late_s)

    def _has_refreshed(self, end: Sighting) -> bool:
        """The service showed another end after this one was over, while it showed it running."""
        return any(
            end.stated_at < running_at and ended_at < end.running_at
            for running_at, ended_at in self._ends
        )

    def _is_shared(self, end: Sighting) -> bool:
        """Another end of another time came to be seen with it."""
        return any(
            abs(end.stated_at - other.stated_at) > _APART_S
            and other.running_at < end.ended_at
            and end.running_at < other.ended_at
            for other in self._late
        )
