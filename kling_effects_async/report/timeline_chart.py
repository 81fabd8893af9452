"""The timeline as a drawing: tasks in flight under the line of slots, then each task.

Where there are too many for that, it is how many ended when.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from kling_effects_async.report.axis import Heights, TimeAxis, round_step
from kling_effects_async.report.drawing import css, figure, key, level_label, svg, table, time_axis
from kling_effects_async.report.markup import count, seconds, times
from kling_effects_async.report.run_report import ItemState
from kling_effects_async.report.tally import Bar, Tally
from kling_effects_async.report.timeline import Interval, intervals, lanes, run_length_s

__all__ = ["timeline_chart"]

# More bars than this, or more lanes, are a texture and no drawing.
_MAX_BARS, _MAX_LANES = 600, 48
_LANE_PX, _BAR_PX = 12, 9
_FLIGHT_PX, _ENDS_PX = 120, 140
_INTERVALS, _TABLE_ROWS = 96, 12
_LEAST_SHARE = 0.002  # of the width, for what ended at once: nobody would see it
_MAX_STEPS = 300  # of the line of slots


def timeline_chart(tally: Tally, slots: Sequence[tuple[float, int]], took_s: float) -> str:
    """Tasks in flight under the line of slots, then each task, or the ends where they are many."""
    length_s = run_length_s(took_s, tally.bars)
    axis = TimeAxis(length_s)
    step_s = round_step(length_s, _INTERVALS)
    parts = intervals(tally.bars, slots, length_s, step_s)
    rows = lanes(tally.bars) if tally.timed <= _MAX_BARS else []
    tasks = _lanes(rows, axis) if 0 < len(rows) <= _MAX_LANES else _ends(parts, axis)
    coarse = intervals(tally.bars, slots, length_s, round_step(length_s, _TABLE_ROWS))
    return _in_flight(parts, slots, axis) + tasks + _timeline_table(coarse, length_s)


def _in_flight(
    parts: Sequence[Interval], slots: Sequence[tuple[float, int]], axis: TimeAxis
) -> str:
    busiest = max(part.in_flight for part in parts)
    most_slots = max((number for _time, number in slots), default=0)
    heights = Heights(max(1, most_slots, math.ceil(busiest)), _FLIGHT_PX)
    columns = "".join(_flight_column(part, heights, axis) for part in parts)
    line = "".join(_slot_line(_fewer(slots, parts), heights, axis))
    known = f", with at most {times(most_slots, 'slot')}" if slots else ""
    label = f"Tasks in flight over time: at most {busiest:.0f} on average of an interval{known}."
    legend = key("flight", "tasks in flight") + (key("slots", "slots") if slots else "")
    level = level_label(f"{heights.top:,.0f}", heights.at(heights.top))
    drawing = svg(columns + level + line + time_axis(axis, _FLIGHT_PX), _FLIGHT_PX, label)
    return figure("In flight, and slots", legend, drawing)


def _fewer(
    slots: Sequence[tuple[float, int]], parts: Sequence[Interval]
) -> Sequence[tuple[float, int]]:
    """The changes of the slots; where they are very many, the slots at each interval's end."""
    if len(slots) <= _MAX_STEPS:
        return slots
    return [(part.start_s, part.slots) for part in parts if part.slots is not None]


def _flight_column(part: Interval, heights: Heights, axis: TimeAxis) -> str:
    hint = f"{seconds(part.start_s)}: {part.in_flight:.1f} in flight"
    hint += "" if part.slots is None else f", {times(part.slots, 'slot')}"
    place = f'x="{axis.at(part.start_s)}" width="{axis.between(part.start_s, part.end_s)}"'
    return (
        f'<rect class="flight" {place} {heights.between(0, part.in_flight)}>'
        f"<title>{hint}</title></rect>"
    )


