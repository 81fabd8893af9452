"""A bulk run as JSON: one object a line, for whatever reads stdout; pure."""

from __future__ import annotations

from typing import Any

from kling_effects_async import (
    Done,
    Estimate,
    Event,
    JobAccepted,
    JobCancelled,
    JobQueued,
    JobRejected,
    JobSubmitted,
    JobUncertain,
    Outcome,
    SlotsChanged,
    TaskChanged,
    TaskEnded,
)
from kling_effects_async.cli.bulk.plan import Plan
from kling_effects_async.cli.bulk.row import Row
from kling_effects_async.cli.bulk.run_state import RunState
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.cli.jobs.resume_summary import outcome_as_json

__all__ = ["estimate_as_json", "event_as_json", "row_outcome_as_json", "summary_as_json"]

_NAMES: dict[type[Event], str] = {
    JobQueued: "queued",
    JobSubmitted: "submitted",
    JobAccepted: "accepted",
    TaskChanged: "changed",
    TaskEnded: "ended",
    JobRejected: "rejected",
    JobCancelled: "cancelled",
    JobUncertain: "uncertain",
    SlotsChanged: "slots",
}


def event_as_json(event: Event) -> dict[str, Any]:
    """What happened to a job, a task or the slots."""
    head: dict[str, Any] = {"event": _NAMES[type(event)], "at": event.at.isoformat()}
    if isinstance(event, SlotsChanged):
        return head | {"size": event.size, "running": event.running, "reason": event.reason}
    head |= {"external_task_id": event.external_task_id, "task_id": event.task_id}
    head["scene"] = event.scene
    match event:
        case TaskEnded():
            units = None if event.units is None else f"{event.units:f}"
            return head | {
                "status": str(event.snapshot.status),
                "message": event.snapshot.message,
                "units": units,
                "duration_s": event.duration_s,
            }
        case TaskChanged():
            return head | {"status": str(event.snapshot.status)}
        case JobRejected():
            return head | {"error": type(event.error).__name__, "message": str(event.error)}
        case JobUncertain() | JobQueued():
            return head | {"reason": event.reason}
        case JobSubmitted():
            return head | {"attempt": event.attempt}
    return head


def row_outcome_as_json(outcome: Outcome, row: Row) -> dict[str, Any]:
    """What became of a row: as of ``jobs resume``, and where the row is."""
    what = outcome_as_json(outcome)
    name = "done" if isinstance(outcome, Done) else "failed"
    return {"event": name, "where": row.where, "scene": row.effect.scene, **what}


def estimate_as_json(estimate: Estimate, plan: Plan) -> dict[str, Any]:
    """What a run would cost and take."""
    return {
        "event": "estimate",
        "rows": dict(plan.whats),
        "units": [f"{units:f}" for units in estimate.units],
        "seconds": None if estimate.seconds is None else list(estimate.seconds),
        "slots": estimate.slots,
        "scenes": [
            {
                "scene": part.scene,
                "tasks": part.tasks,
                "units": [f"{units:f}" for units in part.units],
                "units_source": part.units_source,
            }
            for part in estimate.scenes
        ],
    }


def summary_as_json(state: RunState, code: ExitCode) -> dict[str, Any]:
    """What a run came to."""
    return {
        "event": "summary",
        "total": state.total,
        "done": state.done,
        "done_before": state.before,
        "skipped": state.skipped,
        "failed": dict(state.failed),
        "uncertain": state.uncertain,
        "not_sent": state.left,
        "units": f"{state.units:f}",
        "exit_code": int(code),
    }
