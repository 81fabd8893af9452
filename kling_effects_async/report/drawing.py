"""Drawings as SVG, at home in any width: their horizontal positions are percentages.

So letters keep their size. Colours and letters are the style sheet's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kling_effects_async.report.axis import TimeAxis, percent
from kling_effects_async.report.markup import text
from kling_effects_async.report.run_report import ItemState

__all__ = ["css", "figure", "key", "level_label", "state_bar", "svg", "table", "time_axis"]

_AXIS_PX = 22


def css(state: ItemState) -> str:
    """The state's class in the style sheet."""
    return f"s-{state.value.replace(' ', '-')}"


def svg(drawn: str, height_px: int, label: str) -> str:
    """A drawing with room for an axis below it; ``label`` is for those who do not see it."""
    whole = height_px + _AXIS_PX
    return (
        f'<svg class="chart" role="img" height="{whole}" aria-label="{text(label)}">{drawn}</svg>'
    )


def figure(title: str, legend: str, drawing: str) -> str:
    """A drawing under its title and legend, which are HTML."""
    caption = f'<figcaption>{title} <span class="legend">{legend}</span></figcaption>'
    return f"<figure>{caption}{drawing}</figure>"


def level_label(number: str, y_px: int) -> str:
    """A line at this height, and the number that it stands for above it."""
    line = f'<line class="grid" x1="0" x2="100%" y1="{y_px}" y2="{y_px}"/>'
    return f'{line}<text x="3" y="{y_px - 4}">{number}</text>'


def key(kind: str, meaning: str) -> str:
    """An entry of a legend."""
    return f'<span class="entry"><span class="key {kind}"></span>{text(meaning)}</span> '


def time_axis(axis: TimeAxis, height_px: int) -> str:
    """Lines at round times, and their labels below."""
    marks = []
    for time_s, label in axis.ticks():
        x = axis.at(time_s)
        marks.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height_px + 4}"/>')
        marks.append(f'<text x="{x}" dx="3" y="{height_px + 16}">{label}</text>')
    base = f'<line class="base" x1="0" x2="100%" y1="{height_px}" y2="{height_px}"/>'
    return base + "".join(marks)


def state_bar(states: dict[ItemState, int]) -> str:
    """The shares of the states in one line."""
    total = max(1, sum(states.values()))
    parts, before = [], 0
    for state, number in states.items():
        place = f'x="{percent(before / total)}" width="{percent(number / total)}"'
        parts.append(f'<rect class="{css(state)}" {place} y="0" height="14"/>')
        before += number
    return f'<svg class="shares" height="14" aria-hidden="true">{"".join(parts)}</svg>'


def table(summary: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The figures of a drawing, closed until somebody wants them. Cells are text, not markup."""
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in heads)
    body = "".join(_row(row) for row in rows)
    return (
        f'<details><summary>{summary}</summary><div class="scrolls" tabindex="0" role="region" '
        f'aria-label="{text(summary)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></details>"
    )


def _row(cells: Sequence[str]) -> str:
    first, *others = (text(cell) for cell in cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'
