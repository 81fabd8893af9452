"""Layers -> ``TaskSnapshot``: which layer says what, when a gateway wraps another's answer.

- The outermost id wins: it is the one this service is asked for.
- A final word wins from the outside in, because a gateway may have decided on its own (its
  time-out sweep); else the innermost known word is the freshest.
- Results and times are taken from the inside out: that is Kling's own task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from kling_effects_async.errors import ReplyError, TaskNotFoundError
from kling_effects_async.models import TaskPage, TaskSnapshot, TaskStatus
from kling_effects_async.protocol.converter import converter, explained, moment, status_of
from kling_effects_async.protocol.envelope import (
    Layer,
    layers_of,
    open_envelope,
    request_id_of,
)
from kling_effects_async.protocol.messages import Listed, Reply

__all__ = [
    "read_found",
    "read_listed",
    "read_page",
    "read_snapshot",
    "read_submitted",
    "read_task",
]

_UNITS = "final_unit_deduction"

# What a task with a clip and no status word is taken for. Source: a reseller's answer, 2026, whose
# finished tasks have an empty ``task_status``.
_WITHOUT_WORD = "succeed"

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

# Whatever else is said beside an empty answer is a reason for it, and no proof of absence.
_ALL_IS_WELL = frozenset({"", "0", "200", "ok", "success", "succeed", "succeeded"})

# What Kling's own page shows of a task that runs; with any other member it is looked at in full.
_RUNNING_MEMBERS = frozenset(
    {"task_id", "task_status", "task_status_msg", "task_info", "created_at", "updated_at"}
)


def read_submitted(reply: Reply) -> TaskSnapshot:
    """The task that a create was answered with.

    Raises:
        ApiError: rejected; ``may_be_accepted`` tells whether a task can exist all the same.
        ReplyError: unreadable, so a task may exist.
    """
    return _read_one(reply, layers_of(open_envelope(reply)))


def read_task(reply: Reply, *, asked: str | None = None) -> TaskSnapshot:
    """The task that a query by its ``task_id`` was answered with.

    Args:
        asked: the id in the query. An answer about another task is an error; one that tells a
            task's status and no id is about this task.

    Raises:
        ApiError: rejected; ``TaskNotFoundError`` where the service does not know the task.
        ReplyError: unreadable, without a task, or about another task.
    """
    layers = layers_of(open_envelope(reply, about_task=True, asked=asked))
    if layers[-1].get("data") == []:
        raise _no_task(reply, layers)
    return _about(asked, reply, layers, _read_one(reply, layers, fallback_id=asked))


def read_found(reply: Reply, *, asked: str) -> TaskSnapshot:
    """The task that a query by its ``external_task_id`` was answered with.

    An answer that says yes and holds no task has found none; no id is made up for it.

    Args:
        asked: the id in the query.

    Raises:
        ApiError: rejected; ``TaskNotFoundError`` where the service does not know the task.
        ReplyError: unreadable, or about another task.
    """
    layers = layers_of(open_envelope(reply, about_task=True, asked=asked))
    if all(map(_is_empty, layers)):
        raise _no_task(reply, layers)
    snapshot = _read_one(reply, layers)
    if snapshot.external_task_id != asked:
        raise _of_another(asked, snapshot, reply)
    return snapshot


def read_page(reply: Reply, *, page: int = 1, page_size: int = 30) -> TaskPage:
    """One page of tasks; entries that nobody can read are left out.

    Raises:
        ApiError: rejected.
        ReplyError: unreadable, or no list.
    """
    entries, request_id = _entries(reply)
    tasks = tuple(_readable(entries, request_id))
    unreadable = len(entries) - len(tasks)
    return TaskPage(tasks=tasks, unreadable=unreadable, page=page, page_size=page_size)


def read_listed(reply: Reply, wanted: Mapping[str, TaskSnapshot | None]) -> Listed:
    """One page of tasks, of which only those that are wanted are read in full.

    A page of 500 of which a few matter costs no more than those few, and a task of which the page
    tells nothing new is given as the very snapshot that is held.

    Args:
        wanted: task ids, each with the snapshot that is held of it.

    Raises:
        ApiError: rejected.
        ReplyError: unreadable, or no list.
    """
    entries, request_id = _entries(reply)
    seen: list[TaskSnapshot] = []
    news: list[object] = []
    for entry in entries:
        task_id = str(entry.get("task_id")) if isinstance(entry, dict) else ""
        if task_id not in wanted:
            continue
        held = wanted[task_id]
        if held is not None and _says_the_same(entry, held):
            seen.append(held)
        else:
            news.append(entry)
    newest_at, oldest_at = _created_between(entries)
    return Listed(
        tasks=[*seen, *_readable(news, request_id)],
        shown=len(entries),
        first_id=_id_of(entries[0]) if entries else "",
        newest_at=newest_at,
        oldest_at=oldest_at,
    )


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
        fallback_id: the task's id where no layer tells it, but one tells a status.

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
    asked: str | None, reply: Reply, layers: Sequence[Layer], snapshot: TaskSnapshot
) -> TaskSnapshot:
    """The snapshot, if it is of the task that was asked for."""
    if asked is not None and asked not in _ids(layers, snapshot):
        raise _of_another(asked, snapshot, reply)
    return snapshot


def _of_another(asked: str, snapshot: TaskSnapshot, reply: Reply) -> ReplyError:
    theirs = f" with the external id {snapshot.external_task_id}" * bool(snapshot.external_task_id)
    return ReplyError(
        f"asked for task {asked}, and the answer is about task {snapshot.task_id}{theirs}",
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


def _entries(reply: Reply) -> tuple[list[object], str | None]:
    layers = layers_of(open_envelope(reply), of_one_task=False)
    entries = layers[-1].get("data")
    if not isinstance(entries, list):
        raise ReplyError(
            f"HTTP {reply.status}: the answer to a list request holds no list",
            http_status=reply.status,
        )
    return entries, request_id_of(reply, layers)


def _readable(entries: Iterable[object], request_id: str | None) -> Iterator[TaskSnapshot]:
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        try:
            yield read_snapshot(layers_of(entry), request_id=request_id)
        except ReplyError:
            continue


def _id_of(entry: Any) -> str:
    return str(entry.get("task_id")) if isinstance(entry, dict) else ""


def _created_between(entries: Iterable[Any]) -> tuple[datetime | None, datetime | None]:
    """When the newest and the oldest task were created; ``None`` twice where no entry tells."""
    told: list[Any] = [entry.get("created_at") for entry in entries if isinstance(entry, dict)]
    if not all(told):  # not all are Kling's own entries, unwrapped
        told = [_created_at(entry) for entry in entries if isinstance(entry, dict)]
        told = [value for value in told if value]
    try:
        return moment(max(told, default=None)), moment(min(told, default=None))
    except TypeError:  # numbers here and text there cannot be compared
        return None, None


def _created_at(entry: Layer) -> Any:
    """As the wire spells it."""
    return _first(layers_of(entry)[::-1], "created_at")


def _says_the_same(entry: Any, held: TaskSnapshot) -> bool:
    """A running task in Kling's own form that tells nothing but what is held."""
    return (
        not held.is_final
        and entry.keys() <= _RUNNING_MEMBERS
        and entry.get("task_status") == held.raw_status
        and (entry.get("task_status_msg") or "") == held.message
        and moment(entry.get("updated_at")) == held.updated_at
    )


