"""The single answers that pages are held against; pure.

Now and then a task that runs by the page is polled by a single query as well, because a list may be
stale, and so is one task where a page could not be had, because only then is it seen whether the
list alone fails. A task may end between a page and a single query, so a list is behind only where a
page that was requested after the single answer still shows it running.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kling_effects_async.errors import KlingEffectsError, RateLimitError
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.list_breaker import ListBreaker
from kling_effects_async.polling.tracked_task import TrackedTask

__all__ = ["ListCheck"]


class ListCheck:
    """Chooses the tasks for it, and tells the list's breaker what it shows.

    Attributes:
        checked: polled by a single query to hold a page against the answer.
        probe: polled by a single query to see whether only pages fail.
        ended_id: of one that a check saw ended: the next page must too.
    """

    def __init__(self, list_breaker: ListBreaker) -> None:
        self.checked: TrackedTask | None = None
        self.probe: TrackedTask | None = None
        self.ended_id: str | None = None
        self._list_breaker = list_breaker
        self._checks = 0

    def answered_singly(self, task: TrackedTask, snapshot: TaskSnapshot, now: float) -> None:
        """What the answer says about pages, if the task was polled for that."""
        if task is self.checked and snapshot.is_final:
            self.ended_id = task.task_id
        elif task is self.checked:
            self._list_breaker.compared(was_behind=False, now=now)
        elif task is self.probe:
            self._list_breaker.did_without(now)

    def shown(self, snapshot: TaskSnapshot, now: float) -> None:
        """A page shows the task that ended before it was requested."""
        self.ended_id = None
        self._list_breaker.compared(was_behind=not snapshot.is_final, now=now)

    def polled(self, task: TrackedTask) -> None:
        """It had its single query, with or without an answer, or nobody waits for it any more."""
        self.checked = None if task is self.checked else self.checked
        self.probe = None if task is self.probe else self.probe

    def to_probe(
        self, tasks: Collection[TrackedTask], error: KlingEffectsError
    ) -> set[TrackedTask]:
        """One of those whose page failed, if that can tell anything."""
        if not tasks or isinstance(error, RateLimitError) or self.probe is not None:
            return set()
        self.probe = min(tasks, key=lambda task: task.began_at)
        return {self.probe}

    def to_check(self, tasks: Iterable[TrackedTask]) -> set[TrackedTask]:
        """One that runs by the page: now the oldest, now the next of the others."""
        if not self._list_breaker.wants_a_check() or self.checked is not None:
            return set()
        running = [
            task
            for task in tasks
            if task.latest is not None and not task.is_over and not task.is_unlisted
        ]
        if not running:
            return set()
        running.sort(key=lambda task: task.began_at)
        turn, is_oldest = divmod(self._checks, 2)
        self._checks += 1
        self.checked = running[0 if is_oldest else turn % len(running)]
        return {self.checked}
