"""What became of each row, kept in a temporary file until the run is reported.

SQLite keeps it, so that memory does not grow with the rows. All calls block, and may come from any
thread, one at a time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from decimal import Decimal

from attrs import frozen

from kling_effects_async import (
    ClipNameTakenError,
    Done,
    DownloadError,
    JobState,
    Outcome,
    SubmissionUncertainError,
    TaskTimeoutError,
    Transition,
)
from kling_effects_async.cli.bulk.row import Row
from kling_effects_async.cli.bulk.row_maker import image_label_of
from kling_effects_async.cli.bulk.summary import holds_back

__all__ = ["RecordedRow", "RunRecord", "Times", "opened_record", "recorded_row", "times_of"]

_TABLE = """
    CREATE TABLE rows (
        number INTEGER PRIMARY KEY, name TEXT, where_ TEXT, images TEXT, state TEXT, reason TEXT,
        advice TEXT, clip TEXT,
        external_task_id TEXT, task_id TEXT, units TEXT, submitted REAL, accepted REAL, ended REAL
    )
"""


@frozen
class Times:
    """When a job was submitted and accepted, and when its task ended, in seconds of POSIX time."""

    submitted_s: float | None = None
    accepted_s: float | None = None
    ended_s: float | None = None


@frozen(kw_only=True)
class RecordedRow:
    """One row and what became of it.

    Attributes:
        name: what people know it by.
        images: local files and addresses, as texts.
        state: the value of an ``ItemState``.
        clip: where its clip is.
    """

    number: int
    name: str
    where: str
    images: tuple[str, ...]
    state: str
    reason: str = ""
    advice: str = ""
    clip: str | None = None
    external_task_id: str = ""
    task_id: str | None = None
    units: Decimal | None = None
    times: Times = Times()


class RunRecord:
    """The rows so far."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, row: RecordedRow) -> None:
        """Add a row, or replace what was said of it."""
        times = row.times
        self._database.execute(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.number,
                row.name,
                row.where,
                json.dumps(row.images),
                row.state,
                row.reason,
                row.advice,
                row.clip,
                row.external_task_id,
                row.task_id,
                None if row.units is None else str(row.units),
                times.submitted_s,
                times.accepted_s,
                times.ended_s,
            ),
        )

    def __len__(self) -> int:
        (number,) = self._database.execute("SELECT count(*) FROM rows").fetchone()
        return int(number)

    def first_s(self) -> float | None:
        """When the first of the jobs was submitted, in POSIX time."""
        (first,) = self._database.execute("SELECT min(submitted) FROM rows").fetchone()
        return None if first is None else float(first)

    def __iter__(self) -> Iterator[RecordedRow]:
        """The rows in the order of the run."""
        for found in self._database.execute("SELECT * FROM rows ORDER BY number"):
            number, name, where, images, state, reason, advice, clip, own_id, *rest = found
            task_id, units, *times = rest
            yield RecordedRow(
                number=number,
                name=name,
                where=where,
                images=tuple(json.loads(images)),
                state=state,
                reason=reason,
                advice=advice,
                clip=clip,
                external_task_id=own_id,
                task_id=task_id,
                units=None if units is None else Decimal(units),
                times=Times(*times),
            )


@contextmanager
def opened_record() -> Iterator[RunRecord]:
    """An empty record."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    with closing(connection) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(_TABLE)
        yield RunRecord(database)


def times_of(history: Iterable[Transition]) -> Times:
    """The times of a job, from the steps of its life in the journal."""
    at: dict[JobState, datetime] = {}
    for step in history:
        at[step.state] = step.at  # of several submits the last
    ended = at.get(JobState.SUCCEEDED) or at.get(JobState.FAILED)
    moments = (at.get(JobState.SUBMITTING), at.get(JobState.ACCEPTED), ended)
    return Times(*(None if moment is None else moment.timestamp() for moment in moments))


def recorded_row(outcome: Outcome, row: Row, reason: str, times: Times) -> RecordedRow:
    """What is to be kept of a row."""
    done = outcome if isinstance(outcome, Done) else None
    return RecordedRow(
        number=row.number,
        name=_name(row),
        where=row.where,
        images=tuple(str(each) for each in row.sources if not isinstance(each, bytes)),
        state=_state(outcome, times),
        reason=reason,
        clip=None if done is None or done.path is None else str(done.path),
        external_task_id=outcome.external_task_id,
        task_id=None if done is None else done.result.task_id,
        units=None if done is None else done.result.units,
        times=times,
    )


def _name(row: Row) -> str:
    texts = (image_label_of(text) for text in row.image_texts)
    return row.name or " + ".join(text.rstrip("/").rpartition("/")[2] or text for text in texts)


def _state(outcome: Outcome, times: Times) -> str:
    """The word for it on the page; see ``ItemState``."""
    if isinstance(outcome, Done):
        return "saved"
    match outcome.error:
        case ClipNameTakenError():
            return "there already"
        case error if holds_back(error):
            return "not sent"
        case SubmissionUncertainError():
            return "uncertain"
        case TaskTimeoutError():
            return "running"
        case DownloadError():
            return "not saved"
    return "rejected" if times.accepted_s is None else "failed"
