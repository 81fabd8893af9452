"""What is written to and read from the journal's tables; each function is one operation.

An operation gets the connection and runs on the journal's thread, inside a transaction that the
writer commits. It writes with one statement at most, which SQLite itself does or undoes as a whole;
so an operation that fails leaves nothing, and the others of its transaction need no savepoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache

from attrs import frozen

from kling_effects_async.errors import (
    AccountChangedError,
    IdempotencyConflictError,
    JournalError,
)
from kling_effects_async.journal.budget import (
    FREE,
    TYPICAL_OF,
    Committed,
    check_budget,
    expected_cost,
)
from kling_effects_async.journal.job import (
    FOLLOWERS,
    Job,
    JobState,
    JobUpdate,
    Transition,
    check_update,
)
from kling_effects_async.journal.sqlite.job_row import (
    MEMBERS,
    job_of,
    row_of,
    state_of,
    transition_of,
    units_of,
)
from kling_effects_async.journal.sqlite.schema import us_of

__all__ = [
    "JobFilter",
    "add",
    "adopt",
    "committed",
    "counts",
    "elsewhere",
    "find",
    "get",
    "history",
    "known_task",
    "memo",
    "move",
    "page",
    "set_memo",
    "typical_units",
]

_THIS = "external_task_id = ? AND account = ?"
_ELSEWHERE = "external_task_id = ? AND account <> ? AND service = ?"  # no service equals NULL


def _typical(account: str, scene: str) -> str:
    """The highest cost of the scene's last successes, as SQL."""
    return (
        "(SELECT units FROM (SELECT recent.units FROM jobs AS recent "
        f"WHERE recent.account = {account} AND recent.scene = {scene} "
        "AND recent.units IS NOT NULL AND recent.state IN ('succeeded', 'downloaded') "
        f"ORDER BY recent.id DESC LIMIT {TYPICAL_OF}) ORDER BY CAST(units AS REAL) DESC LIMIT 1)"
    )


# What one more task of a row's scene is likely to cost.
_EXPECTED = f"coalesce({_typical('jobs.account', 'jobs.scene')}, '{expected_cost(None)}')"

# The statements leave out what is None, and have no RETURNING: each None costs Python's sqlite3 a
# search for an adapter, and RETURNING a temporary table. A trigger writes the history.


@cache
def _insert(names: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(names))
    return (
        f"INSERT INTO jobs (steps, note, {', '.join(names)}) SELECT 1, '', {marks} "
        f"WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE {_ELSEWHERE}) ON CONFLICT DO NOTHING"
    )


@cache
def _update(names: tuple[str, ...], to: JobState, *, is_step: bool) -> str:
    """The table of ``job`` is part of the statement; the job is read only where nothing changed."""
    before = [held for held in JobState if to in FOLLOWERS[held]] if is_step else [to]
    news = [f"{name} = ?" for name in names]
    step = [f"state = '{to}'", "steps = steps + 1"] if is_step else []
    if is_step and to in FREE:
        step.append("expected_units = NULL")
    if is_step and to is JobState.SUBMITTING:
        step.append(f"expected_units = {_EXPECTED}")
    # A task id is never replaced: there would be a second paid task, and no id to query the
    # first by. Its value comes last among the parameters once more.
    same_task = " AND (task_id IS NULL OR task_id = ?)" if "task_id" in names else ""
    return (
        f"UPDATE jobs SET {', '.join(step + news)} WHERE {_THIS} "
        f"AND state IN ({', '.join(repr(held.value) for held in before)}){same_task}"
    )


def add(connection: sqlite3.Connection, job: Job) -> Job:
    """Insert the job as it is; the stored one if the same job is there already.

    Raises:
        IdempotencyConflictError: another job has the external id.
        AccountChangedError: another account of the same service has it.
    """
    row = {name: value for name, value in row_of(job).items() if value is not None}
    elsewhere = (job.external_task_id, job.account, job.service)
    if connection.execute(_insert(tuple(row)), (*row.values(), *elsewhere)).rowcount == 1:
        return job
    held = get(connection, job.account, job.external_task_id)
    if held is None:
        raise _of_another_account(connection, job, elsewhere)
    return _same(held, job)


def _of_another_account(
    connection: sqlite3.Connection, job: Job, elsewhere: tuple[str, str, str | None]
) -> AccountChangedError:
    (other,) = connection.execute(
        f"SELECT account FROM jobs WHERE {_ELSEWHERE} ORDER BY id DESC LIMIT 1", elsewhere
    ).fetchone()
    return AccountChangedError(
        external_task_id=job.external_task_id, account=job.account, other_account=other
    )


