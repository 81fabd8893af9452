"""Whether one page may stand for many single queries: only where the list can be trusted; pure.

No document promises that a list is complete, fresh or there at all. So it is found out: a list that
cannot be had, does not have tasks that exist where they should be, or is behind single answers is
left alone for a while, and for longer each time.

Now and then a task that runs by the page is polled by a single query as well, because a list may be
stale, and so is one task where a page could not be had, because only then is it seen whether the
list alone fails. A task may end between a page and a single query, so a list is behind only where a
page that was requested after the single answer still shows it running.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kling_effects_async.errors import (
    KlingEffectsError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
)
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.tracked_task import TrackedTask

__all__ = ["ListBreaker", "ListCheck"]

# The rhythm of pages: a part of the age of the youngest due task, within these bounds.
_SHORTEST_S, _LONGEST_S = 0.5, 0.9
_SHARE_OF_AGE = 0.1
# Tasks that are due while a reading takes long wait for a part of that, so that few readings
# overlap where the service is slow.
_SHARE_OF_READING = 0.5
# How much may be wrong in a row before the list is left alone.
_FAILURES, _GAPS = 8.0, 3
# What failures count: a page that never comes holds up everybody who is due, a rejected or garbled
# one is no passing failure, and a limit of rate is mostly the account's. A single answer where no
# page could be had proves that it is the list's own failure.
_HUNG, _REJECTED, _PASSING, _THROTTLED, _ALONE = 4.0, 3.0, 1.0, 0.5, 2.0
# In every so many readings one of their tasks is polled by a single query as well. Replicas may
# differ for a moment, so one disagreement proves nothing, and agreements make up for it slowly.
_CHECK_EVERY = 5
_BEHIND, _MADE_UP = 2.0, 0.25
_FIRST_REST_S = 600.0


class ListBreaker:
    """What is known of the service's list, and when the next page may be requested.

    Args:
        has_list: by the documents; ``None`` where they do not say.

    Attributes:
        is_usable: the next page is worth requesting.
        has_worked: there was a page; without one, a rejection means that there is no list.
    """

    def __init__(self, has_list: bool | None) -> None:
        self.is_usable: bool = has_list is not False
        self.has_worked: bool = False
        self.next_at: float = 0.0
        self._may_exist = has_list is not False
        self._rests_until = 0.0
        self._tripped_at = 0.0
        self._rest_s = _FIRST_REST_S
        self._failures = 0.0
        self._gaps = 0
        self._behind = 0.0
        self._readings = 0
        self._took_s = 0.0  # the last reading

    def requested(self, now: float, youngest_age_s: float) -> None:
        """A reading began; the next one keeps the rhythm."""
        self._readings += 1
        self.next_at = now + max(self.pause(youngest_age_s), self._took_s * _SHARE_OF_READING)

    def requested_next(self, now: float) -> None:
        """The reading went on to another page; the next reading does not overtake it at once."""
        self.next_at = max(self.next_at, now + _SHORTEST_S)

    def pause(self, age_s: float) -> float:
        """Seconds until the next page for a task of this age."""
        return min(_LONGEST_S, max(_SHORTEST_S, age_s * _SHARE_OF_AGE))

    def wants_a_check(self) -> bool:
        """Whether to hold this reading against a single answer."""
        return self._readings % _CHECK_EVERY == 1

    def failed(self, error: KlingEffectsError, now: float) -> None:
        """A page could not be had."""
        is_rejection = isinstance(error, ReplyError) or not error.retryable
        if is_rejection and not self.has_worked:
            self.trip(now)  # no such path, or no right to it
            return
        if isinstance(error, RequestTimeoutError):
            self._failures += _HUNG
        elif isinstance(error, RateLimitError):
            self._failures += _THROTTLED
        else:
            self._failures += _REJECTED if is_rejection else _PASSING
        self._judge(now)

    def answered(self, found: int, missed: int, *, took_s: float, now: float) -> None:
        """The pages came; of the tasks that should be on them they had these and missed those."""
        self.has_worked = True
        self._took_s = took_s
        self._failures = 0.0
        if found or missed:
            self._gaps = self._gaps + 1 if missed > found else 0
        self._judge(now)

    def compared(self, *, was_behind: bool, now: float) -> None:
        """A page and a single answer were compared; is the later page behind?"""
        self._behind = self._behind + 1 if was_behind else max(0.0, self._behind - _MADE_UP)
        self._judge(now)

    def did_without(self, now: float) -> None:
        """A task was polled singly with success where a page had just failed."""
        if self._failures:
            self._failures += _ALONE
            self._judge(now)

    def trip(self, now: float) -> None:
        """Request no page for a while."""
        self.is_usable, self._tripped_at = False, now
        self._rests_until, self._rest_s = now + self._rest_s, 2 * self._rest_s

    def reset(self, since: float) -> None:
        """Since then the service failed as a whole, so no failure of a page was the list's own."""
        self._failures = 0.0
        if not self.is_usable and self.has_worked and self._tripped_at >= since:
            self.is_usable, self._rest_s = True, self._rest_s / 2

    def half_open(self, now: float) -> None:
        """Try the list again once its rest is over."""
        if self._may_exist and not self.is_usable and now >= self._rests_until:
            self.is_usable, self.has_worked = True, False
            self._failures, self._gaps, self._behind = 0.0, 0, 0.0

    def _judge(self, now: float) -> None:
        if self._failures >= _FAILURES or self._gaps >= _GAPS or self._behind >= _BEHIND:
            self.trip(now)


class ListCheck:
    """Compares pages with single answers, for the breaker of the list.

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
        """Compare the answer with the pages, if the task was polled for that."""
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
        """Its single query is over, or nobody waits for it any more."""
        self.checked = None if task is self.checked else self.checked
        self.probe = None if task is self.probe else self.probe

    def to_probe(
        self, tasks: Collection[TrackedTask], error: KlingEffectsError
    ) -> set[TrackedTask]:
        """One task of a failed page, where a single query can show whether only the list fails."""
        if not tasks or isinstance(error, RateLimitError) or self.probe is not None:
            return set()
        self.probe = min(tasks, key=lambda task: task.began_at)
        return {self.probe}

    def to_check(self, tasks: Iterable[TrackedTask]) -> set[TrackedTask]:
        """A running task of the page: the oldest and the next of the others, in turn."""
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
