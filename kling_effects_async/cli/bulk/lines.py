"""A run's progress as lines of text for a terminal of any width; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from attrs import frozen
from rich.cells import cell_len, set_cell_size

from kling_effects_async.cli.bulk.run_state import RunningTask, RunState
from kling_effects_async.cli.console import one_line

__all__ = ["Look", "duration", "end_words", "progress_lines", "status_line", "units_words"]

# So many running tasks have a line each.
_SHOWN = 12
# What stands beside a name: the status, and how long.
_STATUS_COLUMNS = 12
_TIME_COLUMNS = 8
_WIDEST = 100
# A terminal writes ^C behind the last line; in a full one it would begin another, which stays.
_ECHO_COLUMNS = 2


@frozen(kw_only=True)
class Look:
    """What the lines are made of.

    Attributes:
        width: columns of the terminal.
        is_plain: the terminal has ASCII only.
    """

    width: int
    is_plain: bool = False

    @property
    def bar(self) -> tuple[str, str]:
        """Full and empty."""
        return ("#", "-") if self.is_plain else ("━", "─")

    @property
    def cut(self) -> str:
        return "..." if self.is_plain else "…"


def progress_lines(
    state: RunState,
    now_s: float,
    look: Look,
    *,
    names: Mapping[str, str],
    expected: tuple[datetime, datetime] | None = None,
) -> list[str]:
    """The moving part of the screen: a bar, the counts, and a line for each of the oldest tasks.

    Args:
        now_s: by the clock of the run.
        names: what to call a task, by its external id; by default that id.
        expected: from when to when the end of the run is expected, in local time.
    """
    width = min(look.width - _ECHO_COLUMNS, _WIDEST)
    lines = [_bar(state, look, width), *_wrapped(_counts(state, now_s, expected), width)]
    if state.held_back_by:
        lines.append(_cut(one_line(f"waiting: {state.held_back_by}"), width, look))
    shown = list(state.running.values())[:_SHOWN]
    lines += [_task_line(task, now_s, names, look, width) for task in shown]
    if more := len(state.running) - len(shown):
        lines.append(f"  and {more} more")
    return lines


def status_line(state: RunState, names: Mapping[str, str]) -> str:
    """The same as one line, for a log."""
    counts = [f"{state.finished} of {state.total}", f"{len(state.running)} running"]
    counts += [f"{number} failed"] if (number := state.failed.total()) else []
    counts += [f"{state.waiting} waiting"] if state.waiting else []
    name, colon, what = state.latest.partition(": ")
    latest = f"{names.get(name, name)}{colon}{what}"
    return f"{', '.join(counts)}; {latest}" if latest else ", ".join(counts)


def _bar(state: RunState, look: Look, width: int) -> str:
    head = f"{state.finished} of {state.total} "
    tail = f" {100 * state.finished // max(1, state.total):3} %"
    columns = max(4, width - len(head) - len(tail))
    full = columns * state.finished // max(1, state.total)
    filled, empty = look.bar
    return f"{head}{filled * full}{empty * (columns - full)}{tail}"


def _counts(state: RunState, now_s: float, expected: tuple[datetime, datetime] | None) -> list[str]:
    running = f"{len(state.running)} running"
    parts = [f"{running} in {state.slots} slots" if state.slots else running]
    parts += [f"{state.waiting} waiting"] if state.waiting else []
    parts += [f"{state.before} done before"] if state.before else []
    parts += [f"{state.skipped} skipped"] if state.skipped else []
    parts += [f"{number} failed"] if (number := state.failed.total()) else []
    parts += [f"{state.uncertain} uncertain"] if state.uncertain else []
    if (rate := state.per_minute(now_s)) is not None:
        parts.append(f"{rate:.1f} a minute")
    parts += [f"{units_words(state.units)} so far"] if state.units else []
    parts.append(duration(now_s - state.started_s))
    parts += [end_words(*expected)] if expected else []
    return parts


def _task_line(
    task: RunningTask, now_s: float, names: Mapping[str, str], look: Look, width: int
) -> str:
    since = duration(now_s - task.since_s)
    columns = width - 2 - _STATUS_COLUMNS - _TIME_COLUMNS
    name = one_line(names.get(task.external_task_id, task.external_task_id))
    name = _cut(name, columns - 1, look)
    gap = " " * (columns - cell_len(name))
    return f"  {name}{gap}{task.status:{_STATUS_COLUMNS}}{since:>{_TIME_COLUMNS}}"


def _wrapped(parts: list[str], width: int) -> list[str]:
    """The parts with commas between, and no part broken."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] += f", {part}"
        else:
            lines[-1] += ","
            lines.append(part)
    return lines


def _cut(text: str, width: int, look: Look) -> str:
    """The text without its middle where it is too long: a number at its end tells it apart."""
    if cell_len(text) <= width:
        return text
    rest = max(2, width - len(look.cut))
    # A letter may be two columns wide: both halves are measured.
    head = set_cell_size(text, rest - rest // 2)
    tail = set_cell_size(text[::-1], rest // 2)[::-1]
    return f"{head}{look.cut}{tail}"


def units_words(units: Decimal) -> str:
    """``1 unit``, ``7.5 units``."""
    return f"{units.normalize():f} unit{'' if units == 1 else 's'}"


def duration(seconds: float) -> str:
    """``0:42``, ``1:02:07``, ``2 d 03:00``."""
    minutes, seconds_left = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes}:{seconds_left:02}"


def end_words(first: datetime, last: datetime) -> str:
    """When the end is expected: ``ends 18:04 to 18:11``; with the day where it is another one."""
    if last - first < timedelta(minutes=1):
        return f"ends about {last:%H:%M}"
    form = "%H:%M" if first.date() == last.date() else "%a %H:%M"
    return f"ends {first:{form}} to {last:{form}}"
