"""When what happened: tasks in flight, slots, and lanes of tasks that do not overlap."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import Factory, define

from kling_effects_async.report.run_report import ItemState
from kling_effects_async.report.tally import Bar

__all__ = ["Interval", "intervals", "lanes", "run_length_s"]


@define
class Interval:
    """A part of the run.

    Attributes:
        in_flight: how many tasks were submitted and not ended, on average.
        slots: how many there were at its end; ``None``: not known.
        submitted: how many tasks were submitted in it.
        ended: how many ended in it, by state.
    """

    start_s: float
    end_s: float
    in_flight: float = 0.0
    slots: int | None = None
    submitted: int = 0
    ended: Counter[ItemState] = Factory(Counter)


def run_length_s(took_s: float, bars: Iterable[Bar]) -> float:
    """How long the time axis is: the run, and every task's times in it; a second or more."""
    ends = (time_s for bar in bars for time_s in (bar.submitted_s, bar.ended_s))
    return max(1.0, took_s, max((t for t in ends if math.isfinite(t)), default=0.0))


def intervals(
    bars: Iterable[Bar], slots: Sequence[tuple[float, int]], length_s: float, step_s: float
) -> list[Interval]:
    """The run in equal parts, the last of which may reach over its end."""
    parts = max(1, math.ceil(length_s / step_s - 1e-9))
    found = [Interval(n * step_s, (n + 1) * step_s) for n in range(parts)]
    for bar in bars:
        _count(bar, found, length_s, step_s)
    for interval in found:
        interval.slots = slots_at(slots, min(interval.end_s, length_s))
    return found


def slots_at(slots: Sequence[tuple[float, int]], time_s: float) -> int | None:
    """How many slots there were at a time; ``None`` before the first is known."""
    place = bisect_right(slots, time_s, key=lambda change: change[0])
    return slots[place - 1][1] if place else None


def _count(bar: Bar, found: list[Interval], length_s: float, step_s: float) -> None:
    end_s = min(length_s, bar.ended_s)
    first, last = (_place(time_s, step_s, len(found)) for time_s in (bar.submitted_s, end_s))
    found[first].submitted += 1
    if math.isfinite(bar.ended_s):
        found[last].ended[bar.state] += 1
    for interval in found[first : last + 1]:
        overlap_s = min(end_s, interval.end_s) - max(bar.submitted_s, interval.start_s)
        # The last part may be cut off by the end of the run.
        length = max(1e-9, min(interval.end_s, length_s) - interval.start_s)
        interval.in_flight += max(0.0, overlap_s) / length


def _place(time_s: float, step_s: float, parts: int) -> int:
    return max(0, min(parts - 1, int(time_s // step_s)))


def lanes(bars: Iterable[Bar]) -> list[list[Bar]]:
    """Each task in the first lane that is free when it is submitted: a lane is like a slot."""
    rows: list[list[Bar]] = []
    free: list[int] = []
    taken: list[tuple[float, int]] = []
    for bar in sorted(bars, key=lambda bar: (bar.submitted_s, bar.number)):
        while taken and taken[0][0] <= bar.submitted_s:
            heapq.heappush(free, heapq.heappop(taken)[1])
        if not free:
            rows.append([])
            free.append(len(rows) - 1)
        lane = heapq.heappop(free)
        rows[lane].append(bar)
        heapq.heappush(taken, (bar.ended_s, lane))
    return rows
