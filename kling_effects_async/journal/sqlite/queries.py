"""What is read from the journal's tables; each function is one operation of the writer.

An operation gets the connection and runs on the journal's thread, after all that was written
before it was queued.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping

from attrs import frozen

from kling_effects_async.journal.job import Job, JobState, Transition
from kling_effects_async.journal.sqlite.job_row import (
    MEMBERS,
    job_of,
    state_of,
    transition_of,
)

__all__ = [
    "THIS",
    "JobFilter",
    "counts",
    "elsewhere",
    "find",
    "found_at",
    "get",
    "history",
    "is_clip_named",
    "known_task",
    "last_number",
    "memo",
    "numbers",
    "page",
]

# Which job; in the order of the index that makes the pair unique.
THIS = "external_task_id = ? AND account = ?"


def get(connection: sqlite3.Connection, account: str, external_task_id: str) -> Job | None:
    """The job as it stands."""
    row = connection.execute(
        f"SELECT {MEMBERS} FROM jobs WHERE {THIS}", (external_task_id, account)
    ).fetchone()
    return None if row is None else job_of(row)


def find(connection: sqlite3.Connection, name: str) -> list[Job]:
    """The jobs with this task id or external id, of any account, oldest first."""
    rows = connection.execute(
        f"SELECT {MEMBERS} FROM jobs WHERE external_task_id = ? OR task_id = ? ORDER BY id",
        (name, name),
    )
    return [job_of(row) for row in rows]


@frozen(kw_only=True)
class JobFilter:
    """Which jobs to go through; ``None`` is all of them."""

    account: str | None = None
    states: Collection[JobState] | None = None
    run: str | None = None


def page(
    connection: sqlite3.Connection, chosen: JobFilter, *, after: int, size: int
) -> tuple[int, list[Job]]:
    """The next ``size`` jobs after row ``after``, and the row to go on after."""
    words = [state.value for state in chosen.states or ()]
    is_in = f"AND state IN ({', '.join('?' * len(words))}) "
    rows = connection.execute(
        f"SELECT id, {MEMBERS} FROM jobs WHERE id > ? AND account = coalesce(?, account) "
        f"AND (? IS NULL OR run = ?) {'' if chosen.states is None else is_in}"
        "ORDER BY id LIMIT ?",
        (after, chosen.account, chosen.run, chosen.run, *words, size),
    ).fetchall()
    return (rows[-1][0] if rows else after), [job_of(row[1:]) for row in rows]


def last_number(connection: sqlite3.Connection) -> int:
    """The number of the job that was added last; 0 if there is none."""
    (number,) = connection.execute("SELECT coalesce(max(id), 0) FROM jobs").fetchone()
    return int(number)


def numbers(
    connection: sqlite3.Connection,
    account: str,
    states: Collection[JobState],
    *,
    after: int,
    until: int,
) -> list[tuple[JobState, str, list[int]]]:
    """The numbers of an account's jobs in these states, by state and share.

    Args:
        after, until: only of numbers above the first, and not above the second.

    Returns:
        A state, a share and numbers in their order; what has the lowest number comes first.
    """
    words = [state.value for state in states]
    # In one text each, because a row for each job would take several times as long.
    rows = connection.execute(
        "SELECT state, share, group_concat(id) FROM jobs "
        "WHERE id > ? AND id <= ? AND account = ? "
        f"AND state IN ({', '.join('?' * len(words))}) GROUP BY state, share ORDER BY min(id)",
        (after, until, account, *words),
    )
    return [
        (state_of(word), share or "", sorted(map(int, ids.split(",")))) for word, share, ids in rows
    ]


def found_at(connection: sqlite3.Connection, number: int) -> Job | None:
    """The job of this number."""
    row = connection.execute(f"SELECT {MEMBERS} FROM jobs WHERE id = ?", (number,)).fetchone()
    return None if row is None else job_of(row)


def known_task(connection: sqlite3.Connection, account: str) -> Job | None:
    """The account's youngest job that has a task."""
    row = connection.execute(
        f"SELECT {MEMBERS} FROM jobs WHERE account = ? AND task_id IS NOT NULL "
        "ORDER BY id DESC LIMIT 1",
        (account,),
    ).fetchone()
    return None if row is None else job_of(row)


def history(
    connection: sqlite3.Connection, account: str, external_task_id: str
) -> tuple[Transition, ...]:
    """Every step of a job's life, oldest first; empty if there is no such job."""
    rows = connection.execute(
        "SELECT t.state, t.at_us, t.note FROM transitions AS t JOIN jobs ON jobs.id = t.job "
        f"WHERE {THIS} ORDER BY t.step",
        (external_task_id, account),
    )
    return tuple(map(transition_of, rows))


def counts(connection: sqlite3.Connection, account: str | None) -> Mapping[JobState, int]:
    """How many jobs stand where; every state has its number."""
    rows = connection.execute(
        "SELECT state, count(*) FROM jobs WHERE account = coalesce(?, account) GROUP BY state",
        (account,),
    )
    return dict.fromkeys(JobState, 0) | {state_of(word): number for word, number in rows}


def elsewhere(connection: sqlite3.Connection, account: str, states: Collection[JobState]) -> int:
    """How many jobs in these states belong to other accounts."""
    words = [state.value for state in states]
    (number,) = connection.execute(
        "SELECT count(*) FROM jobs WHERE account <> ? "
        f"AND state IN ({', '.join('?' * len(words))})",
        (account, *words),
    ).fetchone()
    return int(number)


def is_clip_named(connection: sqlite3.Connection, folder: str, key: str) -> bool:
    """Whether a job, of any account, has a clip in the folder whose name has this ``clip_key``."""
    row = connection.execute(
        "SELECT 1 FROM jobs WHERE clip_key = ? AND download_to = ? LIMIT 1", (key, folder)
    ).fetchone()
    return row is not None


def memo(connection: sqlite3.Connection, kind: str, key: str) -> str | None:
    """A remembered fact."""
    row = connection.execute(
        "SELECT text FROM memos WHERE kind = ? AND key = ?", (kind, key)
    ).fetchone()
    return None if row is None else str(row[0])
