"""The events of tasks: each change, and the end once it is written down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from kling_effects_async.events import Event, TaskChanged, TaskEnded
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.transport.clock import Clock

__all__ = ["TaskReports"]


class TaskReports:
    """Reports what is learned of tasks.

    Attributes:
        last_lag_s: how late the last end was known here, as in ``TaskEnded``.
    """

    def __init__(self, on_event: Callable[[Event], object], clock: Clock) -> None:
        self.last_lag_s: float | None = None
        self._on_event = on_event
        self._clock = clock

    def changed(self, task: TrackedTask, snapshot: TaskSnapshot) -> None:
        """A task has changed; its end is reported after it is written down."""
        if not snapshot.is_final:
            self._on_event(
                TaskChanged(
                    at=self._clock.now(),
                    external_task_id=task.external_task_id,
                    task_id=task.task_id,
                    scene=task.scene,
                    snapshot=snapshot,
                )
            )
            return
        ended = self._ended(task, snapshot)
        self.last_lag_s = ended.lag_s
        if task.record is None:
            self._on_event(ended)
        else:
            task.record.add_done_callback(lambda _: self._on_event(ended))

    def _ended(self, task: TrackedTask, final: TaskSnapshot) -> TaskEnded:
        now = self._clock.now()
        age_s = self._clock.monotonic() - task.began_at
        return TaskEnded(
            at=now,
            external_task_id=task.external_task_id,
            task_id=task.task_id,
            scene=task.scene,
            snapshot=final,
            duration_s=age_s if task.is_whole else None,
            lag_s=_lag_s(final.updated_at, now),
        )


def _lag_s(ended_at: datetime | None, now: datetime) -> float | None:
    if ended_at is None:
        return None
    lag_s = (now - ended_at).total_seconds()
    return lag_s if lag_s >= 0 else None
