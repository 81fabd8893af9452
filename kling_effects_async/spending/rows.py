"""A job as a row of the journal's table, and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kling_effects_async.spending.job import Job, JobState
from kling_effects_async.spending.schema import moment_of, us_of

__all__ = ["MEMBERS", "STATES", "Row", "job_of", "row_of"]

# The columns of ``MEMBERS``, in its order.
Row = tuple[Any, ...]

STATES = {state.value: state for state in JobState}
MEMBERS = (
    "account, external_task_id, scene, fingerprint, effect, run, download_to, callback_url, "
    "state, task_id, message, units, result, path, created_us, updated_us, service, was_sent, "
    "expected_units, earlier_units"
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
    }


def job_of(row: Row) -> Job:
    """The job that a row holds."""
    return Job(
        account=row[0],
        external_task_id=row[1],
        scene=row[2],
        fingerprint=row[3],
        effect=row[4],
        run=row[5],
        download_to=row[6],
        callback_url=row[7],
        state=STATES[row[8]],
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
    )


def _text(units: Decimal | None) -> str | None:
    return None if units is None else str(units)


def _units(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
