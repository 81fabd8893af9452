"""A task's life, computed from the time of each query; no timer runs for any task.

    accepted --> submitted --starts_s--> processing --ends_s and clip ready--> succeed | failed

Every moment is emulated Unix time. Status words are those of the K1 effects page, 2026-09.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from pathlib import Path

from attrs import define, field, frozen

from kling_effects_async.emulator.submit_request import SubmitRequest

__all__ = ["UNUSABLE_IMAGE", "Clip", "Life", "Task", "TaskView", "Tasks", "plan_life", "view_of"]

# Source: observed in new-api's pull request 2532 (2025-12): a task accepted with code 0, failed
# 1.7 s later with exactly this message.
UNUSABLE_IMAGE = "Image pixel is invalid"
_UNUSABLE_FAILS_AFTER_S = 1.7

# A choice: how long a task stays "submitted" is not documented.
_START_SHARE = 0.1
_MAX_START_S = 5.0


@define(eq=False)
class Clip:
    """A video, or the promise of one; the stock clip is shared by all tasks.

    Attributes:
        ready_s: when it was finished or abandoned; infinity until then.
        content: the video, or the file that has it; empty: there is none yet.
        failure: why there is no video, in the service's words; empty: there is one.
    """

    content: bytes | Path = field(default=b"", repr=False)
    failure: str = ""
    ready_s: float = math.inf
    _waiting: list[Callable[[], None]] = field(factory=list, init=False)

    async def read(self) -> bytes:
        """The video; empty: there is none, or it had to make room for newer ones."""
        if isinstance(self.content, bytes):
            return self.content
        try:
            return await asyncio.to_thread(self.content.read_bytes)
        except FileNotFoundError:
            return b""

    def when_ready(self, call: Callable[[], None]) -> None:
        """Call back once; at once if it is ready already."""
        if self.ready_s < math.inf:
            call()
        else:
            self._waiting.append(call)

    def finish(self, ready_s: float, *, content: bytes | Path = b"", failure: str = "") -> None:
        self.content, self.failure, self.ready_s = content, failure, ready_s
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


@frozen
class Life:
    """The moments planned at acceptance.

    Attributes:
        failure: the message it will fail with, which may be empty; ``None``: it is to succeed.
    """

    accepted_s: float
    starts_s: float
    ends_s: float
    failure: str | None = None


# Compared by identity: two tasks of the same content are two charges.
@frozen(kw_only=True, eq=False)
class Task:
    """One accepted task."""

    task_id: str
    request: SubmitRequest
    life: Life
    clip: Clip
    units: str
    video_id: str
    video_url: str
    # What a gateway handed out in place of ``task_id``; ``None``: it handed out Kling's own.
    gateway_task_id: str | None = None

    @property
    def finished_s(self) -> float:
        """When it reached its final status; infinity while its clip is in the making."""
        if self.life.failure is not None:
            return self.life.ends_s
        return max(self.life.ends_s, self.clip.ready_s)

    @property
    def clip_seconds(self) -> str:
        """How long its clip is said to be."""
        # 24 frames a second and one frame over: "5.041" is what the documents show for five.
        return f"{self.request.duration_s}.041"

    @property
    def failure(self) -> str | None:
        """Why it fails, as far as that is known; ``None``: it does not."""
        if self.life.failure is not None:
            return self.life.failure
        return self.clip.failure or None


@frozen
class TaskView:
    """What the service answers about a task at one moment. Faults change this, never the task.

    Attributes:
        changed_s: when the status last changed.
        word: the status word that is written; a fault may make it another than ``status``.
        task_id: the id that is written: Kling's own, a gateway's, or, by a fault, a stranger's.
    """

    task: Task
    status: str
    message: str
    changed_s: float
    has_video: bool = False
    word: str = field()

    @word.default
    def _own_word(self) -> str:
        return self.status

    task_id: str = field()

    @task_id.default
    def _own_id(self) -> str:
        return self.task.task_id

    @property
    def is_final(self) -> bool:
        return self.status in ("succeed", "failed")


def plan_life(
    accepted_s: float, duration_s: float, *, has_usable_images: bool, failure: str | None = None
) -> Life:
    """Lay down a task's moments. Unusable pictures are found out after acceptance, as observed."""
    if not has_usable_images:
        ends_s = accepted_s + _UNUSABLE_FAILS_AFTER_S
        return Life(accepted_s, accepted_s + _UNUSABLE_FAILS_AFTER_S / 2, ends_s, UNUSABLE_IMAGE)
    starts_s = accepted_s + min(_MAX_START_S, duration_s * _START_SHARE)
    return Life(accepted_s, starts_s, accepted_s + duration_s, failure)


