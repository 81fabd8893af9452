"""What is written to the journal's tables; each function is one operation of the writer.

An operation gets the connection and runs on the journal's thread, inside a transaction that the
writer commits. It writes with one statement at most, which SQLite itself does or undoes as a whole;
so an operation that fails leaves nothing, and the others of its transaction need no savepoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from functools import cache

from attrs import evolve

from kling_effects_async.clip_names import clip_key
from kling_effects_async.errors import (
    AccountChangedError,
    IdempotencyConflictError,
    JournalError,
)
from kling_effects_async.journal.budget import FREE
from kling_effects_async.journal.clip_numbers import ClipNumbers
from kling_effects_async.journal.job import FOLLOWERS, Job, JobState, JobUpdate, check_update
from kling_effects_async.journal.sqlite.costs import EXPECTED, check_submit, earlier_cost
from kling_effects_async.journal.sqlite.job_row import row_of
from kling_effects_async.journal.sqlite.queries import THIS, get, is_clip_named
from kling_effects_async.journal.sqlite.times import us_of

__all__ = ["add", "add_named", "adopt", "move", "set_memo"]

_ELSEWHERE = "external_task_id = ? AND account <> ? AND service = ?"  # no service equals NULL

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
        step.append(f"expected_units = {EXPECTED}")
    # A task id is never replaced: there would be a second paid task, and no id to query the
    # first by. Its value comes last among the parameters once more.
    same_task = " AND (task_id IS NULL OR task_id = ?)" if "task_id" in names else ""
    return (
        f"UPDATE jobs SET {', '.join(step + news)} WHERE {THIS} "
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


def add_named(connection: sqlite3.Connection, job: Job, wished: str, numbers: ClipNumbers) -> Job:
    """The same, with a name for its clip in its folder; one that it has stays.

    Raises:
        IdempotencyConflictError, AccountChangedError: as ``add``.
    """
    folder = job.download_to or ""
    held = get(connection, job.account, job.external_task_id)
    if held is not None and _same(held, job).clip_name is not None and held.download_to == folder:
        return held
    wished = wished if held is None else held.clip_name or wished
    name = numbers.free_name(folder, wished, lambda key: is_clip_named(connection, folder, key))
    if held is None:
        return add(connection, evolve(job, clip_name=name))
    connection.execute(
        f"UPDATE jobs SET download_to = ?, clip_name = ?, clip_key = ? WHERE {THIS}",
        (folder, name, clip_key(name), job.external_task_id, job.account),
    )
    return evolve(held, download_to=folder, clip_name=name)


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
        check_submit(connection, account, external_task_id, update.budget_units)
    row = _row_of(update, now)
    # Without a proof the earlier submit may be charged beside the next one.
    if update.to is JobState.PLANNED and not update.is_absent:
        row |= earlier_cost(connection, account, external_task_id)
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


def set_memo(connection: sqlite3.Connection, kind: str, key: str, text: str) -> None:
    """Remember a fact in place of what was remembered under its name."""
    connection.execute(
        "INSERT OR REPLACE INTO memos (kind, key, text) VALUES (?, ?, ?)", (kind, key, text)
    )