def _is_task(layer: Layer) -> bool:
    if not _TASK_MARKS.isdisjoint(layer):
        return True
    # The newer form has nothing but common words, and so have the envelopes of others.
    is_envelope = "code" in layer or "data" in layer
    word = layer.get("status")
    is_status = isinstance(word, str) and status_of(word) is not TaskStatus.UNKNOWN
    is_dated = "create_time" in layer or "created_at" in layer
    return "id" in layer and "status" in layer and not is_envelope and (is_status or is_dated)


def _members(tasks: Sequence[Layer], fallback_id: str | None) -> dict[str, Any]:
    """The members of ``TaskSnapshot`` as the wire spells their values; absent ones left out."""
    inside_out = tasks[::-1]
    found = _videos(inside_out)
    word = _status_word(tasks) or (_WITHOUT_WORD if found else "")
    status = status_of(word)
    members = {
        "task_id": _first(tasks, "task_id")
        or _first(tasks, "id")
        or (word and fallback_id)
        or None,
        "status": word,
        "raw_status": word,
        "message": _message(inside_out, status),
        "external_task_id": _external_task_id(inside_out),
        "videos": (status is TaskStatus.SUCCEEDED and found) or None,
        "created_at": _first(inside_out, "created_at")
        or _first(tasks, "submit_time", "create_time"),
        "updated_at": _first(inside_out, "updated_at")
        or _first(tasks, "finish_time", "completed_at", "update_time"),
        "units": _units(inside_out),
    }
    return {name: value for name, value in members.items() if value is not None}


