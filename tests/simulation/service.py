"""The model of the service: what it accepts, what it charges for, and what it answers.

Written from the documents, and apart from the emulator, so that the two cannot share a mistake.
Sources: Kling's effects page and its error codes (2026-09); answers about unknown and used ids as
seen at Kling in 2026, and in new-api's source of 2025-04.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

from attrs import define, field, frozen

from tests.simulation.clips import clip_address
from tests.simulation.script import Rules
from tests.simulation.world import World

__all__ = ["KNOWN", "UNITS", "Answer", "ServedTask", "Service", "rejection"]

EFFECTS_PATH = "/kling/v1/videos/effects"
KNOWN = "known"  # the external id of the task that the account has from before
UNITS = 2
_TASK_S = 1.0
_EPOCH_MS = 1_767_225_600_000  # 2026-01-01, when every run begins


@frozen
class Answer:
    """What the service sends."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(factory=dict)


@define
class ServedTask:
    """A task that was accepted, and charged for."""

    task_id: str
    external_task_id: str
    accepted_at_s: float

    def has_ended(self, now_s: float) -> bool:
        return now_s >= self.accepted_at_s + _TASK_S


class Service:
    """One account at the service, with its books.

    Attributes:
        books: the tasks that were accepted under each external id, in their order.
    """

    def __init__(self, world: World, rules: Rules) -> None:
        self.books: dict[str, list[ServedTask]] = {}
        self._world = world
        self._rules = rules
        self._tasks: dict[str, ServedTask] = {}
        if rules.has_known:
            self._make(KNOWN, -3600.0)

    @property
    def running(self) -> int:
        """How many tasks have not ended."""
        now_s = self._world.now_s
        return sum(not task.has_ended(now_s) for task in self._tasks.values())

    def task(self, external_task_id: str) -> ServedTask | None:
        """The newest task under this external id."""
        made = self.books.get(external_task_id)
        return made[-1] if made else None

    # -- a submit

    def submit(self, body: bytes) -> Answer:
        """Accept it, or reject it before anything is made."""
        name = json.loads(body)["external_task_id"]
        if name in self.books and not self._rules.accepts_used_ids:
            return rejection(400, 1201, f"External_task_id {name} already exists")
        if self._rules.slots and self.running >= self._rules.slots:
            return rejection(429, 1303, "parallel task over resource pack limit")
        task = self._make(name, self._world.now_s)
        return _succeeded({"task_id": task.task_id, "task_status": "submitted"} | _times(task))

    def _make(self, name: str, at_s: float) -> ServedTask:
        task = ServedTask(f"86{len(self._tasks):016}", name, at_s)
        self._tasks[task.task_id] = task
        self.books.setdefault(name, []).append(task)
        return task

    # -- queries

    def query(self, path: str, query: str) -> Answer:
        """A task by either id, or a page of the list."""
        given_id = unquote(path.removeprefix(EFFECTS_PATH)).removeprefix("/")
        if not given_id:
            return self._page({name: int(of[0]) for name, of in parse_qs(query).items()})
        if given_id in self._tasks:
            return _succeeded(self._shown(self._tasks[given_id]))
        if self._rules.lookups == "empty":
            return _succeeded(None)
        task = self.task(given_id)
        is_hidden = task is None or self._age_s(task) < self._rules.shows_after_s
        if task is None or is_hidden or self._rules.lookups == "none":
            return unknown(self._rules.unknown, given_id)
        return _succeeded(self._shown(task))

    def _page(self, query: Mapping[str, int]) -> Answer:
        if self._rules.lists == "none":
            return Answer(200, b"<!doctype html><title>a gateway's page</title>", _HTML)
        size = query.get("pageSize", 30)
        start = (query.get("pageNum", 1) - 1) * size
        newest_first = [
            task
            for task in reversed(self._tasks.values())
            if self._age_s(task) >= self._rules.lists_after_s
        ]
        return _succeeded([self._shown(task) for task in newest_first[start : start + size]])

    def _age_s(self, task: ServedTask) -> float:
        return self._world.now_s - task.accepted_at_s

    def _shown(self, task: ServedTask) -> dict[str, object]:
        if not task.has_ended(self._world.now_s):
            return {"task_id": task.task_id, "task_status": "processing"} | _times(task)
        has_failed = self._rules.fails
        units = {"final_unit_deduction": "0" if has_failed else str(UNITS)}
        address = clip_address(task.task_id, self._world.now_s)
        video = {"id": "v", "url": address, "duration": "5.041"}
        return {
            "task_id": task.task_id,
            "task_status": "failed" if has_failed else "succeed",
            "task_status_msg": "Failure to pass the risk control system" if has_failed else "",
            "task_result": {} if has_failed else {"videos": [video]},
            **(units if self._rules.reports_units else {}),
            **_times(task),
        }


_HTML = {"content-type": "text/html"}
_JSON = {"content-type": "application/json"}


def rejection(status: int, code: int, message: str) -> Answer:
    body = {"code": code, "message": message, "request_id": "r"}
    return Answer(status, json.dumps(body).encode(), _JSON)


def unknown(form: int, given_id: str) -> Answer:
    """No task has this id, in each form that was seen."""
    match form:
        case 0:
            return rejection(400, 1201, f"Task not found by id/external id: {given_id}")
        case 1:
            return rejection(404, 1203, f"task {given_id} does not exist")
        case 2:
            slug = {"code": "task_not_exist", "message": "task_not_exist", "data": None}
            return Answer(400, json.dumps(slug).encode(), _JSON)
        case _:
            empty = {"code": "success", "message": "", "data": None}
            return Answer(200, json.dumps(empty).encode(), _JSON)


def _succeeded(data: object) -> Answer:
    body = {"code": 0, "message": "SUCCEED", "request_id": "r", "data": data}
    return Answer(200, json.dumps(body).encode(), _JSON)


def _times(task: ServedTask) -> dict[str, object]:
    at_ms = _EPOCH_MS + int(task.accepted_at_s * 1000)
    return {
        "created_at": at_ms,
        "updated_at": at_ms,
        "task_info": {"external_task_id": task.external_task_id},
    }
