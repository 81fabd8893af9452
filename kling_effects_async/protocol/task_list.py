"""A page of the task list -> its tasks.

- An entry that nobody can read is left out and counted: it must not hide the tasks beside it.
- The poller reads only the entries of tasks that it waits for, and of these only what has changed:
  to read all 500 of a full page takes 27 ms, and to parse it alone 1.7 ms.
- The list's order is not documented, so the newest and the oldest time are looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from kling_effects_async.errors import ReplyError
from kling_effects_async.models import TaskPage, TaskSnapshot
from kling_effects_async.protocol.converter import moment
from kling_effects_async.protocol.envelope import open_envelope
from kling_effects_async.protocol.layers import Layer, first_value, layers_of, request_id_of
from kling_effects_async.protocol.messages import Listed, Reply
from kling_effects_async.protocol.task_body import read_snapshot

__all__ = ["read_listed", "read_page"]

# What Kling's own page shows of a task that runs; with any other member it is read in full.
_RUNNING_MEMBERS = frozenset(
    {"task_id", "task_status", "task_status_msg", "task_info", "created_at", "updated_at"}
)


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

    A page of 500 of which a few matter costs no more than those few, and a task that did not change
    is given as the very snapshot that is held.

    Args:
        wanted: task ids, each with the snapshot that is held of it.

    Raises:
        ApiError: rejected.
        ReplyError: unreadable, or no list.
    """
    entries, request_id = _entries(reply)
    unchanged, others = _compared(entries, wanted)
    newest_at, oldest_at = _created_between(entries)
    return Listed(
        tasks=[*unchanged, *_readable(others, request_id)],
        shown=len(entries),
        first_id=_id_of(entries[0]) if entries else "",
        newest_at=newest_at,
        oldest_at=oldest_at,
    )


def _entries(reply: Reply) -> tuple[list[object], str | None]:
    # A list of one task is a list here, not that task.
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


def _compared(
    entries: Iterable[object], wanted: Mapping[str, TaskSnapshot | None]
) -> tuple[list[TaskSnapshot], list[object]]:
    """Of the wanted tasks: the held snapshots that did not change, and the entries of the rest."""
    unchanged: list[TaskSnapshot] = []
    others: list[object] = []
    for entry in entries:
        task_id = _id_of(entry)
        if task_id not in wanted:
            continue
        held = wanted[task_id]
        if held is not None and _is_unchanged(entry, held):
            unchanged.append(held)
        else:
            others.append(entry)
    return unchanged, others


def _id_of(entry: Any) -> str:
    return str(entry.get("task_id")) if isinstance(entry, dict) else ""


def _created_between(entries: Iterable[Any]) -> tuple[datetime | None, datetime | None]:
    """When the newest and the oldest task were created; ``None`` twice without any time."""
    # Compared as they came: that takes 6 us for 500 entries, and to convert them first 640 us.
    times: list[Any] = [entry.get("created_at") for entry in entries if isinstance(entry, dict)]
    if not all(times):  # not all are Kling's own entries, unwrapped
        times = [_created_at(entry) for entry in entries if isinstance(entry, dict)]
        times = [time for time in times if time]
    try:
        return moment(max(times, default=None)), moment(min(times, default=None))
    except TypeError:  # numbers here and text there cannot be compared
        return None, None


def _created_at(entry: Layer) -> Any:
    """As the wire spells it."""
    return first_value(layers_of(entry)[::-1], "created_at")


def _is_unchanged(entry: Any, held: TaskSnapshot) -> bool:
    """Whether a running task, in Kling's own form, is as the snapshot that is held."""
    return (
        not held.is_final  # an ended task's addresses are renewed by each answer
        and entry.keys() <= _RUNNING_MEMBERS
        and entry.get("task_status") == held.raw_status
        and (entry.get("task_status_msg") or "") == held.message
        and moment(entry.get("updated_at")) == held.updated_at
    )
