"""What the run cost, by state, and where the figures come from."""

from __future__ import annotations

from decimal import Decimal

from kling_effects_async.report.markup import amount, count, shown, text, times
from kling_effects_async.report.run_report import ItemState, RunReport
from kling_effects_async.report.tally import Tally

__all__ = ["cost", "cost_source", "total_units"]


def total_units(tally: Tally) -> Decimal | None:
    """``None`` where no task's cost is known."""
    if not any(line.known for line in tally.costs.values()):
        return None
    return sum((line.units for line in tally.costs.values()), Decimal(0))


def cost_source(tally: Tally, report: RunReport) -> str:
    """Where the figures come from, as an escaped sentence."""
    if report.is_preview:
        return "Nothing was paid: the previews were made on this machine."
    if report.cost_source:
        return shown(report.cost_source)
    known, tasks = (sum(getattr(line, name) for line in tally.costs.values()) for name in _COUNTS)
    if not tasks:
        return "No task was accepted."
    if not known:
        return "The service did not report what its tasks cost."
    return f"Reported by the service for {count(known)} of {times(tasks, 'task')}."


_COUNTS = ("known", "tasks")


def cost(tally: Tally, report: RunReport) -> str:
    """What the section holds below its heading."""
    total = total_units(tally)
    source = f"<p>{cost_source(tally, report)}</p>"
    if total is None or report.is_preview:
        return source
    unit = shown(report.cost_unit)
    rows = "".join(_row(state, tally) for state in ItemState if state in tally.costs)
    return (
        f'{source}{_budget(total, report, unit)}<div class="scrolls" tabindex="0" role="region" '
        f'aria-label="Cost by state"><table><thead><tr><th scope="col">State</th>'
        f'<th scope="col">Tasks</th><th scope="col">Cost known</th><th scope="col">{unit}</th>'
        f'<th scope="col">{unit} a task</th></tr></thead><tbody>{rows}</tbody>'
        f'<tfoot><tr><th scope="row">all</th>{_cells(tally, total)}</tr></tfoot></table></div>'
    )


def _row(state: ItemState, tally: Tally) -> str:
    line = tally.costs[state]
    units = amount(line.units) if line.known else ""
    cells = (count(line.tasks), count(line.known), units, _mean(line.units, line.known))
    return f'<tr><th scope="row">{text(str(state))}</th>{_joined(cells)}</tr>'


def _cells(tally: Tally, total: Decimal) -> str:
    known, tasks = (sum(getattr(line, name) for line in tally.costs.values()) for name in _COUNTS)
    return _joined((count(tasks), count(known), amount(total), _mean(total, known)))


def _joined(cells: tuple[str, ...]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _mean(units: Decimal, known: int) -> str:
    return amount(round(units / known, 2)) if known else ""


def _budget(total: Decimal, report: RunReport, unit: str) -> str:
    if report.budget_units is None:
        return ""
    allowed = amount(report.budget_units)
    return (
        f'<p>{amount(total)} of a budget of {allowed} {unit}. <meter min="0" '
        f'max="{max(report.budget_units, total):f}" value="{total:f}" '
        f'aria-label="Budget spent">{amount(total)} of {allowed}</meter></p>'
    )
