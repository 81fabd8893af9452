"""Replies about tasks in every reply shape, written out by hand.

Times inside Kling's own object are Unix milliseconds; those of the new-api envelope are Unix
seconds, 0 = not reached. Source: K1 effects page, 2026-09; the gateway's create page; new-api's
dto/task.go, 2025-04.
"""

from __future__ import annotations

from collections.abc import Sequence

from kling_effects_async.emulator.choices import ReplyShape
from kling_effects_async.emulator.emulated_clock import milliseconds
from kling_effects_async.emulator.emulated_reply import EmulatedReply, json_reply, kling_envelope
from kling_effects_async.emulator.tasks import TaskView

__all__ = ["list_reply", "query_reply", "submit_reply"]

_ENVELOPE_STATUS = {"submitted": "SUBMITTED", "processing": "IN_PROGRESS"} | {
    "succeed": "SUCCESS",
    "failed": "FAILURE",
}
# Source: new-api's own table of tasks, 2025-04. Steps, no measure: a failed task has 100% too.
_PROGRESS = {"submitted": "10%", "processing": "30%", "succeed": "100%", "failed": "100%"}


def submit_reply(view: TaskView, shape: ReplyShape, request_id: str) -> EmulatedReply:
    """The answer to an accepted submit.

    The wrapped shapes answer it wrapped too: a choice, since only the query is documented so.
    """
    return json_reply(200, _answer(_created(view), view, shape, request_id))


def query_reply(view: TaskView, shape: ReplyShape, request_id: str) -> EmulatedReply:
    """One task. A failed one is HTTP 200, code 0, SUCCEED: the reason is in the task alone."""
    return json_reply(200, _answer(_queried(view), view, shape, request_id))


def list_reply(views: Sequence[TaskView], shape: ReplyShape, request_id: str) -> EmulatedReply:
    """A page. Items are queried tasks without ``watermark_info`` (K1 effects page, 2026-09)."""
    items = [_shaped(_listed(view), view, shape, request_id) for view in views]
    return json_reply(200, _enveloped(items, shape, request_id))


def _answer(
    task: dict[str, object], view: TaskView, shape: ReplyShape, request_id: str
) -> dict[str, object]:
    return _enveloped(_shaped(task, view, shape, request_id), shape, request_id)


def _enveloped(content: object, shape: ReplyShape, request_id: str) -> dict[str, object]:
    if shape in (ReplyShape.WRAPPED, ReplyShape.WRAPPED_TWICE):
        return {"code": "success", "message": "", "data": content}
    envelope = kling_envelope(content, request_id)
    # The create page's schema requires a member with an empty name.
    return envelope | {"": ""} if shape is ReplyShape.UNION else envelope


def _shaped(
    task: dict[str, object], view: TaskView, shape: ReplyShape, request_id: str
) -> dict[str, object]:
    match shape:
        case ReplyShape.FLAT:
            return task
        case ReplyShape.UNION:
            full = _union_task(task, view)
            return _gateway_record(view, full, action="effects") | full
        case ReplyShape.WRAPPED:
            return _gateway_record(view, task)
        case ReplyShape.WRAPPED_TWICE:
            return _gateway_record(view, kling_envelope(task, request_id))


def _created(view: TaskView) -> dict[str, object]:
    request = view.task.request
    named = {"external_task_id": request.external_task_id} if request.external_task_id else {}
    return {
        "task_id": view.task_id,
        "task_status": view.word,
        "task_info": named,
        "created_at": milliseconds(view.task.life.accepted_s),
        "updated_at": milliseconds(view.changed_s),
    }


def _listed(view: TaskView) -> dict[str, object]:
    task = _created(view) | {"task_status_msg": view.message}
    if not view.is_final:
        return task
    return task | {
        "task_result": {"videos": _videos(view)} if view.status == "succeed" else {},
        "final_unit_deduction": view.task.units if view.status == "succeed" else "0",
        "final_balance_deduction": {"quota": "0", "list_price": "0"},
    }


def _queried(view: TaskView) -> dict[str, object]:
    return _listed(view) | {"watermark_info": {"enabled": False}}


def _videos(view: TaskView) -> list[dict[str, object]]:
    if not view.has_video:
        return []
    video: dict[str, object] = {
        "id": view.task.video_id,
        "url": view.task.video_url,
        "watermark_url": "",
        "duration": view.task.clip_seconds,
    }
    return [video]


def _union_task(task: dict[str, object], view: TaskView) -> dict[str, object]:
    """The task with both result lists, as the schema wants; ``videos`` is null until there is one.

    The schema types ``videos`` as always null, copied from a page about images; a service that
    obeyed it could not deliver.
    """
    result = {"images": [], "videos": _videos(view) or None}
    return task | {"task_status_msg": view.message, "task_result": result}


def _gateway_record(
    view: TaskView, content: object, action: str = "/kling/v1/videos/effects_POST"
) -> dict[str, object]:
    life = view.task.life
    has_started = view.status != "submitted"
    return {
        "task_id": view.task_id,
        "action": action,
        "status": _ENVELOPE_STATUS.get(view.word, "UNKNOWN"),
        "fail_reason": view.message,
        "submit_time": int(life.accepted_s),
        "start_time": int(life.starts_s) if has_started else 0,
        "finish_time": int(view.changed_s) if view.is_final else 0,
        "progress": _PROGRESS.get(view.word, "30%"),
        "data": content,
    }
