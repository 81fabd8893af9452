"""What is shown of a task at the service; pure. No address of a clip is: it is signed."""

from __future__ import annotations

from datetime import UTC, datetime

from kling_effects_async import TaskSnapshot
from kling_effects_async.protocol.redaction import redacted

__all__ = ["COLUMNS", "NUMBERS", "change_of", "row_of", "task_as_json"]

COLUMNS = ("task id", "status", "external id", "units", "created (UTC)", "message")
NUMBERS = ("units",)


def row_of(task: TaskSnapshot) -> tuple[str, ...]:
    """A task's cells under ``COLUMNS``."""
    return (
        task.task_id,
        str(task.status),
        task.external_task_id or "-",
        _units(task) or "-",
        "-" if task.created_at is None else _moment(task.created_at),
        redacted(task.message),
    )


def change_of(task: TaskSnapshot) -> str:
    """A task that has changed, in one line."""
    units = f", {_units(task)} units" if task.units is not None else ""
    why = f": {redacted(task.message)}" if task.message else ""
    return f"{task.task_id} {task.status}{units}{why}"


def task_as_json(task: TaskSnapshot) -> dict[str, object]:
    """A task as ``--json`` prints it."""
    return {
        "task_id": task.task_id,
        "external_task_id": task.external_task_id,
        "status": str(task.status),
        "raw_status": task.raw_status,
        "is_final": task.is_final,
        "message": redacted(task.message),
        "units": _units(task),
        "created_at": task.created_at and task.created_at.isoformat(),
        "updated_at": task.updated_at and task.updated_at.isoformat(),
        "videos": [{"id": video.id, "duration_s": video.duration_s} for video in task.videos],
    }


def _units(task: TaskSnapshot) -> str | None:
    # "f", because a Decimal of a hundred may print itself as 1E+2.
    return None if task.units is None else f"{task.units:f}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
