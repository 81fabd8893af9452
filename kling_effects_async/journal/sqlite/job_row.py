"""A job as a row of the journal's table, and back.

What a damaged row holds is one error, ``RowDamagedError``, wherever it is read.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kling_effects_async.clip_names import clip_key
from kling_effects_async.journal.job import Job, JobState, Transition
from kling_effects_async.journal.sqlite.failures import RowDamagedError, damage
from kling_effects_async.journal.sqlite.times import moment_of, us_of

__all__ = ["MEMBERS", "Row", "job_of", "row_of", "state_of", "transition_of", "units_of"]

# An unknown word, no number, a time that no calendar has.
_UNREADABLE = (KeyError, ValueError, TypeError, ArithmeticError)

# The columns of ``MEMBERS``, in its order.
Row = tuple[Any, ...]

_STATES = {state.value: state for state in JobState}
MEMBERS = (
    "account, external_task_id, scene, fingerprint, effect, run, download_to, callback_url, "
    "state, task_id, message, units, result, path, created_us, updated_us, service, was_sent, "
    "expected_units, earlier_units, share, clip_name"
)


def row_of(job: Job) -> dict[str, str | int | None]:
    """What to write for a job, by column; ``None`` where there is nothing."""
    return {
        "account": job.account,
        "external_task_id": job.external_task_id,
        "scene": job.scene,
        "fingerprint": job.fingerprint,
        "effect": job.effect,
        "run": job.run,
        "download_to": job.download_to,
        "callback_url": job.callback_url,
        "state": job.state.value,
        "task_id": job.task_id,
        "message": job.message,
        "units": _text(job.units),
        "expected_units": _text(job.expected_units),
        "earlier_units": _text(job.earlier_units),
        "result": job.result,
        "path": job.path,
        "created_us": us_of(job.created_at),
        "updated_us": us_of(job.updated_at),
        "service": job.service,
        "was_sent": 1 if job.was_sent else None,
        "share": job.share or None,
        "clip_name": job.clip_name,
        "clip_key": None if job.clip_name is None else clip_key(job.clip_name),
    }


def job_of(row: Row) -> Job:
    """The job that a row holds.

    Raises:
        RowDamagedError: it holds none.
    """
    try:
        return _job_of(row)
    except _UNREADABLE as error:
        raise _damage(f"the row of job {row[1]!r}") from error


def state_of(word: str) -> JobState:
    """The state of this name.

    Raises:
        RowDamagedError: there is none.
    """
    try:
        return _STATES[word]
    except KeyError as error:
        raise _damage(f"the state {word!r}") from error


def units_of(text: str) -> Decimal:
    """Units as they were written.

    Raises:
        RowDamagedError: they are no number.
    """
    try:
        return Decimal(text)
    except ArithmeticError as error:
        raise _damage(f"the units {text!r}") from error


def transition_of(row: Row) -> Transition:
    """One step of a history: state, time and note.

    Raises:
        RowDamagedError: it is none.
    """
    word, at_us, note = row
    try:
        return Transition(_STATES[word], moment_of(at_us), note)
    except _UNREADABLE as error:
        raise _damage(f"a step to {word!r}") from error


def _damage(what: str) -> Exception:
    return damage(f"{what} cannot be read", RowDamagedError)


def _job_of(row: Row) -> Job:
    return Job(
        account=row[0],
        external_task_id=row[1],
        scene=row[2],
        fingerprint=row[3],
        effect=row[4],
        run=row[5],
        download_to=row[6],
        callback_url=row[7],
        state=_STATES[row[8]],
        task_id=row[9],
        message=row[10],
        units=_units(row[11]),
        result=row[12],
        path=row[13],
        created_at=moment_of(row[14]),
        updated_at=moment_of(row[15]),
        service=row[16],
        was_sent=bool(row[17]),
        expected_units=_units(row[18]),
        earlier_units=_units(row[19]),
        share=row[20] or "",
        clip_name=row[21],
    )


def _text(units: Decimal | None) -> str | None:
    return None if units is None else str(units)


def _units(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
