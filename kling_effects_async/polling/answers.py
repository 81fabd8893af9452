"""What an answer changes about a task, and what the history learns from its end; pure."""

from __future__ import annotations

import logging
from collections.abc import Callable

from kling_effects_async.log_fields import log_fields
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.polling.lifecycle import is_change, newer
from kling_effects_async.polling.schedule import DurationHistory
from kling_effects_async.polling.tracked_task import TrackedTask, TrackedTasks
from kling_effects_async.protocol.redaction import redacted

__all__ = ["Answers"]

_log = logging.getLogger(__name__)


class Answers:
    """Applies answers to the tasks of one queue.

    Args:
        tasks: where a task is found by an id in an answer.
        result_grace_s: how long a succeeded task may stay without a video.
        on_change: called with each change, after all others heard of it.
    """

    def __init__(
        self,
        tasks: TrackedTasks,
        history: DurationHistory,
        *,
        result_grace_s: float,
        on_change: Callable[[TrackedTask, TaskSnapshot], None] | None = None,
    ) -> None:
        self._on_change = on_change
        self._tasks = tasks
        self._history = history
        self._result_grace_s = result_grace_s
        self._odd_words: set[str] = set()

    def take(self, task: TrackedTask, snapshot: TaskSnapshot, now: float) -> None:
        """Apply the answer to a poll."""
        was_over = task.is_over
        self.learn(task, snapshot, now)
        if task.is_over and not was_over:
            self._add_to_history(task, snapshot, now)
        task.answered(now)

    def announce(self, task: TrackedTask, snapshot: TaskSnapshot, now: float) -> None:
        """Apply a message about a change, which comes as soon as there is one."""
        was_over = task.is_over
        self.learn(task, snapshot, now)
        if task.is_over and not was_over and task.is_whole:
            age_s = now - task.began_at
            self._history.learn(task.scene, seen_s=age_s, seen_running_s=age_s, stated_s=None)

    def learn(
        self, task: TrackedTask, snapshot: TaskSnapshot, now: float, *, is_recalled: bool = False
    ) -> TaskSnapshot:
        """Apply any answer about the task; the snapshot that is kept.

        Args:
            is_recalled: it is from the journal, and no news.
        """
        held = newer(task.latest, snapshot)
        if held is not snapshot:
            return held  # late or stale
        has_news = is_change(task.latest, held)
        task.latest = held
        self._tasks.complete(task, held.task_id, held.external_task_id)
        self._warn_once(held)
        if self._is_without_result(task, held, now):
            return held
        changes = has_news or (held.is_final and not task.is_over)
        if changes:
            task.change(held)
        if task.is_over:
            task.end(held)
        if changes and not is_recalled and self._on_change is not None:
            self._on_change(task, held)
        return held

    def _add_to_history(self, task: TrackedTask, final: TaskSnapshot, now: float) -> None:
        """Learn from a task that was followed from its beginning, without a break."""
        if not task.is_whole or task.failures:
            return
        started, ended = final.created_at, final.updated_at
        self._history.learn(
            task.scene,
            seen_s=now - task.began_at,
            seen_running_s=task.answered_at - task.began_at,
            stated_s=(ended - started).total_seconds() if started and ended else None,
            began_at=task.began_at,
        )

    def _is_without_result(self, task: TrackedTask, held: TaskSnapshot, now: float) -> bool:
        """Whether to poll again because the task succeeded and its videos are still to come."""
        if held.status is not TaskStatus.SUCCEEDED or held.videos:
            return False
        if task.result_missing_since is None:
            task.result_missing_since = now
        return now - task.result_missing_since < self._result_grace_s

    def _warn_once(self, snapshot: TaskSnapshot) -> None:
        if snapshot.status is TaskStatus.UNKNOWN and snapshot.raw_status not in self._odd_words:
            self._odd_words.add(snapshot.raw_status)
            word = redacted(snapshot.raw_status)[:80]
            _log.warning(
                "unknown task status %r: waiting on",
                word,
                extra=log_fields(
                    "task.status_unknown",
                    task_id=snapshot.task_id,
                    external_task_id=snapshot.external_task_id,
                    status=word,
                ),
            )
