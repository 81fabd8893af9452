"""What jobs cost, or may cost, in SQL; see ``budget`` for the rules.

Sums are kept as numbers of jobs by cost, and added up here as decimals: SQLite's own sums are
binary fractions.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from kling_effects_async.journal.budget import (
    RECENT,
    Committed,
    check_budget,
    expected_cost,
)
from kling_effects_async.journal.sqlite.job_row import units_of
from kling_effects_async.journal.sqlite.queries import THIS

__all__ = ["EXPECTED", "check_submit", "committed", "earlier_cost", "recent_units"]


def _recent(account: str, scene: str) -> str:
    """The costs of the scene's last successes, as SQL."""
    return (
        "SELECT recent.units FROM jobs AS recent "
        f"WHERE recent.account = {account} AND recent.scene = {scene} "
        "AND recent.units IS NOT NULL AND recent.state IN ('succeeded', 'downloaded') "
        f"ORDER BY recent.id DESC LIMIT {RECENT}"
    )


# What one more task of a row's scene is likely to cost: a budget should err on the safe side.
EXPECTED = (
    f"coalesce((SELECT units FROM ({_recent('jobs.account', 'jobs.scene')}) "
    f"ORDER BY CAST(units AS REAL) DESC LIMIT 1), '{expected_cost(None)}')"
)


def committed(connection: sqlite3.Connection, account: str) -> Committed:
    """What the account's jobs cost, or may cost, exactly."""
    sums: dict[str, Decimal] = {}
    for kind, units, jobs in connection.execute(
        "SELECT kind, units, jobs FROM costs WHERE account = ?", (account,)
    ):
        sums[kind] = sums.get(kind, Decimal(0)) + units_of(units) * jobs
    return Committed(**sums)


def recent_units(
    connection: sqlite3.Connection, account: str, scene: str
) -> tuple[Decimal, Decimal] | None:
    """The lowest and the highest cost of the scene's last successes."""
    rows = connection.execute(_recent("?", "?"), (account, scene)).fetchall()
    costs = [units_of(units) for (units,) in rows]
    return (min(costs), max(costs)) if costs else None


def check_submit(
    connection: sqlite3.Connection, account: str, external_task_id: str, limit: Decimal
) -> None:
    """Reject the submit of a planned job that could pass the limit.

    Raises:
        BudgetExceededError: it could.
    """
    row = connection.execute(
        f"SELECT scene, {EXPECTED} FROM jobs WHERE {THIS} AND state = 'planned'",
        (external_task_id, account),
    ).fetchone()
    if row is not None:  # otherwise the move says what is wrong
        check_budget(row[0], committed(connection, account), units_of(row[1]), limit)


def earlier_cost(
    connection: sqlite3.Connection, account: str, external_task_id: str
) -> dict[str, str]:
    """What an uncertain submit may cost: it is kept, as another one may follow."""
    row = connection.execute(
        f"SELECT expected_units, earlier_units FROM jobs WHERE {THIS} AND state = 'uncertain'",
        (external_task_id, account),
    ).fetchone()
    if row is None or row[0] is None:
        return {}
    units = sum((units_of(text) for text in row if text is not None), Decimal(0))
    return {"earlier_units": str(units)}
