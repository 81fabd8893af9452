"""Layers -> ``TaskSnapshot``: which layer counts for what, when a gateway wraps another's answer.

- The outermost id counts: it is the one that this service is queried by.
- Which status word counts is decided in ``statuses``; where the clips are, in ``clips``.
- Results and times are taken from the inside out: that is Kling's own task.
- An answer about one task is about the task that was queried, or it is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kling_effects_async.errors import ReplyError, TaskNotFoundError
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.protocol.clips import clips_of, is_url
from kling_effects_async.protocol.converter import converter, explained
from kling_effects_async.protocol.envelope import open_envelope
from kling_effects_async.protocol.layers import Layer, first_value, layers_of, request_id_of
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.statuses import WORD_OF_A_CLIP, status_of, status_word
from kling_effects_async.protocol.verdicts import SUCCESS_CODES

__all__ = ["read_found", "read_snapshot", "read_submitted", "read_task"]

_UNITS = "final_unit_deduction"

# What makes a layer a task and not an envelope, whose own ``status`` or ``id`` is something else.
_TASK_MARKS = frozenset(
    {
        "task_id",
        "task_status",
        "task_result",
        "progress",
        "resp_data",
        "video_url",
        "video_result",
        "outputs",
    }
)

# What an envelope has whether or not there is a task in it. Source: Kling's effects page, 2026-09;
# new-api's task answer, 2025; V-API's general query page.
_ENVELOPE_MEMBERS = frozenset(
    {"code", "data", "message", "msg", "request_id", "status", "success", "time_elapsed", "usage"}
)

# Any other word beside an empty answer is a reason for it, and no proof of absence.
_ALL_IS_WELL = frozenset({str(code) for code in SUCCESS_CODES if code is not None} | {"succeeded"})


def read_submitted(reply: Reply) -> TaskSnapshot:
    """The task that a create was answered with.

    Raises:
        ApiError: rejected; ``may_be_accepted`` is whether a task can exist all the same.
        ReplyError: unreadable, so a task may exist.
    """
    return _read_one(reply, layers_of(open_envelope(reply)))


def read_task(reply: Reply, *, queried_id: str | None = None) -> TaskSnapshot:
    """The task that a query by its ``task_id`` was answered with.

    Args:
        queried_id: the id in the query. An answer about another task is an error; one with a status
            and no id is about this task.

    Raises:
        ApiError: rejected; ``TaskNotFoundError`` where the service does not know the task.
        ReplyError: unreadable, without a task, or about another task.
    """
    layers = layers_of(open_envelope(reply, about_task=True, queried_id=queried_id))
    # The newer path answers an unknown id with 200 and an empty list, seen live in 2026.
    if layers[-1].get("data") == []:
        raise _no_task(reply, layers)
    return _about(queried_id, reply, layers, _read_one(reply, layers, fallback_id=queried_id))


def read_found(reply: Reply, *, queried_id: str) -> TaskSnapshot:
    """The task that a query by its ``external_task_id`` was answered with.

    An answer that says yes and holds no task has found none; no id is made up for it.

    Args:
        queried_id: the id in the query.

    Raises:
        ApiError: rejected; ``TaskNotFoundError`` where the service does not know the task.
        ReplyError: unreadable, or about another task.
    """
    layers = layers_of(open_envelope(reply, about_task=True, queried_id=queried_id))
    # new-api answers an unknown task with 200, "success" and null. Source: its source code, 2026.
    if all(map(_is_empty, layers)):
        raise _no_task(reply, layers)
    snapshot = _read_one(reply, layers)
    # Also where it has none: a gateway that ignores the id could answer with a stranger's task.
    if snapshot.external_task_id != queried_id:
        raise _of_another(queried_id, snapshot, reply)
    return snapshot


def read_snapshot(
    layers: Sequence[Layer],
    *,
    status: int = 200,
    request_id: str | None = None,
    fallback_id: str | None = None,
) -> TaskSnapshot:
    """The task in these layers, outermost first.

    Args:
        status: the HTTP status, for messages.
        fallback_id: the task's id where no layer has it, but one has a status.

    Raises:
        ReplyError: there is no task in them, or a member that decides something is of no use.
    """
    tasks = [layer for layer in layers if _is_task(layer)]
    members = _members(tasks, fallback_id)
    if members.get("task_id") is None:
        raise ReplyError(
            f"HTTP {status}: the answer names no task", http_status=status, request_id=request_id
        )
    members["request_id"] = request_id
    for video in members.get("videos", ()):
        video["task_id"] = members["task_id"]
    try:
        return converter().structure(members, TaskSnapshot)
    except ExceptionGroup as error:  # cattrs' errors are groups, one for each member
        faults = "; ".join(explained(error))
        raise ReplyError(
            f"HTTP {status}: the answer's task does not have its shape: {faults}",
            http_status=status,
            request_id=request_id,
        ) from None


def _read_one(
    reply: Reply, layers: Sequence[Layer], *, fallback_id: str | None = None
) -> TaskSnapshot:
    return read_snapshot(
        layers,
        status=reply.status,
        request_id=request_id_of(reply, tuple(layers)),
        fallback_id=fallback_id,
    )


def _about(
    queried_id: str | None, reply: Reply, layers: Sequence[Layer], snapshot: TaskSnapshot
) -> TaskSnapshot:
    """The snapshot, if it is of the task that was queried."""
    if queried_id is not None and queried_id not in _ids(layers, snapshot):
        raise _of_another(queried_id, snapshot, reply)
    return snapshot


def _of_another(queried_id: str, snapshot: TaskSnapshot, reply: Reply) -> ReplyError:
    theirs = f" with the external id {snapshot.external_task_id}" * bool(snapshot.external_task_id)
    return ReplyError(
        f"queried task {queried_id}, and the answer is about task {snapshot.task_id}{theirs}",
        http_status=reply.status,
        request_id=snapshot.request_id,
    )


def _no_task(reply: Reply, layers: Sequence[Layer]) -> TaskNotFoundError:
    return TaskNotFoundError(
        "the answer holds no task",
        http_status=reply.status,
        request_id=request_id_of(reply, tuple(layers)),
        retryable=True,
    )


def _is_empty(layer: Layer) -> bool:
    """An envelope around nothing that says all is well, or the nothing itself."""
    words = (layer.get(name) for name in ("message", "msg", "status"))
    inner = layer.get("data")
    return (
        layer.keys() <= _ENVELOPE_MEMBERS
        and (isinstance(inner, dict) or not inner)
        and all(word is None or str(word).lower() in _ALL_IS_WELL for word in words)
    )


def _is_task(layer: Layer) -> bool:
    if not _TASK_MARKS.isdisjoint(layer):
        return True
    # The newer form has nothing but common words, and so have the envelopes of others, where `id`
    # is the request's.
    is_envelope = "code" in layer or "data" in layer
    word = layer.get("status")
    is_status = isinstance(word, str) and status_of(word) is not TaskStatus.UNKNOWN
    is_dated = "create_time" in layer or "created_at" in layer
    return "id" in layer and "status" in layer and not is_envelope and (is_status or is_dated)


def _members(tasks: Sequence[Layer], fallback_id: str | None) -> dict[str, Any]:
    """The members of ``TaskSnapshot`` as the wire spells their values; absent ones left out."""
    inside_out = tasks[::-1]
    clips = clips_of(inside_out)
    words = (task.get(name) for task in tasks for name in ("status", "task_status"))
    word = status_word(words) or (WORD_OF_A_CLIP if clips else "")
    status = status_of(word)
    # `progress` is left out: gateways set it by the status, and to 100 % for failed tasks too.
    members = {
        "task_id": first_value(tasks, "task_id")
        or first_value(tasks, "id")
        or (word and fallback_id)
        or None,
        "status": word,
        "raw_status": word,
        "message": _message(inside_out, status),
        "external_task_id": _external_task_id(inside_out),
        "videos": (status is TaskStatus.SUCCEEDED and clips) or None,
        "created_at": first_value(inside_out, "created_at")
        or first_value(tasks, "submit_time", "create_time"),
        "updated_at": first_value(inside_out, "updated_at")
        or first_value(tasks, "finish_time", "completed_at", "update_time"),
        "units": _units(inside_out),
    }
    return {name: value for name, value in members.items() if value is not None}


def _units(inside_out: Iterable[Layer]) -> Any:
    """What it cost in Kling's units: its own member, or what the newer path bills in units."""
    for task in inside_out:
        if task.get(_UNITS) is not None:
            return task[_UNITS]
        for entry in _objects(task.get("billing")):
            if entry.get("charge_type") == "unit" and entry.get("amount") is not None:
                return entry["amount"]
    return None


