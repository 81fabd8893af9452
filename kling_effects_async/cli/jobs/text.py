"""What is shown of a job; pure. No address keeps what follows its ``?``, which may be a key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from kling_effects_async import Job, KlingEffectsError, Transition
from kling_effects_async.cli.console import one_line
from kling_effects_async.effects import image_label
from kling_effects_async.protocol.redaction import redacted
from kling_effects_async.submitting.planning import effect_of

__all__ = ["COLUMNS", "NUMBERS", "facts_of", "job_as_json", "row_of", "sheet_of"]

COLUMNS = ("external id", "scene", "state", "task id", "units", "changed")

NUMBERS = ("units",)

# The largest unit alone: whoever looks for a stuck job wants minutes told from days.
_AGES = ((86400, "d"), (3600, "h"), (60, "min"))


def row_of(job: Job, now: datetime) -> tuple[str, ...]:
    """A job's cells under ``COLUMNS``."""
    cells = (job.external_task_id, job.scene, str(job.state), job.task_id or "-")
    return (*cells, _units(job) or "-", f"{_age(job.updated_at, now)} ago")


def job_as_json(job: Job) -> dict[str, object]:
    """A job as ``--json`` prints it in a list."""
    return {
        "external_task_id": job.external_task_id,
        "scene": job.scene,
        "state": str(job.state),
        "task_id": job.task_id,
        "units": _units(job),
        "is_paid": job.is_paid,
        "message": job.message and redacted(job.message),
        "path": job.path,
        "run": job.run,
        "share": job.share or None,
        "account": job.account,
        "created_at": job.created_at.isoformat(),
        "updated_at": job.updated_at.isoformat(),
    }


def facts_of(job: Job, history: Iterable[Transition]) -> dict[str, object]:
    """A job as ``show --json`` prints it."""
    steps = [
        {"state": str(step.state), "at": step.at.isoformat(), "note": redacted(step.note)}
        for step in history
    ]
    return {**job_as_json(job), "images": _images(job), "history": steps}


def sheet_of(job: Job, history: Iterable[Transition]) -> list[str]:
    """A job as ``show`` prints it, line by line."""
    facts = {
        "external id": job.external_task_id,
        "scene": job.scene,
        "images": ", ".join(_images(job)),
        "state": str(job.state),
        "task id": job.task_id,
        "units": _units(job),
        "video": job.path,
        "message": redacted(job.message),
        "run": job.run,
        "account": job.account,
    }
    lines = [f"{name:<11}  {one_line(value)}" for name, value in facts.items() if value]
    steps = [
        f"{_moment(step.at)}  {step.state!s:<10}  {one_line(redacted(step.note))}".rstrip()
        for step in history
    ]
    return [*lines, *(f"{'' if number else 'history':<11}  {s}" for number, s in enumerate(steps))]


def _images(job: Job) -> list[str]:
    try:
        effect = effect_of(job)
    except KlingEffectsError:  # damaged, or another version's words
        return ["?"]
    if effect is None:
        return ["bytes, which the journal does not keep"]
    return [str(i) if not isinstance(i, str) else image_label(i) for i in effect.images]


def _units(job: Job) -> str | None:
    # "f", because a Decimal of a hundred may print itself as 1E+2.
    return None if job.units is None else f"{job.units:f}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _age(since: datetime, now: datetime) -> str:
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
