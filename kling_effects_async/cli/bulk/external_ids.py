"""Which external ids were met before, for any number of them: in a temporary file, not in memory.

SQLite keeps it: a database without a name is a temporary file of its own, deleted when it is
closed, of which only a cache of a few MB is in memory. Source: sqlite.org, "Temporary Databases".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from kling_effects_async.cli.failures import ExitCode, Failure

__all__ = ["MetIds", "met_ids"]

# A million ids need 45 MB. With SQLite's own 2 MB of cache they take twice the time.
_CACHE_KIB = 16_384


class MetIds:
    """The ids of the rows so far, each with the place of its first row."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def first_place(self, external_task_id: str, where: str) -> str | None:
        """Where this id was met before; ``None``: it was not, and is noted with ``where``."""
        try:
            return self._first_place(external_task_id, where)
        except sqlite3.Error as error:
            why = f"there is no room for the ids of the rows in the temporary folder ({error})"
            advice = "Set SQLITE_TMPDIR to a folder with room."
            raise Failure(ExitCode.REJECTED_HERE, [why, advice]) from error

    def _first_place(self, external_task_id: str, where: str) -> str | None:
        noted = self._database.execute(
            "INSERT INTO met VALUES (?, ?) ON CONFLICT DO NOTHING", (external_task_id, where)
        )
        if noted.rowcount:
            return None
        found = self._database.execute("SELECT place FROM met WHERE id = ?", (external_task_id,))
        place: str = found.fetchone()[0]
        return place


@contextmanager
def met_ids() -> Iterator[MetIds]:
    """An empty set of ids."""
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        database.execute("CREATE TABLE met (id TEXT PRIMARY KEY, place TEXT) WITHOUT ROWID")
        database.execute("BEGIN")
        yield MetIds(database)