def _objects(entries: object) -> list[dict[str, Any]]:
    return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []


def _reason(inside_out: Sequence[Layer]) -> str:
    """Why it failed, in the service's words. The envelope's ``message`` always says SUCCEED."""
    for name in ("task_status_msg", "fail_reason"):
        text = first_value(inside_out, name)
        if isinstance(text, str) and not is_url(text):
            return text
    for task in inside_out:
        error = task.get("error")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            return str(error["message"])
    text = first_value(inside_out[:1], "message")  # the newer callback form has no envelope
    return text if isinstance(text, str) else ""


def _message(inside_out: Sequence[Layer], status: TaskStatus) -> str:
    if status.is_final and status is not TaskStatus.SUCCEEDED:
        return _reason(inside_out)
    text = first_value(inside_out, "task_status_msg")
    return text if isinstance(text, str) else ""


def _external_task_id(inside_out: Iterable[Layer]) -> object:
    for task in inside_out:
        info = task.get("task_info")
        if isinstance(info, dict) and info.get("external_task_id"):
            return info["external_task_id"]
    return first_value(inside_out, "external_task_id", "external_id")


def _ids(layers: Sequence[Layer], snapshot: TaskSnapshot) -> set[str]:
    found = {str(layer[name]) for layer in layers for name in ("task_id", "id") if layer.get(name)}
    return found | {snapshot.task_id, snapshot.external_task_id or snapshot.task_id}
