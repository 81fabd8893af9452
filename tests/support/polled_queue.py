"""A queue of polls in hand: who waits in it, what is due, and what came of it."""

from __future__ import annotations

import asyncio

from kling_effects_async.errors import ServiceError
from kling_effects_async.models import TaskSnapshot, TaskStatus, Video
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.batch import PageBatch
from kling_effects_async.polling.queue import PollQueue
from kling_effects_async.polling.tracked_task import TrackedTask, Waiter
from kling_effects_async.protocol.messages import Listed

__all__ = ["BUSY", "POLICY", "Told", "page_of", "snapshot"]

POLICY = PollPolicy()
BUSY = ServiceError("busy", http_status=503, retryable=True)


def snapshot(task: TrackedTask, status: TaskStatus = TaskStatus.PROCESSING) -> TaskSnapshot:
    videos = (Video(url="https://v.example/o.mp4"),) if status is TaskStatus.SUCCEEDED else ()
    return TaskSnapshot(
        task_id=task.task_id or f"id of {task.external_task_id}",
        external_task_id=task.external_task_id,
        status=status,
        raw_status=status.value,
        videos=videos,
    )


def page_of(*shown: TaskSnapshot) -> Listed:
    return Listed(
        tasks=list(shown),
        shown=len(shown),
        first_id=shown[0].task_id if shown else "",
        newest_at=None,
        oldest_at=None,
    )


class Told:
    """A queue, and what those who wait in it or follow its tasks were told.

    Attributes:
        record: what the writing of an end gives.
        others: tasks that a test keeps apart.
    """

    def __init__(self, *, has_list: bool = True, policy: PollPolicy = POLICY) -> None:
        self.queue = PollQueue(policy, lambda: 0.5, has_list=has_list)
        self.told: list[Exception | None] = []
        self.ended: list[TaskSnapshot | None] = []
        self.record: asyncio.Future[None] | None = None
        self.others: list[TrackedTask] = []

    def end(self, final: TaskSnapshot | None) -> asyncio.Future[None] | None:
        self.ended.append(final)
        return self.record

    def wait(self, name: str, now: float = 0.0) -> tuple[TrackedTask, Waiter]:
        task = self.queue.track(name, None, scene="", now=now)
        return task, self.queue.wait(task, self.queue.deadline(now), self.told.append)

    def due(self, now: float) -> list[PageBatch | TrackedTask]:
        self.queue.advance(now)
        polls: list[PageBatch | TrackedTask] = []
        while (poll := self.queue.next_poll(now)) is not None:
            polls.append(poll)
        return polls

    def page(self, now: float) -> PageBatch:
        (batch,) = self.due(now)
        assert isinstance(batch, PageBatch)
        return batch

    def read(self, batch: PageBatch, page: Listed, now: float) -> None:
        if not self.queue.page_answered(batch, self.queue.next_page(batch), page, now):
            self.queue.pages_read(batch, now)
