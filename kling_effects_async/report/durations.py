"""How long the tasks took: quantiles, and a histogram that one late task cannot flatten."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from kling_effects_async.report.axis import round_step

__all__ = ["Column", "Durations", "durations", "quantile"]

_COLUMNS = 24
# What took more than so many times the nine-tenths quantile goes into one last column.
_LONGEST_RATIO = 2.0


@frozen
class Column:
    """How many tasks took from ``start_s`` up to ``end_s`` (``inf`` in the last one)."""

    start_s: float
    end_s: float
    count: int


@frozen
class Durations:
    """All of them, in seconds; ``columns`` without a gap from the shortest to the longest."""

    p10_s: float
    p50_s: float
    p90_s: float
    longest_s: float
    columns: tuple[Column, ...]


def durations(took_s: Sequence[float]) -> Durations | None:
    """``None`` where no task's duration is known."""
    if not took_s:
        return None
    ordered = sorted(took_s)
    p10_s, p50_s, p90_s = (quantile(ordered, share) for share in (0.1, 0.5, 0.9))
    columns = _columns(ordered, _LONGEST_RATIO * p90_s)
    return Durations(p10_s, p50_s, p90_s, ordered[-1], tuple(columns))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest values, in proportion."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _columns(ordered: Sequence[float], longest_s: float) -> list[Column]:
    shown = [took_s for took_s in ordered if took_s <= longest_s]
    step = round_step(shown[-1] - shown[0], _COLUMNS)
    first = math.floor(shown[0] / step)
    counts = [0] * (math.floor(shown[-1] / step) - first + 1)
    for took_s in shown:
        counts[math.floor(took_s / step) - first] += 1
    found = [Column((first + n) * step, (first + n + 1) * step, c) for n, c in enumerate(counts)]
    late = len(ordered) - len(shown)
    return [*found, Column(found[-1].end_s, math.inf, late)] if late else found