def view_of(task: Task, moment_s: float) -> TaskView:
    """The task as it was at a moment; an earlier one gives an earlier status."""
    if moment_s < task.life.starts_s:
        return TaskView(task, "submitted", "", task.life.accepted_s)
    finished_s = task.finished_s
    if moment_s < finished_s:
        return TaskView(task, "processing", "", task.life.starts_s)
    if task.failure is not None:
        return TaskView(task, "failed", task.failure, finished_s)
    return TaskView(task, "succeed", "", finished_s, has_video=True)


@define
class Tasks:
    """All tasks of the account: found by either id, paged, and counted while unfinished."""

    _by_id: dict[str, Task] = field(factory=dict, init=False)
    _by_gateway_id: dict[str, Task] = field(factory=dict, init=False)
    _by_external_id: dict[str, Task] = field(factory=dict, init=False)
    _in_order: list[Task] = field(factory=list, init=False)
    # Unfinished tasks: by the planned end in the heap, or past it while the clip is not rendered.
    _ends: list[tuple[float, str]] = field(factory=list, init=False)
    _without_clip: set[str] = field(factory=set, init=False)

    def __len__(self) -> int:
        return len(self._in_order)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._by_id

    def add(self, task: Task) -> None:
        self._by_id[task.task_id] = task
        self._by_gateway_id[task.gateway_task_id or task.task_id] = task
        self._in_order.append(task)
        if task.request.external_task_id is not None:
            self._by_external_id[task.request.external_task_id] = task
        heapq.heappush(self._ends, (task.life.ends_s, task.task_id))

    def drop_oldest_finished(self, now_s: float) -> None:
        """Remove one task, as Kling does after 30 days. Its external id is new again."""
        # Takes finished tasks off the heap first: _leave_heap looks them up by id.
        self.unfinished(now_s)
        # Among the first ones, mostly: who was accepted early has ended early.
        for index, task in enumerate(self._in_order):
            if task.finished_s <= now_s:
                del self._in_order[index]
                self._remove(task)
                return

    def _remove(self, task: Task) -> None:
        del self._by_id[task.task_id]
        del self._by_gateway_id[task.gateway_task_id or task.task_id]
        name = task.request.external_task_id
        # Where repeated ids are accepted, a newer task may have the name by now.
        if name is not None and self._by_external_id.get(name) is task:
            del self._by_external_id[name]

    def get(self, task_id: str) -> Task | None:
        return self._by_id.get(task_id)

    def by_gateway_id(self, given_id: str) -> Task | None:
        """By what a gateway handed out, which is Kling's own id unless the settings say more."""
        return self._by_gateway_id.get(given_id)

    def by_external_id(self, external_task_id: str) -> Task | None:
        """The newest task of that id: a choice, where repeated ids are accepted."""
        return self._by_external_id.get(external_task_id)

    def page(self, number: int, size: int) -> list[Task]:
        """Newest first (a choice: the order is not documented). ``number`` starts at 1."""
        stop = len(self._in_order) - (number - 1) * size
        return self._in_order[max(0, stop - size) : max(0, stop)][::-1]

    def unfinished(self, now_s: float) -> int:
        """How many tasks hold a slot. Amortised O(log n): each task leaves the heap once."""
        while self._ends and self._ends[0][0] <= now_s:
            self._leave_heap(heapq.heappop(self._ends)[1])
        return len(self._ends) + len(self._without_clip)

    def _leave_heap(self, task_id: str) -> None:
        task = self._by_id[task_id]
        if task.finished_s == math.inf:
            self._without_clip.add(task_id)
            task.clip.when_ready(lambda: self._without_clip.discard(task_id))
