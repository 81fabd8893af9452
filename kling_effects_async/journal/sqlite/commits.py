"""Whether a journal has everything that was committed to it.

Each commit advances a number inside the database; afterwards the same number is written beside it,
see ``lock``. A database whose log was deleted, cut or damaged is whole for SQLite, which forgets
the last commits without a word. Then the number beside is higher, and the journal misses rows:

- jobs may have been written down that are not here any more, so every id is looked up before it is
  submitted, unless it was drawn at random a moment ago;
- a job that is here may have been sent after what is left of it was written.

The database keeps that for good: which of the missing jobs will still be submitted again is not
known.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from attrs import frozen

from kling_effects_async.journal.job import UNSENT
from kling_effects_async.journal.sqlite.lock import lock_path

__all__ = ["Commits", "advance", "begin", "loss", "read", "seen_by_reader"]


@frozen
class Commits:
    """What the database says of its commits.

    Attributes:
        number: how many there were.
        misses_rows: some were lost, now or earlier.
    """

    number: int
    misses_rows: bool


def loss(journal: Path, *, inside: int, beside: int | None) -> str | None:
    """What was lost, in words; ``None`` if nothing was. Pure.

    Args:
        beside: ``None`` where the side file has no number.
    """
    if beside is None:
        return f"{lock_path(journal)} does not hold the number of the last commit of {journal}"
    if beside > inside == 0:
        return f"{journal} begins anew, and an earlier journal of this name is gone"
    if beside > inside:
        return f"{journal} lost its last {beside - inside} of {beside} commits"
    return None


def begin(
    connection: sqlite3.Connection, journal: Path, beside: int | None
) -> tuple[Commits, str | None]:
    """Count the opening as a commit; what there is then, and what was lost before it, in words.

    What was lost is written down in the same transaction.
    """
    connection.execute("BEGIN IMMEDIATE")
    held = read(connection)
    lost = loss(journal, inside=held.number, beside=beside)
    if lost is not None:
        states = ", ".join(repr(state.value) for state in sorted(UNSENT, key=str))
        connection.execute(f"UPDATE jobs SET was_sent = 1 WHERE state IN ({states})")
        connection.execute("UPDATE commits SET misses_rows = 1")
    # Ahead of both, or the lost numbers would be given to other commits and the loss be hidden.
    number = max(held.number, beside or 0) + 1
    connection.execute("UPDATE commits SET number = ?", (number,))
    connection.execute("COMMIT")
    return Commits(number, held.misses_rows or lost is not None), lost


def advance(connection: sqlite3.Connection, number: int, token: str) -> bool:
    """Number the running transaction; ``False`` if the journal has another owner than ``token``."""
    changed = connection.execute(
        "UPDATE commits SET number = ? WHERE EXISTS (SELECT 1 FROM lease WHERE token = ?)",
        (number, token),
    )
    return changed.rowcount == 1


def read(connection: sqlite3.Connection) -> Commits:
    """What the database says now."""
    number, misses_rows = connection.execute("SELECT number, misses_rows FROM commits").fetchone()
    return Commits(number, bool(misses_rows))


def seen_by_reader(connection: sqlite3.Connection, beside: int | None) -> Commits:
    """What an open database says, and whether it misses rows; nothing is written down.

    Args:
        beside: read before the database was, or its owner's next commit would be taken for a loss.
    """
    held = read(connection)
    is_behind = beside is None or beside > held.number
    return Commits(held.number, held.misses_rows or is_behind)
