"""The failures by reason, with what to do, and what has not ended."""

from __future__ import annotations

from kling_effects_async.report.drawing import css
from kling_effects_async.report.markup import count, name, shown, text, times
from kling_effects_async.report.run_report import ItemState, RunReport
from kling_effects_async.report.tally import FailureGroup, ListedFailure, Tally

__all__ = ["failures"]

_OPENED = 12  # longer lists are closed until somebody wants them

_WITHOUT_REASON = {
    ItemState.NOT_SAVED: "The clip was made and could not be saved.",
    ItemState.FAILED: "The task failed.",
    ItemState.REJECTED: "It was rejected.",
    ItemState.UNCERTAIN: "Whether the task exists is not known.",
}


def failures(tally: Tally, report: RunReport) -> str:
    """What the section holds below its heading."""
    groups = "".join(_group(group) for group in tally.groups)
    again = _command("Run the failed items again", report.retry_command, "retry")
    rest = _unfinished(tally, report)
    return (groups + (again if tally.failed else "") + rest) or "<p>Nothing failed.</p>"


def _group(group: FailureGroup) -> str:
    reason = shown(group.reason) or _WITHOUT_REASON[group.state]
    sign = f'<span class="sign {css(group.state)}" aria-hidden="true">{group.state.sign}</span>'
    advice = f'<p class="advice">{shown(group.advice)}</p>' if group.advice else ""
    rows = "".join(_row(failure) for failure in group.listed)
    more = group.count - len(group.listed)
    rest = f"<p>and {times(more, 'more item')}, in the contact sheet.</p>" if more else ""
    is_open = " open" if group.count <= _OPENED else ""
    return (
        f'<section class="failure {css(group.state)}" id="failure-{group.number}" tabindex="-1">'
        f"<h3>{sign} {reason}</h3>{advice}"
        f"<details{is_open}><summary>{times(group.count, 'item')} {group.state}</summary>"
        f"<ul>{rows}</ul>{rest}</details></section>"
    )


def _row(failure: ListedFailure) -> str:
    item = failure.item
    where = f' <span class="where">{name(item.where)}</span>' if item.where else ""
    said = f'<br><span class="said">{shown(item.detail)}</span>' if item.detail else ""
    task_id = f" <code>{text(item.task_id)}</code>" if item.task_id else ""
    link = f'<a href="#item-{failure.number}">{name(item.name)}</a>'
    return f"<li>{link}{where}{task_id}{said}</li>"


def _unfinished(tally: Tally, report: RunReport) -> str:
    if not tally.unfinished:
        return ""
    running, waiting = (tally.states[state] for state in (ItemState.RUNNING, ItemState.NOT_SENT))
    parts = [f"{count(running)} running at the service"] if running else []
    parts += [f"{count(waiting)} not sent"] if waiting else []
    command = _command("Go on with the run", report.continue_command, "continue")
    return (
        f'<section class="failure s-running"><h3>Not finished: {", ".join(parts)}</h3>'
        f"{command}</section>"
    )


def _command(heading: str, line: str | None, key: str) -> str:
    if line is None:
        return ""
    return (
        f'<div class="command"><p id="{key}-label">{heading}:</p>'
        f'<pre tabindex="0" aria-labelledby="{key}-label">'
        f'<code id="{key}">{text(line)}</code></pre>'
        f'<button type="button" data-copies="{key}" hidden>Copy</button></div>'
    )