def _first(layers: Iterable[Layer], *names: str) -> Any:
    """The first value that says something; 0 and ``""`` mean "not told" on this wire."""
    for layer in layers:
        for name in names:
            value = layer.get(name)
            if value and value != "0":
                return value
    return None


def _status_word(tasks: Sequence[Layer]) -> str:
    known = word = ""
    for task in tasks:
        for name in ("status", "task_status"):
            told = task.get(name)
            if not isinstance(told, str) or not told.strip():
                continue
            word = told.strip()
            status = status_of(word)
            if status is not TaskStatus.UNKNOWN:
                known = word
                if status.is_final:
                    return word
    return known or word


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
        text = _first(inside_out, name)
        if isinstance(text, str) and not _is_url(text):
            return text
    for task in inside_out:
        error = task.get("error")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            return str(error["message"])
    text = _first(inside_out[:1], "message")  # the newer callback form has no envelope
    return text if isinstance(text, str) else ""


def _message(inside_out: Sequence[Layer], status: TaskStatus) -> str:
    if status is TaskStatus.FAILED:
        return _reason(inside_out)
    text = _first(inside_out, "task_status_msg")
    return text if isinstance(text, str) else ""


def _external_task_id(inside_out: Iterable[Layer]) -> object:
    for task in inside_out:
        info = task.get("task_info")
        if isinstance(info, dict) and info.get("external_task_id"):
            return info["external_task_id"]
    return _first(inside_out, "external_task_id", "external_id")


def _videos(inside_out: Sequence[Layer]) -> list[dict[str, Any]]:
    """A succeeded task's clips, wherever this relative puts them; the last resort comes last."""
    for task in inside_out:
        result = _member(task.get("task_result"), "videos")
        for entries in (result, task.get("outputs"), task.get("video_result"), task.get("videos")):
            if found := _clips(entries):
                return found
    for task in inside_out:
        metadata = _member(task.get("metadata"), "url")
        for url in (task.get("result_url"), task.get("url"), metadata, task.get("video_url")):
            if _is_url(url):
                return [{"url": str(url).strip()}]
    for task in inside_out:
        if _is_url(task.get("fail_reason")):  # older new-api keeps a success's address here
            return [{"url": task["fail_reason"].strip()}]
    for task in inside_out:
        # The gateway's page documents `images` and null `videos` for this video task. Should it
        # ever answer so, the address there is what was paid for; a download checks what it is.
        found = _clips(_member(task.get("task_result"), "images"))
        if found:
            return found
    return []


def _clips(entries: object) -> list[dict[str, Any]]:
    if not isinstance(entries, list):
        return []
    return [_clip(entry) for entry in entries if _is_url(_member(entry, "url")) and _moves(entry)]


def _moves(entry: Mapping[str, Any]) -> bool:
    """The newer form's outputs have a type each, and not all of them are videos."""
    return entry.get("type") in (None, "", "video")


def _clip(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "duration", "watermark_url")
    others = {name: entry[name] for name in names if entry.get(name) not in (None, "")}
    return {"url": entry["url"].strip(), **others}


def _member(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _is_url(value: object) -> bool:
    """White space around an address, and the case of its scheme, mean nothing (RFC 3986, 3.1)."""
    return isinstance(value, str) and value.strip()[:8].lower().startswith(("https://", "http://"))


def _ids(layers: Sequence[Layer], snapshot: TaskSnapshot) -> set[str]:
    found = {str(layer[name]) for layer in layers for name in ("task_id", "id") if layer.get(name)}
    return found | {snapshot.task_id, snapshot.external_task_id or snapshot.task_id}
