"""The tasks of the benchmark's server, in the shapes of Kling's effects page.

A task's length stands in the address of its image (``...?seconds=2.5``), so both sides order the
same tasks. An entry is made twice when the task is accepted, as it looks before and after its end;
answering then is joining bytes, which keeps the server far cheaper than any client.

Source: Kling's effects page, 2026-09 (members, milliseconds, order of nothing: newest first is our
choice); its error codes page (1203, 1303).
"""

from __future__ import annotations

import heapq
import json
import re
import time
from collections.abc import Mapping
from itertools import count
from typing import Any, TypeAlias

from attrs import frozen

__all__ = ["Answer", "ServedTasks"]

Answer: TypeAlias = tuple[int, bytes]
"""HTTP status and JSON body."""

_SECONDS = re.compile(r"[?&]seconds=([0-9.]+)")
_LENGTH_S = 60.0  # where the image is a file: nobody waits for those
_ID_DIGITS = 18


@frozen
class _Served:
    task_id: str
    ends_at: float
    open_entry: bytes
    ended_entry: bytes

    def entry(self, now: float) -> bytes:
        return self.ended_entry if now >= self.ends_at else self.open_entry


class ServedTasks:
    """Every task since the last ``clear``.

    Args:
        slots: how many may run at once; ``None``: any number.
    """

    def __init__(self, slots: int | None) -> None:
        self._slots = slots
        self._numbers = count(860_000_000_000_000_000)
        self.clear()

    def clear(self) -> None:
        """Forget all of them."""
        self._tasks: list[_Served] = []
        self._by_id: dict[str, _Served] = {}
        self._running: list[float] = []
        self.rejections: int = 0

    def ends(self) -> Mapping[str, float]:
        """When each task ends, by the monotonic clock."""
        return {task.task_id: task.ends_at for task in self._tasks}

    def accept(self, order: Mapping[str, Any]) -> Answer:
        """The answer to a submit."""
        now = time.monotonic()
        while self._running and self._running[0] <= now:
            heapq.heappop(self._running)
        if self._slots is not None and len(self._running) >= self._slots:
            self.rejections += 1
            return _rejected(429, 1303, "parallel task over resource pack limit")
        task, entry = _made(str(next(self._numbers)), order, now)
        self._tasks.append(task)
        self._by_id[task.task_id] = task
        external_task_id = order.get("external_task_id")
        if external_task_id:
            self._by_id[external_task_id] = task
        heapq.heappush(self._running, task.ends_at)
        return 200, _enveloped(entry)

    def one(self, any_id: str) -> Answer:
        """The answer to a query by either id."""
        task = self._by_id.get(any_id)
        if task is None:
            return _rejected(404, 1203, f"task {any_id} does not exist")
        return 200, _enveloped(task.entry(time.monotonic()))

    def page(self, number: int, size: int) -> Answer:
        """The answer to a list request, newest first."""
        now = time.monotonic()
        newest_first = self._tasks[::-1][(number - 1) * size : number * size]
        entries = b",".join([task.entry(now) for task in newest_first])
        return 200, _enveloped(b"[" + entries + b"]")


def _made(task_id: str, order: Mapping[str, Any], now: float) -> tuple[_Served, bytes]:
    """The task, and its entry as the submit is answered."""
    asked = _SECONDS.search(str(order.get("input", {}).get("image", "")))
    length_s = float(asked[1]) if asked else _LENGTH_S
    accepted_ms = int(time.time() * 1000)
    named = {
        "task_id": task_id,
        "task_info": {"external_task_id": order.get("external_task_id", "")},
        "created_at": accepted_ms,
    }
    new = named | {"task_status": "submitted", "updated_at": accepted_ms}
    running = named | {
        "task_status": "processing",
        "task_status_msg": "",
        "updated_at": accepted_ms,
    }
    ended = running | {
        "task_status": "succeed",
        "updated_at": accepted_ms + int(length_s * 1000),
        "task_result": {"videos": [_video(task_id)]},
        "final_unit_deduction": "2",
        "final_balance_deduction": {"quota": "0", "list_price": "0"},
    }
    return _Served(task_id, now + length_s, _json(running), _json(ended)), _json(new)


def _video(task_id: str) -> dict[str, str]:
    signature = "Expires=1790000000&Signature=" + "k3Jx" * 20
    return {
        "id": f"video-{task_id[-_ID_DIGITS:]}",
        "url": f"https://cdn.klingai.example/bs2/upload-ylab/{task_id}.mp4?{signature}",
        "watermark_url": "",
        "duration": "5.041",
    }


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _enveloped(content: bytes) -> bytes:
    head = b'{"code":0,"message":"SUCCEED","request_id":"CjMT7WdSwWcAAAAAALvB3g","data":'
    return head + content + b"}"


def _rejected(status: int, code: int, message: str) -> Answer:
    return status, _json({"code": code, "message": message, "request_id": "CjMT7WdSwWcAAAAAALvB3g"})
