"""What jobs cost, or may cost, in SQL; see ``budget`` for the rules.

Sums are kept as numbers of jobs by cost, and added up here as decimals: SQLite's own sums are
binary fractions.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from kling_effects_async.journal.budget import (
    TYPICAL_OF,
    Committed,
    check_budget,
    expected_cost,
)
from kling_effects_async.journal.sqlite.job_row import units_of
from kling_effects_async.journal.sqlite.queries import THIS

__all__ = ["EXPECTED", "check_submit", "committed", "earlier_cost", "typical_units"]


def _typical(account: str, scene: str) -> str:
    """The highest cost of the scene's last successes, as SQL."""
    return (
        "(SELECT units FROM (SELECT recent.units FROM jobs AS recent "
        f"WHERE recent.account = {account} AND recent.scene = {scene} "
        "AND recent.units IS NOT NULL AND recent.state IN ('succeeded', 'downloaded') "
        f"ORDER BY recent.id DESC LIMIT {TYPICAL_OF}) ORDER BY CAST(units AS REAL) DESC LIMIT 1)"
    )


# What one more task of a row's scene is likely to cost.
EXPECTED = f"coalesce({_typical('jobs.account', 'jobs.scene')}, '{expected_cost(None)}')"


def committed(connection: sqlite3.Connection, account: str) -> Committed:
    """What the account's jobs cost, or may cost, exactly."""
    sums: dict[str, Decimal] = {}
    for kind, units, jobs in connection.execute(
        "SELECT kind, units, jobs FROM costs WHERE account = ?", (account,)
    ):
        sums[kind] = sums.get(kind, Decimal(0)) + units_of(units) * jobs
    return Committed(**sums)


def typical_units(connection: sqlite3.Connection, account: str, scene: str) -> Decimal | None:
    """The highest cost of the scene's last successes: a budget should err on the safe side."""
    (units,) = connection.execute(f"SELECT {_typical('?', '?')}", (account, scene)).fetchone()
    return None if units is None else units_of(units)


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
