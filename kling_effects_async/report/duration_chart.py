"""The durations as a drawing: how many tasks took how long, with three quantiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from kling_effects_async.report.axis import Heights, percent
from kling_effects_async.report.drawing import figure, level_label, svg, table
from kling_effects_async.report.durations import Column, Durations
from kling_effects_async.report.markup import count, seconds, times

__all__ = ["duration_chart"]

_HEIGHT_PX = 150
_MAX_LABELS = 4
_MIN_COLUMNS = 3
_HEADS = ("From", "To", "Tasks")


def duration_chart(found: Durations) -> str:
    """The histogram and its table; of what is too alike to draw, the quantiles alone."""
    columns = found.columns
    if len(columns) < _MIN_COLUMNS:
        return f"<p>{times(sum(c.count for c in columns), 'task')}: {_sentence(found)}.</p>"
    width = 1 / len(columns)
    heights = Heights(max(column.count for column in columns), _HEIGHT_PX)
    drawn = "".join(_column(column, n * width, width, heights) for n, column in enumerate(columns))
    marks = "".join(_mark(n, *mark, found) for n, mark in enumerate(_quantiles(found)))
    label = f"Durations of {times(sum(c.count for c in columns), 'task')}: {_sentence(found)}."
    drawing = svg(
        drawn + level_label(f"{heights.top:,}", heights.at(heights.top)) + marks + _axis(columns),
        _HEIGHT_PX,
        label,
    )
    rows = ((seconds(c.start_s), _end_of(c), count(c.count)) for c in columns if c.count)
    return figure("Tasks by duration", _sentence(found), drawing) + table(
        "The durations as a table", _HEADS, rows
    )


def _quantiles(found: Durations) -> tuple[tuple[str, float], ...]:
    return (("p10", found.p10_s), ("p50", found.p50_s), ("p90", found.p90_s))


def _sentence(found: Durations) -> str:
    parts = [f"{name} {seconds(at_s)}" for name, at_s in _quantiles(found)]
    return ", ".join([*parts, f"longest {seconds(found.longest_s)}"])


def _column(column: Column, left: float, width: float, heights: Heights) -> str:
    hint = f"{seconds(column.start_s)} to {_end_of(column)}: {times(column.count, 'task')}"
    place = f'x="{percent(left)}" width="{percent(width)}"'
    return (
        f'<rect class="column" {place} {heights.between(0, column.count)}>'
        f"<title>{hint}</title></rect>"
    )


def _mark(number: int, name: str, at_s: float, found: Durations) -> str:
    x = percent(_share(at_s, found.columns))
    y = 12 + 13 * number  # one below the other, as they may be near each other
    return (
        f'<line class="mark" x1="{x}" x2="{x}" y1="{y - 10}" y2="{_HEIGHT_PX}"/>'
        f'<text class="mark" x="{x}" dx="3" y="{y}">{name}</text>'
    )


def _share(at_s: float, columns: Sequence[Column]) -> float:
    step = columns[0].end_s - columns[0].start_s
    return (at_s - columns[0].start_s) / step / len(columns)


def _axis(columns: Sequence[Column]) -> str:
    base = f'<line class="base" x1="0" x2="100%" y1="{_HEIGHT_PX}" y2="{_HEIGHT_PX}"/>'
    return base + "".join(_labels(columns))


def _labels(columns: Sequence[Column]) -> Iterator[str]:
    every = math.ceil(len(columns) / _MAX_LABELS)
    # One that begins at the right edge would be cut off.
    for place in range(0, max(1, math.floor(0.85 * len(columns))), every):
        x = percent(place / len(columns))
        yield f'<text x="{x}" dx="2" y="{_HEIGHT_PX + 16}">{seconds(columns[place].start_s)}</text>'


def _end_of(column: Column) -> str:
    return "longer" if math.isinf(column.end_s) else seconds(column.end_s)