def _slot_line(
    slots: Sequence[tuple[float, int]], heights: Heights, axis: TimeAxis
) -> Iterator[str]:
    """Steps: a level line until the next change, then an upright one."""
    before: int | None = None
    for (start_s, number), (end_s, _next) in pairwise([*slots, (axis.length_s, 0)]):
        x1, x2, level = axis.at(start_s), axis.at(end_s), heights.at(number)
        if before is not None:
            yield f'<line class="slots" x1="{x1}" x2="{x1}" y1="{before}" y2="{level}"/>'
        yield f'<line class="slots" x1="{x1}" x2="{x2}" y1="{level}" y2="{level}"/>'
        before = level


def _lanes(rows: list[list[Bar]], axis: TimeAxis) -> str:
    height = _LANE_PX * len(rows)
    drawn = "".join(_bar(bar, row, axis) for row, bars in enumerate(rows) for bar in bars)
    states = {bar.state for bars in rows for bar in bars}
    legend = key("sent", "submitted") + "".join(
        key(css(s), str(s)) for s in ItemState if s in states
    )
    label = f"Each task as a bar from its submit to its end, in {times(len(rows), 'row')}."
    drawing = svg(drawn + time_axis(axis, height), height, label)
    return figure("Each task, in the first free row", legend, drawing)


def _bar(bar: Bar, row: int, axis: TimeAxis) -> str:
    accepted_s = min(axis.length_s, bar.accepted_s)
    end_s = max(min(axis.length_s, bar.ended_s), accepted_s + _LEAST_SHARE * axis.length_s)
    y = row * _LANE_PX + (_LANE_PX - _BAR_PX) / 2
    sent, took = axis.between(bar.submitted_s, accepted_s), axis.between(accepted_s, end_s)
    hint = f"item {count(bar.number)}: {bar.state}, from {seconds(bar.submitted_s)}"
    hint += f" to {seconds(bar.ended_s)}" if math.isfinite(bar.ended_s) else ""
    shape = f'y="{y}" height="{_BAR_PX}"'
    return (
        f'<a href="#item-{bar.number}" tabindex="-1"><title>{hint}</title>'
        f'<rect class="sent" x="{axis.at(bar.submitted_s)}" width="{sent}" {shape}/>'
        f'<rect class="bar {css(bar.state)}" x="{axis.at(accepted_s)}" width="{took}" {shape}/></a>'
    )


def _ends(parts: Sequence[Interval], axis: TimeAxis) -> str:
    top = max(1, max(sum(part.ended.values()) for part in parts))
    heights = Heights(top, _ENDS_PX)
    columns = "".join(_end_column(part, heights, axis) for part in parts)
    states = [state for state in ItemState if any(part.ended[state] for part in parts)]
    legend = "".join(key(css(state), str(state)) for state in states)
    span = seconds(parts[0].end_s - parts[0].start_s)
    label = f"Tasks that ended, for each {span} of the run: at most {times(top, 'task')}."
    level = level_label(count(top), heights.at(top))
    drawing = svg(columns + level + time_axis(axis, _ENDS_PX), _ENDS_PX, label)
    return figure(f"Ended, for each {span}", legend, drawing)


def _end_column(part: Interval, heights: Heights, axis: TimeAxis) -> str:
    place = f'x="{axis.at(part.start_s)}" width="{axis.between(part.start_s, part.end_s)}"'
    drawn, below = [], 0
    for state in ItemState:
        if number := part.ended[state]:
            hint = f"{seconds(part.start_s)}: {count(number)} {state}"
            shape = heights.between(below, below + number)
            drawn.append(f'<rect class="{css(state)}" {place} {shape}><title>{hint}</title></rect>')
            below += number
    return "".join(drawn)


def _timeline_table(parts: Sequence[Interval], length_s: float) -> str:
    heads = ("From", "To", "Submitted", "Ended", "In flight", "Slots")
    rows = (
        (
            seconds(part.start_s),
            seconds(min(part.end_s, length_s)),
            count(part.submitted),
            count(sum(part.ended.values())),
            f"{part.in_flight:.1f}",
            "" if part.slots is None else count(part.slots),
        )
        for part in parts
    )
    return table("The timeline as a table", heads, rows)
