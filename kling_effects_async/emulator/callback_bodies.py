"""The bodies of callbacks in both documented forms, by hand; no envelope is around them.

Times are Unix milliseconds. Source: K5 callbacks page, 2026-09; where it leaves the members open,
two public records: a callback of 2025-12 in the legacy form, whose result lists images and audios
beside the videos, and a finished task of 2026-09 in the newer form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kling_effects_async.emulator.choices import CallbackShape
from kling_effects_async.emulator.emulated_clock import milliseconds
from kling_effects_async.emulator.tasks import Task, TaskView

__all__ = ["callback_body", "console_test_body", "status_word"]

# Three of the words are the same in both forms.
_NEWER_WORDS = {"succeed": "succeeded"}


def callback_body(view: TaskView, shape: CallbackShape) -> dict[str, object]:
    """The message about one change. The id is always Kling's own, whoever submitted the task."""
    return _WRITERS[shape](view)


def console_test_body(task_id: str, now_s: float) -> dict[str, object]:
    """What the console's test button sends: the newer form, without an external id and a price."""
    now_ms = milliseconds(now_s)
    return {
        "id": task_id,
        "status": "submitted",
        "outputs": [],
        "message": "",
        "create_time": now_ms,
        "update_time": now_ms,
    }


def status_word(view: TaskView, shape: CallbackShape) -> str:
    """The status as this form writes it."""
    return view.word if shape is CallbackShape.LEGACY else _NEWER_WORDS.get(view.word, view.word)


def _legacy(view: TaskView) -> dict[str, object]:
    name = view.task.request.external_task_id
    body: dict[str, object] = {
        "task_id": view.task.task_id,
        "task_status": status_word(view, CallbackShape.LEGACY),
        "task_info": {} if name is None else {"external_task_id": name},
        "task_result": _legacy_result(view),
        "task_status_msg": view.message,
        "created_at": milliseconds(view.task.life.accepted_s),
        "updated_at": milliseconds(view.changed_s),
    }
    if not view.is_final:
        return body
    # Since 2026-01-23, and so not in the record of 2025-12. Source: K3 updates page.
    return body | {
        "final_unit_deduction": _units(view),
        "final_balance_deduction": {"quota": "0", "list_price": "0"},
    }


def _legacy_result(view: TaskView) -> dict[str, object]:
    """Empty until there is a video: of a running task that is inferred, of a failed one seen."""
    if not view.has_video:
        return {}
    return {"images": [], "videos": [_video(view.task)], "audios": []}


def _newer(view: TaskView) -> dict[str, object]:
    name = view.task.request.external_task_id
    return {
        "id": view.task.task_id,
        "status": status_word(view, CallbackShape.NEWER),
        "message": view.message,
        "create_time": milliseconds(view.task.life.accepted_s),
        "update_time": milliseconds(view.changed_s),
        # Without a name the member is missing, as in the test button's message: inferred.
        **({} if name is None else {"external_id": name}),
        "outputs": [{"type": "video"} | _video(view.task)] if view.has_video else [],
        "billing": [_charge(view)] if view.is_final else [],
    }


def _charge(view: TaskView) -> dict[str, object]:
    """What a resource pack is charged; a failed task "0", as was seen."""
    return {"charge_type": "unit", "amount": _units(view), "package_type": "video"}


def _video(task: Task) -> dict[str, object]:
    return {"id": task.video_id, "url": task.video_url, "duration": task.clip_seconds}


def _units(view: TaskView) -> str:
    return view.task.units if view.status == "succeed" else "0"


_WRITERS: Mapping[CallbackShape, Callable[[TaskView], dict[str, object]]] = {
    CallbackShape.LEGACY: _legacy,
    CallbackShape.NEWER: _newer,
}
