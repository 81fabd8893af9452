"""The page around the contact sheet: what is filled into the template."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from string import Template

from kling_effects_async.report.cost import cost, cost_source, total_units
from kling_effects_async.report.drawing import css, state_bar
from kling_effects_async.report.duration_chart import duration_chart
from kling_effects_async.report.durations import durations
from kling_effects_async.report.failures import failures
from kling_effects_async.report.markup import amount, count, name, seconds, shown, text, times
from kling_effects_async.report.run_report import ItemState, RunReport
from kling_effects_async.report.sheet import Sheet
from kling_effects_async.report.tally import Tally
from kling_effects_async.report.timeline_chart import timeline_chart

__all__ = ["PER_PAGE", "page"]

# Whole rows at two, three, four and six columns.
PER_PAGE = 48

_CARDS = "<!-- cards -->"
_PREVIEW = "Previews, made on this machine, not by Kling&#x27;s model."


def page(report: RunReport, tally: Tally, sheet: Sheet) -> tuple[str, str]:
    """What comes before the cards, and what comes after them."""
    before, _mark, after = _template("page.html").partition(_CARDS)
    values = dict(_values(report, tally, sheet))
    return Template(before).substitute(values), Template(after).substitute(values)


@cache
def _template(file: str) -> str:
    return files(__package__).joinpath(file).read_text("utf-8").replace("\r\n", "\n")


def _values(report: RunReport, tally: Tally, sheet: Sheet) -> Iterator[tuple[str, str]]:
    style, no_script, script = (_template(f"page.{kind}") for kind in ("css", "noscript.css", "js"))
    yield "policy", _policy(style, no_script, script)
    yield "style", style
    yield "no_script_style", no_script
    yield "script", script
    yield "per_page", str(PER_PAGE)
    yield "title", shown(report.title)
    yield "heading", name(report.title)
    yield "notice", f'<p class="notice">{_PREVIEW}</p>' if report.is_preview else ""
    yield "facts", "".join(_facts(report))
    yield "result", _result(tally)
    yield "tiles", "".join(_tiles(tally))
    yield "shares", state_bar({s: tally.states[s] for s in ItemState if tally.states[s]})
    yield "cost_brief", _cost_brief(tally, report)
    yield "failures", failures(tally, report)
    yield "failed", count(tally.failed)
    yield "timeline", _timeline(tally, report)
    yield "durations", _durations(tally)
    yield "cost", cost(tally, report)
    yield "filters", "".join(_filters(tally))
    yield "sheet_note", _sheet_note(sheet)
    yield "is_empty", "" if tally.total == 0 else " hidden"
    yield "body_class", "" if tally.total else "is-empty"


def _policy(style: str, no_script: str, script: str) -> str:
    """Nothing from elsewhere, and of what is inline only these very texts.

    Source: Content Security Policy Level 3, 2.3.1 (hashes) and 3.3 (the meta element).
    """
    styles = f"{_hash(style)} {_hash(no_script)}"
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {styles}; img-src data:; "
        "media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )


def _hash(inline: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


def _facts(report: RunReport) -> Iterator[str]:
    yield f"<div><dt>Scene</dt><dd>{name(report.scene)}</dd></div>"
    yield f"<div><dt>When</dt><dd>{_when(report.started_at, report.ended_at)}</dd></div>"
    yield f"<div><dt>Took</dt><dd>{seconds(report.took_s)}</dd></div>"


def _when(start: datetime, end: datetime) -> str:
    is_one_day = start.date() == end.date()
    last = f"{end:%H:%M}" if is_one_day else _day_and_time(end)
    return f"{_time(start, _day_and_time(start))} to {_time(end, last)} {text(f'{end:%Z}')}"


def _day_and_time(at: datetime) -> str:
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M}"


# Not strftime, whose names are the locale's, in a page that is English.
_MONTHS = (
    "January February March April May June July August September October November December"
).split()


def _time(at: datetime, shown_as: str) -> str:
    return f'<time datetime="{at.isoformat(timespec="seconds")}">{shown_as}</time>'


def _result(tally: Tally) -> str:
    if not tally.total:
        return "There was nothing to do."
    done = tally.states[ItemState.SAVED] + tally.states[ItemState.EXISTED]
    return f"{count(done)} of {times(tally.total, 'clip')} saved"


def _tiles(tally: Tally) -> Iterator[str]:
    for state in ItemState:
        if number := tally.states[state]:
            yield (
                f'<li><a class="tile {css(state)}" href="#items" data-shows="{text(str(state))}">'
                f'<b>{count(number)}</b> <span><span class="sign" aria-hidden="true">{state.sign}'
                f"</span> {state}</span></a></li>"
            )


def _cost_brief(tally: Tally, report: RunReport) -> str:
    total = total_units(tally)
    is_shown = total is not None and not report.is_preview
    figure = (
        ""
        if total is None or not is_shown
        else f"<b>{amount(total)} {shown(report.cost_unit)}</b> "
    )
    return f"{figure}<span>{cost_source(tally, report)}</span>"


def _timeline(tally: Tally, report: RunReport) -> str:
    if not tally.timed:
        return "<p>No task was submitted in this run.</p>"
    return timeline_chart(tally, report.slots, report.took_s)


def _durations(tally: Tally) -> str:
    found = durations(tally.durations_s)
    return "<p>No task ended in this run.</p>" if found is None else duration_chart(found)


def _filters(tally: Tally) -> Iterator[str]:
    yield _filter("", "all", tally.total, is_checked=True)
    for state in ItemState:
        if number := tally.states[state]:
            yield _filter(str(state), str(state), number)


def _filter(value: str, label: str, number: int, *, is_checked: bool = False) -> str:
    checked = " checked" if is_checked else ""
    return (
        f'<label><input type="radio" name="state" value="{text(value)}"{checked}>'
        f"<span>{text(label)} <small>{count(number)}</small></span></label>"
    )


def _sheet_note(sheet: Sheet) -> str:
    notes = []
    if sheet.left_out:
        notes.append(f"{times(sheet.left_out, 'item')} more had no room on this sheet.")
    if sheet.without_pictures:
        notes.append(f"The pictures of {times(sheet.without_pictures, 'item')} had no room.")
    return f"<p>{' '.join(notes)}</p>" if notes else ""
