"""Axes of charts: round steps, and positions as percentages, so that a chart fits any width."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attrs import frozen

from kling_effects_async.report.markup import seconds

__all__ = ["Heights", "TimeAxis", "percent", "round_step"]

# Steps that a clock has, in seconds.
_STEPS_S = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200),
)
_DAY_S = 86_400
_LABEL_PX = 18
_MAX_TICKS = 5  # with more, their labels touch on a telephone


def percent(share: float) -> str:
    """``12.34%``, at least 0 and at most 100."""
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def round_step(length: float, parts: int) -> float:
    """The smallest step of a clock of which ``parts`` cover the length."""
    wanted = max(length / parts, _STEPS_S[0])
    whole_days = _DAY_S * math.ceil(wanted / _DAY_S)
    return next((step for step in _STEPS_S if step >= wanted), whole_days)


@frozen
class Heights:
    """From 0 at the bottom of a drawing up to ``top``, with room for a label above it."""

    top: float
    height_px: int

    def at(self, value: float) -> int:
        """The vertical position of a value: a whole pixel, so that stacked shapes touch."""
        room_px = self.height_px - _LABEL_PX
        return round(_LABEL_PX + room_px * (1 - value / self.top))

    def between(self, low: float, high: float) -> str:
        """A rectangle's attributes."""
        y = self.at(high)
        return f'y="{y}" height="{self.at(low) - y}"'


@frozen
class TimeAxis:
    """From 0 to ``length_s``."""

    length_s: float

    def at(self, time_s: float) -> str:
        """The horizontal position of a time."""
        return percent(time_s / self.length_s)

    def between(self, start_s: float, end_s: float) -> str:
        """The width of a span, as far as it is on the axis."""
        start_s, end_s = max(0.0, start_s), min(self.length_s, end_s)
        return percent((end_s - start_s) / self.length_s)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Round times and their labels, at most five, beginning with 0."""
        step = round_step(self.length_s, _MAX_TICKS)
        for number in range(math.floor(self.length_s / step + 1e-9) + 1):
            # A label near the end would be cut off at the edge.
            if number == 0 or number * step <= 0.97 * self.length_s:
                yield number * step, seconds(number * step)
