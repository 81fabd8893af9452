"""When what happened: slots, intervals, lanes, axes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.report import ItemState, ReportItem
from kling_effects_async.report.axis import Heights, TimeAxis, percent, round_step
from kling_effects_async.report.tally import Bar, Tally
from kling_effects_async.report.timeline import intervals, lanes, run_length_s, slots_at
from tests.support.reports import ended


def bars_of(*items: ReportItem) -> list[Bar]:
    tally = Tally()
    for item in items:
        tally.add(item)
    return list(tally.bars)


def test_a_task_counts_in_an_interval_for_as_long_as_it_was_in_flight() -> None:
    found = intervals(bars_of(ended(5, 25), ended(20, 40)), [], 40, 10)
    assert [part.in_flight for part in found] == [0.5, 1, 1.5, 1]
    assert [part.submitted for part in found] == [1, 0, 1, 0]
    assert [part.ended[ItemState.SAVED] for part in found] == [0, 0, 1, 1]


def test_the_last_interval_is_as_long_as_the_run_lets_it_be() -> None:
    found = intervals(bars_of(ended(0, 12)), [], 12, 10)
    assert [part.in_flight for part in found] == [1, 1]


def test_a_running_task_is_in_flight_to_the_end_and_an_uncertain_one_is_not() -> None:
    running = ReportItem(name="a", state=ItemState.RUNNING, submitted_s=0, accepted_s=2)
    uncertain = ReportItem(name="b", state=ItemState.UNCERTAIN, submitted_s=0)
    found = intervals(bars_of(running, uncertain), [], 30, 10)
    assert [part.in_flight for part in found] == [1, 1, 1]
    assert sum(part.ended[ItemState.RUNNING] for part in found) == 0


def test_clocks_that_disagree_leave_a_bar_in_order() -> None:
    (bar,) = bars_of(
        ReportItem(name="a", state=ItemState.SAVED, submitted_s=9, accepted_s=8, ended_s=7)
    )
    assert bar.submitted_s <= bar.accepted_s <= bar.ended_s


def test_slots_stay_what_they_are_until_they_change() -> None:
    slots = [(0.0, 3), (10.0, 5)]
    assert [slots_at(slots, at_s) for at_s in (0, 9.9, 10, 99)] == [3, 3, 5, 5]
    assert slots_at([(5.0, 3)], 4) is None
    assert [part.slots for part in intervals([], slots, 20, 10)] == [5, 5]


def test_the_axis_holds_every_time_of_the_run() -> None:
    assert run_length_s(10, bars_of(ended(0, 25))) == 25
    assert run_length_s(30, bars_of(ended(0, 25))) == 30
    assert run_length_s(0, []) == 1


times = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=30)


@given(times)
def test_lanes_are_as_many_as_tasks_were_ever_in_flight_at_once(
    spans: list[tuple[int, int]],
) -> None:
    bars = bars_of(*(ended(start, start + length) for start, length in spans))
    rows = lanes(bars)
    assert sorted(bar.number for row in rows for bar in row) == [bar.number for bar in bars]
    for row in rows:
        assert all(one.ended_s <= next.submitted_s for one, next in pairwise(row))
    at_once = [
        sum(one.submitted_s <= bar.submitted_s < one.ended_s for one in bars) for bar in bars
    ]
    assert len(rows) == max(at_once, default=0)


@pytest.mark.parametrize(
    ("length", "parts", "step"),
    [
        (600, 5, 120),
        (3_601, 5, 900),
        (86_400, 5, 21_600),
        (86_400 * 30, 5, 86_400 * 6),
        (0, 5, 0.1),
    ],
)
def test_steps_are_those_of_a_clock(length: float, parts: int, step: float) -> None:
    assert round_step(length, parts) == step


@given(st.floats(1, 1e7))
def test_an_axis_has_one_to_six_labels_and_begins_with_0(length_s: float) -> None:
    ticks = list(TimeAxis(length_s).ticks())
    assert 1 <= len(ticks) <= 6
    assert ticks[0] == (0, "0 s")
    assert all(time_s <= length_s for time_s, _label in ticks)


def test_a_position_never_leaves_the_drawing() -> None:
    assert (percent(-1), percent(0.125), percent(7)) == ("0.00%", "12.50%", "100.00%")
    assert TimeAxis(10).between(5, 30) == "50.00%"


def test_stacked_shapes_touch_and_the_highest_leaves_room_for_its_label() -> None:
    heights = Heights(3, 120)
    assert heights.between(0, 1) == 'y="86" height="34"'
    assert heights.between(1, 3) == 'y="18" height="68"'
