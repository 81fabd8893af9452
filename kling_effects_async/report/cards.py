"""One item of the contact sheet."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from kling_effects_async.report.drawing import css
from kling_effects_async.report.markup import amount, count, linked, name, seconds, shown, text
from kling_effects_async.report.run_report import ItemState, ReportItem

__all__ = ["card", "picture_bytes"]


def picture_bytes(item: ReportItem) -> int:
    """How much of the page the item's pictures take, in bytes."""
    jpegs = (item.input_thumbnail, item.first_frame)
    return sum(4 * -(-len(jpeg) // 3) for jpeg in jpegs if jpeg)


def card(
    number: int,
    item: ReportItem,
    *,
    group: int | None,
    is_hidden: bool,
    cost_unit: str | None,
) -> str:
    """The item as a list entry.

    Args:
        number: its place in the run, from 1.
        group: the number of its group of failures, which its name leads to where there is no clip.
        is_hidden: not on the first page of the sheet.
        cost_unit: ``None``: nothing was paid.
    """
    clip = linked(item.clip)
    target = clip or (f"#failure-{group}" if group else None)
    hidden = " hidden" if is_hidden else ""
    # Not lazy on the first page: on paper there must be those too that nobody scrolled to.
    loading = "lazy" if is_hidden else "eager"
    pictures = _input(item, loading) + _frame(item, clip, loading)
    return (
        f'<li class="card" id="item-{number}" data-state="{text(str(item.state))}"{hidden}>'
        f'<div class="pair">{pictures}</div>'
        f"<h3>{_name(item, target)}</h3>{_state(item, cost_unit)}{_reason(item)}"
        f"{_details(number, item)}</li>\n"
    )


def _name(item: ReportItem, target: str | None) -> str:
    if target is None:
        return f'<span class="name" tabindex="-1">{name(item.name)}</span>'
    return f'<a class="name" href="{text(target)}">{name(item.name)}</a>'


def _input(item: ReportItem, loading: str) -> str:
    picture = _picture(item.input_thumbnail, "Input", loading)
    return picture or '<span class="none">no picture</span>'


def _frame(item: ReportItem, clip: str | None, loading: str) -> str:
    picture = _picture(item.first_frame, "First frame of the clip", loading)
    if clip is None:
        return picture or f'<span class="none">{_absence(item.state)}</span>'
    shown_frame = picture or '<span class="none">clip</span>'
    # The name beside it is the same link, so the keyboard and screen readers pass over this one.
    return (
        f'<a class="frame" href="{text(clip)}" tabindex="-1" aria-hidden="true">{shown_frame}</a>'
    )


def _absence(state: ItemState) -> str:
    return "no clip yet" if state.is_open else "no clip"


def _picture(jpeg: bytes | None, alternative: str, loading: str) -> str:
    if not jpeg:
        return ""
    data = base64.b64encode(jpeg).decode()
    source = f'alt="{alternative}" src="data:image/jpeg;base64,{data}"'
    return f'<img loading="{loading}" decoding="async" {source}>'


def _state(item: ReportItem, cost_unit: str | None) -> str:
    figures = [str(item.state)]
    figures += [] if item.took_s is None else [seconds(item.took_s)]
    if item.units is not None and cost_unit is not None:
        figures.append(f"{amount(item.units)} {shown(cost_unit)}")
    sign = f'<span class="sign {css(item.state)}" aria-hidden="true">{item.state.sign}</span>'
    return f'<p class="state">{sign} {" · ".join(figures)}</p>'


def _reason(item: ReportItem) -> str:
    return f'<p class="reason">{shown(item.reason)}</p>' if item.reason else ""


def _details(number: int, item: ReportItem) -> str:
    rows = "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in _facts(item))
    return f"<details><summary>Details of item {count(number)}</summary><dl>{rows}</dl></details>"


def _facts(item: ReportItem) -> Iterator[tuple[str, str]]:
    if item.where:
        yield "From", name(item.where)
    if item.detail:
        yield "Said", shown(item.detail)
    if item.task_id:
        yield "Task", f"<code>{text(item.task_id)}</code>"
    if item.external_task_id:
        yield "External id", f"<code>{text(item.external_task_id)}</code>"
    if item.submitted_s is not None:
        yield "Submitted", f"{seconds(item.submitted_s)} after the start"
