"""The tasks that are due at once, and the pages that are read for them; pure.

What a page does not show is polled by a single query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import TypeAlias

from attrs import frozen

from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.reading import Reading
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.protocol.messages import Listed

__all__ = ["PageBatch", "PageRequest"]

_ByTaskId: TypeAlias = dict[str, list[TrackedTask]]
"""Mostly one each; two where a task was attached to by either id before both were known."""


@frozen
class PageRequest:
    """The next page to request.

    Attributes:
        number: from 1 on.
        wanted: only these task ids are read; with each comes what is held of it.
        ended_id: one of them that has ended by a single answer.
    """

    number: int
    wanted: dict[str, TaskSnapshot | None]
    ended_id: str | None


class PageBatch:
    """One reading of the list.

    Attributes:
        tasks: those for which the list is read.
        began_at: when the reading began.
        found: how many task ids the pages showed.
    """

    def __init__(self, tasks: Sequence[TrackedTask], now: float) -> None:
        self.tasks: Sequence[TrackedTask] = tasks
        self.began_at: float = now
        self.found: int = 0
        self._missing = _by_task_id(tasks)
        self._without_id = {task for task in tasks if task.task_id is None}
        self._number = 0
        created_at = [at for at in _creation_times(self._missing) if at is not None]
        self._reading = Reading(min(created_at, default=None))

    @property
    def missing(self) -> list[TrackedTask]:
        """Those with a task id that no page has shown yet."""
        return list(chain.from_iterable(self._missing.values()))

    @property
    def without_id(self) -> set[TrackedTask]:
        """Those that no page can show."""
        return self._without_id

    @property
    def missed(self) -> int:
        """How many task ids the pages should have shown, and did not."""
        return sum(map(self._reading.should_have_shown, _creation_times(self._missing)))

    def next_page(self, ended_id: str | None) -> PageRequest:
        """The page to request now."""
        self._number += 1
        wanted = {task_id: tasks[0].latest for task_id, tasks in self._missing.items()}
        if ended_id is not None:
            wanted.setdefault(ended_id, None)
        return PageRequest(self._number, wanted, ended_id)

    def take(self, snapshot: TaskSnapshot) -> Sequence[TrackedTask]:
        """A page shows this; the tasks that it is about."""
        tasks = self._missing.pop(snapshot.task_id, ())
        self.found += bool(tasks)
        return tasks

    def goes_on_after(self, page: Listed, found_before: int) -> bool:
        """Whether the next page is worth its price; call ``take`` for all on this one before."""
        self._reading.take(page, self.found - found_before)
        return bool(self._missing) and self._reading.goes_on(_creation_times(self._missing))


def _by_task_id(tasks: Iterable[TrackedTask]) -> _ByTaskId:
    by_task_id: _ByTaskId = {}
    for task in tasks:
        if task.task_id is not None:
            by_task_id.setdefault(task.task_id, []).append(task)
    return by_task_id


def _creation_times(tasks: _ByTaskId) -> Iterable[datetime | None]:
    """When each task was created, by the service's clock; ``None`` before its first answer."""
    for same in tasks.values():
        latest = same[0].latest
        yield None if latest is None else latest.created_at
