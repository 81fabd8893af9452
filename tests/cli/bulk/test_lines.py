"""How the progress of a bulk run reads on terminals of any width."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from rich.cells import cell_len

from kling_effects_async.cli.bulk.lines import (
    Look,
    duration,
    end_words,
    progress_lines,
    status_line,
    units_words,
)
from kling_effects_async.cli.bulk.run_state import RunningTask, RunState

EIGHTY, FORTY = Look(width=80), Look(width=40)
NAMES = {f"id-{number}": f"photo {number} of the long summer in Kyoto 夏" for number in range(20)}


def running(number: int) -> RunState:
    """A run of three hundred after a minute, with so many tasks running."""
    state = RunState(to_do=Counter({"squish": 200}), started_s=0.0)
    state.to_do["squish"] = 150
    state.total = 300
    state.running = {f"id-{n}": RunningTask(f"id-{n}", 10.0, "processing") for n in range(number)}
    state.slots, state.waiting, state.units = 5, 8, Decimal("284.0")
    return state


@pytest.mark.parametrize("look", [EIGHTY, FORTY, Look(width=20), Look(width=300)])
@pytest.mark.parametrize("tasks", [0, 1, 12, 20])
def test_no_line_is_wider_than_the_terminal(look: Look, tasks: int) -> None:
    state = running(tasks)
    state.held_back_by = "request rate is too high\n" * 20
    lines = progress_lines(state, 70.0, look, names=NAMES)
    assert max(map(cell_len, lines)) <= max(look.width, 32)
    assert all(line.isprintable() for line in lines)


def test_at_most_a_dozen_tasks_have_lines_of_their_own() -> None:
    lines = progress_lines(running(20), 70.0, EIGHTY, names=NAMES)
    assert sum("processing" in line for line in lines) == 12
    assert lines[-1] == "  and 8 more"


def test_a_long_name_keeps_its_end() -> None:
    names = {"id-0": f"{'a' * 100}-0017"}
    line = progress_lines(running(1), 70.0, EIGHTY, names=names)[-1]
    assert "-0017 " in line
    assert "…" in line
    ascii_line = progress_lines(running(1), 70.0, Look(width=80, is_plain=True), names=names)[-1]
    assert ascii_line.isascii()


def test_the_counts_say_what_runs_what_it_cost_and_when_it_ends() -> None:
    first, last = (datetime(2026, 11, 29, 18, minute, tzinfo=UTC) for minute in (4, 11))
    text = " ".join(progress_lines(running(5), 70.0, EIGHTY, names=NAMES, expected=(first, last)))
    assert text.startswith("150 of 300 ━")
    assert "50 %" in text
    assert "5 running in 5 slots, 8 waiting, 284 units so far, 1:10, ends 18:04 to 18:11" in text


def test_a_line_of_a_log_names_what_happened_last() -> None:
    state = running(5)
    state.latest = "id-3: succeeded"
    state.failed["moderation"] = 2
    assert status_line(state, {"id-3": "cat-squish"}) == (
        "150 of 300, 5 running, 2 failed, 8 waiting; cat-squish: succeeded"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0:00"), (42, "0:42"), (3727, "1:02:07"), (183600, "2 d 03:00")],
)
def test_a_duration_reads_as_on_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_end_on_another_day_names_the_day() -> None:
    noon = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    assert end_words(noon, noon.replace(second=40)) == "ends about 12:00"
    assert end_words(noon, noon.replace(day=30)) == "ends Sun 12:00 to Mon 12:00"


@pytest.mark.parametrize(
    ("units", "text"), [("1", "1 unit"), ("7.50", "7.5 units"), ("1E+2", "100 units")]
)
def test_units_are_decimals(units: str, text: str) -> None:
    assert units_words(Decimal(units)) == text
