"""Transitions of a journal by sqlite3 alone: one thread, 100 to a commit, each commit durable."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.meter import Meter
from tests.bench.orders import Figures, Order

__all__ = ["measure"]

_JOBS_EACH = 100
_WAY = (("planned", "submitting"), ("submitting", "accepted"), ("accepted", "succeeded"))
_PER_COMMIT = 100
_TABLES = """
    CREATE TABLE job (account TEXT, name TEXT, state TEXT, effect TEXT, task_id TEXT,
        updated_at REAL, PRIMARY KEY (account, name)) STRICT, WITHOUT ROWID;
    CREATE TABLE step (name TEXT, state TEXT, at REAL) STRICT;
"""


async def measure(order: Order, _url: str) -> list[Figures]:
    """``per_s``: how many transitions a second."""
    moves = [
        (f"job-{number}", before, after)
        for number in range(order.count * _JOBS_EACH)
        for before, after in _WAY
    ]
    with TemporaryDirectory(prefix="kling-bench-") as folder, closing(_opened(folder)) as database:
        rows = [("account", f"job-{n}", "x" * 200) for n in range(order.count * _JOBS_EACH)]
        database.executemany("INSERT INTO job VALUES (?, ?, 'planned', ?, '', 0.0)", rows)
        with Meter(is_profiled=order.is_profiled) as meter:
            for first in range(0, len(moves), _PER_COMMIT):
                _move(database, moves[first : first + _PER_COMMIT])
    return [meter.figures | {"per_s": len(moves) / meter.figures["wall_s"]}]


def _opened(folder: str) -> sqlite3.Connection:
    database = sqlite3.connect(Path(folder, "jobs.db"), isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(_TABLES)
    return database


def _move(database: sqlite3.Connection, moves: list[tuple[str, str, str]]) -> None:
    database.execute("BEGIN IMMEDIATE")
    for name, before, after in moves:
        now = time.time()
        database.execute(
            "UPDATE job SET state = ?, updated_at = ? WHERE account = 'account' AND name = ? "
            "AND state = ?",
            (after, now, name, before),
        )
        database.execute("INSERT INTO step VALUES (?, ?, ?)", (name, after, now))
    database.execute("COMMIT")