def adopt(connection: sqlite3.Connection, from_account: str, to_account: str) -> int:
    """Make the jobs of one account those of another; how many they are.

    Raises:
        JournalError: both accounts have a job under the same external id; nothing was changed.
    """
    try:
        return connection.execute(
            "UPDATE jobs SET account = ? WHERE account = ?", (to_account, from_account)
        ).rowcount
    except sqlite3.IntegrityError:
        raise JournalError(
            f"{from_account} and {to_account} have jobs under the same external ids: they are two "
            "accounts, and nothing was changed"
        ) from None


def _same(held: Job, added: Job) -> Job:
    differs = []
    if held.scene != added.scene:
        differs.append("scene")
    if held.fingerprint != added.fingerprint:
        differs.append("content")
    if differs:
        raise IdempotencyConflictError(external_task_id=held.external_task_id, differs=differs)
    return held


def move(
    connection: sqlite3.Connection,
    account: str,
    external_task_id: str,
    update: JobUpdate,
    now: datetime,
) -> None:
    """Take a job to another state, with a step of its history.

    It is not read back: that would cost more than the write itself.

    A move to the state it is in writes what is new and no step, except where the table has it.

    Raises:
        JournalError: the table does not allow it, there is no such job, or it has another task.
        BudgetExceededError: its submit could pass the limit.
    """
    if update.to is JobState.SUBMITTING and update.budget_units is not None:
        _check_submit(connection, account, external_task_id, update.budget_units)
    row = _row_of(update, now)
    if update.to is JobState.PLANNED and not update.is_absent:
        row |= _earlier_cost(connection, account, external_task_id)
    step = {**row, "note": update.note}
    is_moved = _write(
        connection, account, external_task_id, update.to, step, is_step=True
    ) or _write(connection, account, external_task_id, update.to, row, is_step=False)
    if not is_moved:
        held = _held(connection, account, external_task_id)
        check_update(held, update)
        raise JournalError(f"job {external_task_id!r} cannot become {update.to}: nothing changed")


def _row_of(update: JobUpdate, now: datetime) -> dict[str, object]:
    news = {
        "task_id": update.task_id,
        "message": update.message,
        "units": None if update.units is None else str(update.units),
        "result": update.result,
        "path": update.path,
        "was_sent": 1 if update.was_sent else None,
    }
    given = {name: value for name, value in news.items() if value is not None}
    return {**given, "updated_us": us_of(now)}


def _check_submit(
    connection: sqlite3.Connection, account: str, external_task_id: str, limit: Decimal
) -> None:
    row = connection.execute(
        f"SELECT scene, {_EXPECTED} FROM jobs WHERE {_THIS} AND state = 'planned'",
        (external_task_id, account),
    ).fetchone()
    if row is not None:  # otherwise the move says what is wrong
        check_budget(row[0], committed(connection, account), units_of(row[1]), limit)


def _earlier_cost(
    connection: sqlite3.Connection, account: str, external_task_id: str
) -> dict[str, str]:
    """What an uncertain submit may cost: it is kept, as another one may follow."""
    row = connection.execute(
        f"SELECT expected_units, earlier_units FROM jobs WHERE {_THIS} AND state = 'uncertain'",
        (external_task_id, account),
    ).fetchone()
    if row is None or row[0] is None:
        return {}
    units = sum((units_of(text) for text in row if text is not None), Decimal(0))
    return {"earlier_units": str(units)}


def _write(
    connection: sqlite3.Connection,
    account: str,
    external_task_id: str,
    to: JobState,
    row: Mapping[str, object],
    *,
    is_step: bool,
) -> bool:
    same_task = (row["task_id"],) if "task_id" in row else ()
    values = (*row.values(), external_task_id, account, *same_task)
    return connection.execute(_update(tuple(row), to, is_step=is_step), values).rowcount == 1


def _held(connection: sqlite3.Connection, account: str, external_task_id: str) -> Job:
    job = get(connection, account, external_task_id)
    if job is None:
        raise JournalError(f"the journal has no job {external_task_id!r} of this account: add it")
    return job


def get(connection: sqlite3.Connection, account: str, external_task_id: str) -> Job | None:
    """The job as it stands."""
    row = connection.execute(
        f"SELECT {MEMBERS} FROM jobs WHERE {_THIS}", (external_task_id, account)
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
        f"WHERE {_THIS} ORDER BY t.step",
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


def memo(connection: sqlite3.Connection, kind: str, key: str) -> str | None:
    """A remembered fact."""
    row = connection.execute(
        "SELECT text FROM memos WHERE kind = ? AND key = ?", (kind, key)
    ).fetchone()
    return None if row is None else str(row[0])


def set_memo(connection: sqlite3.Connection, kind: str, key: str, text: str) -> None:
    """Remember a fact in place of what was remembered under its name."""
    connection.execute(
        "INSERT OR REPLACE INTO memos (kind, key, text) VALUES (?, ?, ?)", (kind, key, text)
    )
