"""Every task that somebody waits for, and which of them to poll now; no asyncio and no clock.

A task is in just one stage (``tracked_task.py`` has the table), and only ``_move`` changes it. Who
is due is polled by a single query; where the service lists tasks and more than a few are due, one
page is read for all. Tasks that may end before the next page wait for it; no request is made for
them alone.

What ends a wait without an end of the task: the policy's deadline, failures for too long without a
break, an answer that no patience will change, and the closing of the client. ``failures.py`` has
what a failure does, and when no poll may start because the service answers nobody.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.log_fields import log_fields
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.answers import Answers
from kling_effects_async.polling.batch import PageBatch, PageRequest
from kling_effects_async.polling.failures import PollFailures, closed, timed_out
from kling_effects_async.polling.hints import HintLimiter
from kling_effects_async.polling.lifecycle import is_change, newer
from kling_effects_async.polling.list_breaker import ListBreaker, ListCheck
from kling_effects_async.polling.push import PushTrust, slow_poll_at
from kling_effects_async.polling.reading import FEWEST
from kling_effects_async.polling.schedule import DurationHistory
from kling_effects_async.polling.timetable import Timetable
from kling_effects_async.polling.tracked_task import (
    NEVER,
    OnEnd,
    PollStage,
    TrackedTask,
    TrackedTasks,
    Waiter,
)
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.transport.clock import TICK_S

__all__ = ["PollQueue"]

_log = logging.getLogger(__name__)


class PollQueue:
    """Decides what to poll, and applies the answers; see the top of this file.

    ``now`` is always a time of the same clock, which never goes back.

    Args:
        rng: a source of numbers in [0, 1).
        has_list: whether the service lists tasks; ``None`` where no document settles it.
        on_change: called with each change that a task has.

    Attributes:
        is_closed: nobody can wait any more.
        under_way: how many polls have no answer yet; a page is one.
    """

    def __init__(
        self,
        policy: PollPolicy,
        rng: Callable[[], float],
        *,
        has_list: bool | None,
        on_change: Callable[[TrackedTask, TaskSnapshot], None] | None = None,
    ) -> None:
        self.history: DurationHistory = DurationHistory()
        self.list_breaker: ListBreaker = ListBreaker(has_list)
        self.is_closed: bool = False
        self.under_way: int = 0
        self._policy = policy
        self._tasks = TrackedTasks()
        self._answers = Answers(
            self._tasks,
            self.history,
            result_grace_s=policy.result_grace_s,
            on_change=on_change,
        )
        self._failures = PollFailures(policy, rng, self.list_breaker)
        self.list_check: ListCheck = ListCheck(self.list_breaker)
        self._hints = HintLimiter()
        self._push = PushTrust()
        self._deadlines = Timetable()  # of every task that somebody waits for
        self._timetable = Timetable()
        self._next_page: dict[TrackedTask, None] = {}
        # Ordered, because both are emptied from the front.
        self._due: OrderedDict[TrackedTask, None] = OrderedDict()
        self._due_singly: OrderedDict[TrackedTask, None] = OrderedDict()
        self._lines = {
            PollStage.NEXT_PAGE: self._next_page,
            PollStage.DUE: self._due,
            PollStage.DUE_SINGLY: self._due_singly,
        }
        self._suspended_s = 0.0  # in all

    # -- waits

    def track(
        self, task_id: str | None, external_task_id: str | None, *, scene: str, now: float
    ) -> TrackedTask:
        """What is known of the task, shared by all who name it by the same id."""
        task = self._tasks.find(task_id, external_task_id)
        if task is None:
            task = TrackedTask(task_id, external_task_id, scene, now)
            self._tasks.register(task)
        else:
            self._tasks.complete(task, task_id, external_task_id)
            task.scene = task.scene or scene
        return task

    def deadline(self, now: float) -> float:
        """When a wait that begins now has to end, for ``wait``.

        Counted without the time in which nobody could poll, also what of that is still to come.
        """
        return now - self._suspended_s + self._policy.deadline_s

    def wait(
        self, task: TrackedTask, deadline: float, settle: Callable[[Exception | None], None]
    ) -> Waiter:
        """Somebody waits for a change; ``deadline`` is one of ``deadline()``."""
        if not task.is_wanted:
            task.reset_failures()  # while nobody polled, nothing failed either
        waiter = Waiter(deadline + self._suspended_s, settle)
        task.join(waiter)
        self._reschedule(task)
        return waiter

    def leave(self, task: TrackedTask, waiter: Waiter) -> None:
        """The waiter is settled, or waits no longer."""
        task.waiters.discard(waiter)
        if not task.is_wanted:
            self._reschedule(task)

    def follow(self, task: TrackedTask, on_end: OnEnd, now: float) -> None:
        """Poll the task to its end even if nobody waits, and call ``on_end`` once.

        The policy's deadline holds as for a wait.
        """
        task.is_ours = True
        if task.is_over:
            task.record = on_end(task.latest)
            return
        if self.is_closed:
            return
        if task.latest is not None:  # just submitted: the answer to that is the first poll
            # Its length counts for the history only if it was followed from its acceptance.
            task.is_whole = True
            task.next_poll_at = self._next_poll_at(task, now)
        task.follow(on_end, self.deadline(now) + self._suspended_s)
        self._reschedule(task)

    def close(self) -> None:
        """Fail every open wait; nothing is polled any more."""
        self.is_closed = True
        for task in self._deadlines:
            task.wake(closed(task))
            self._reschedule(task)

    # -- what to poll, and when

    @property
    def wake_at(self) -> float:
        """When ``advance`` and ``next_poll`` have something to do, or before that."""
        return min(
            self._timetable.next_at,
            self._deadlines.next_at,
            self.list_breaker.next_at if self._next_page else NEVER,
            self._held_back_until(),
            self._push.judges_at,
        )

    @property
    def is_due(self) -> bool:
        """A task is due that no poll is under way for."""
        return bool(self._due_singly or self._due)

    def stages_of(self, task: TrackedTask) -> list[PollStage]:
        """The stages in whose collections the task is: its own, or none while idle or polled."""
        stages = [stage for stage, line in self._lines.items() if task in line]
        return [*stages, PollStage.SCHEDULED] if task in self._timetable else stages

    def has_deadline(self, task: TrackedTask) -> bool:
        """Whether the end of a wait for the task is in the timetable."""
        return task in self._deadlines

    def advance(self, now: float) -> None:
        """End the waits whose deadline has passed, and move on the tasks whose time has come."""
        due_by = now + TICK_S
        self.list_breaker.half_open(due_by)
        if self._push.judge(due_by):  # ends are announced no more
            for task in self._timetable:
                self._hurry(task, now)
        for task in self._deadlines.take_due(due_by):
            if task.deadline_at <= due_by:
                task.time_out(due_by, partial(timed_out, task, self._policy, due_by))
            self._reschedule(task)
        for task in self._timetable.take_due(due_by):
            if self._poll_at(task) <= due_by:
                self._make_due(task, now)
            else:  # a page was requested after it was planned
                self._schedule(task)
        self._end_next_page(now, due_by)

    def next_poll(self, now: float) -> PageBatch | TrackedTask | None:
        """A poll to send now, under way until one of the methods below gets its outcome.

        ``None``: nothing is due, or nothing more may be sent now.
        """
        if self._may_read_pages(now):
            return self._start_pages(now)
        if not self.is_due or not self._failures.has_room(self.under_way):
            return None
        if not self._failures.may_start(now):
            return None  # an outage, its end, or a pause that the service requested
        # Those that a page did not show come first: the others may still share one.
        task = next(iter(self._due_singly or self._due))
        self._move(task, PollStage.POLLED)
        self._start(now)
        return task

    def suspended(self, for_s: float) -> None:
        """The machine slept, or the loop was blocked: every deadline moves by that."""
        _log.warning(
            "the process was suspended for %.0f s; deadlines are extended",
            for_s,
            extra=log_fields("process.suspended", suspended_s=for_s),
        )
        self._suspended_s += for_s
        for task in self._deadlines:
            task.postpone(for_s)
            task.is_whole = False  # nothing was polled meanwhile, so its length is not known

    # -- what came of a single query

    def answered(self, task: TrackedTask, snapshot: TaskSnapshot, now: float) -> None:
        """The service answered with the task's status."""
        self.list_check.answered_singly(task, snapshot, now)
        self._failures.answered(now)
        try:
            self._take(task, snapshot, now)
        finally:  # whatever a caller's ``on_end`` raises
            task.next_poll_at = self._next_poll_at(task, now)
            self._end_poll(task)

    def failed(self, task: TrackedTask, error: KlingEffectsError, now: float) -> None:
        """The poll failed, or its answer is not about the task."""
        if self._failures.take(task, error, now):
            self._rest_all(now)
        self._end_poll(task)

    def broken(self, task: TrackedTask, error: Exception, now: float) -> None:
        """A fault of ours: it reaches those who wait."""
        self._failures.circuit.spoiled()
        task.next_poll_at = now + self._policy.max_interval_s
        task.wake(error)
        self._end_poll(task)

    # -- what came of a page

    def next_page(self, batch: PageBatch) -> PageRequest:
        """The page to request now."""
        return batch.next_page(self.list_check.ended_id)

    def page_answered(
        self, batch: PageBatch, request: PageRequest, page: Listed, now: float
    ) -> bool:
        """The page came; whether to read the next one. If not, call ``pages_read``."""
        found_before = batch.found
        for snapshot in page.tasks:
            if snapshot.task_id == request.ended_id:
                self.list_check.shown(snapshot, now)
            for task in batch.take(snapshot):
                self._take_listed(task, snapshot, now)
        goes_on = batch.goes_on_after(page, found_before)
        if goes_on:
            self.list_breaker.requested_next(now)
        return goes_on

    def pages_read(self, batch: PageBatch, now: float) -> None:
        """The reading is over; what it did not show is polled by single queries."""
        self._failures.answered(now)
        took_s = now - batch.began_at
        self.list_breaker.answered(batch.found, batch.missed, took_s=took_s, now=now)
        missing = set(batch.missing)
        for task in batch.tasks:
            task.is_unlisted = task in missing
        self._end_pages(batch, missing | self.list_check.to_check(batch.tasks), now)

    def page_failed(self, batch: PageBatch, error: KlingEffectsError, now: float) -> None:
        """The request for a page failed."""
        self.list_breaker.failed(error, now)
        delays = self.list_breaker.is_usable and error.retryable
        missing = batch.missing
        if self._failures.take_page(missing, error, now, delays=delays):
            self._rest_all(now)
        singly = self.list_check.to_probe(missing, error) if delays else set(missing)
        self._end_pages(batch, singly, now)

    def page_broken(self, batch: PageBatch, now: float) -> None:
        """A fault of ours; nobody waits longer for it."""
        self.list_breaker.trip(now)
        self._end_pages(batch, batch.missing, now)

    # -- answers to other requests

    def learn(
        self, task: TrackedTask, snapshot: TaskSnapshot, now: float, *, is_recalled: bool = False
    ) -> TaskSnapshot:
        """Apply any answer about the task; the snapshot that is kept."""
        held = self._answers.learn(task, snapshot, now, is_recalled=is_recalled)
        if not task.is_wanted:
            self._reschedule(task)
        return held

    def service_answered(self, now: float) -> None:
        """A caller's own request was answered; ends an outage that polls have seen."""
        self._failures.answered(now)

    # -- callbacks

    def find(self, task_id: str | None, external_task_id: str | None) -> TrackedTask | None:
        """The task by what is known of it; ``None`` where nobody uses it."""
        return None if self.is_closed else self._tasks.find(task_id, external_task_id)

    def announced(self, task: TrackedTask, snapshot: TaskSnapshot, now: float) -> None:
        """A message that is surely the service's own: it counts as an answer does."""
        task.is_announced = True
        if snapshot.is_final:
            self._push.told(task, now)
        was_over = task.is_over
        self._answers.announce(task, snapshot, now)
        if task.is_over and not was_over:
            self._push.ended(task, now)
        elif snapshot.is_final and not task.is_over:  # its video is not in the message
            self._poll_soon(task, now)
        if not task.is_wanted:
            self._reschedule(task)

    def hint(self, task: TrackedTask, claim: TaskSnapshot, now: float) -> bool:
        """A message that proves nothing; whether the task is polled earlier for it.

        It is where that would be news and the service answers: now, if the limits allow it, and at
        the usual pace if they do not.
        """
        if task.is_over:
            if claim.is_final:
                self._push.told(task, now)  # a poll was quicker
            return False
        if not _is_worth_a_poll(task, claim):
            return False
        if claim.is_final:
            self._push.told(task, now)
        if self._hints.take(task, now, is_end=claim.is_final):
            self._poll_soon(task, now)
        else:
            self._hurry(task, now)
        return True

    def _poll_soon(self, task: TrackedTask, now: float) -> None:
        task.is_hinted = task.stage is PollStage.POLLED
        task.next_poll_at = min(task.next_poll_at, now)
        self._reschedule(task)

    def _hurry(self, task: TrackedTask, now: float) -> None:
        """Poll at the usual pace, where the next poll was put off."""
        usual_at = now + self._pause(task, now)
        if not task.failures and not self._push.slows(task) and usual_at < task.next_poll_at:
            task.next_poll_at = usual_at
            self._reschedule(task)

    # -- from stage to stage

    def _move(self, task: TrackedTask, stage: PollStage) -> None:
        """Out of one stage and into another; the only place where a stage changes."""
        before = task.stage
        if before is stage:
            return
        if before is PollStage.SCHEDULED:
            self._timetable.remove(task)
        elif before in self._lines:
            del self._lines[before][task]
        task.move_to(stage)
        if stage in self._lines:
            self._lines[stage][task] = None

    def _reschedule(self, task: TrackedTask) -> None:
        """Schedule it while somebody waits, unless its next poll is planned already."""
        if task.stage is PollStage.POLLED:
            self._is_kept(task)
        elif not self._is_kept(task):
            self._drop(task)
        elif task.stage in (PollStage.IDLE, PollStage.SCHEDULED):
            self._schedule(task)

    def _schedule_or_drop(self, task: TrackedTask) -> None:
        """The same after a poll."""
        if self._is_kept(task):
            self._schedule(task)
        else:
            self._drop(task)

    def _drop(self, task: TrackedTask) -> None:
        self.list_check.polled(task)
        self._move(task, PollStage.IDLE)

    def _is_kept(self, task: TrackedTask) -> bool:
        """Whether somebody waits; if so, the deadline is in the timetable of deadlines."""
        is_kept = task.is_wanted and not self.is_closed
        if is_kept:
            self._deadlines.schedule(task, task.deadline_at)
        else:
            self._deadlines.remove(task)
        return is_kept

    def _schedule(self, task: TrackedTask) -> None:
        self._move(task, PollStage.SCHEDULED)
        self._timetable.schedule(task, self._poll_at(task))

    def _make_due(self, task: TrackedTask, now: float) -> None:
        self._move(task, PollStage.DUE)
        self._rest(task, now)

    def _end_next_page(self, now: float, due_by: float) -> None:
        """Move on those that wait for the next page, or schedule them where pages ended."""
        has_pages = self.list_breaker.is_usable
        if has_pages and self.list_breaker.next_at > due_by:
            return
        for task in list(self._next_page):
            if has_pages:
                self._make_due(task, now)
            else:
                task.next_poll_at = self._next_poll_at(task, now)
                self._schedule_or_drop(task)

    def _rest_all(self, now: float) -> None:
        """The circuit opened."""
        for task in (*self._due_singly, *self._due):
            self._rest(task, now)

    def _rest(self, task: TrackedTask, now: float) -> None:
        self._failures.rest(task, now)
        if not task.is_wanted:
            self._reschedule(task)

    # -- what a poll begins and ends with

    def _may_read_pages(self, now: float) -> bool:
        is_shared = self.list_breaker.is_usable and len(self._due) >= FEWEST
        return is_shared and self._failures.may_start_page(now)

    def _start_pages(self, now: float) -> PageBatch:
        batch = PageBatch(list(self._due), now)
        for task in batch.tasks:
            self._move(task, PollStage.POLLED)
        self.list_breaker.requested(now, min(now - task.began_at for task in batch.tasks))
        self._start(now)
        return batch

    def _start(self, now: float) -> None:
        self.under_way += 1
        self._failures.circuit.started(now)

    def _ended(self) -> None:
        self.under_way -= 1
        if not self.under_way and not self.is_due:
            self._failures.circuit.idle()

    def _end_poll(self, task: TrackedTask) -> None:
        self.list_check.polled(task)
        self._schedule_or_drop(task)
        self._ended()

    def _take(self, task: TrackedTask, snapshot: TaskSnapshot, now: float) -> None:
        was_over = task.is_over
        self._answers.take(task, snapshot, now)
        if task.is_over and not was_over:
            self._push.ended(task, now)

    def _take_listed(self, task: TrackedTask, snapshot: TaskSnapshot, now: float) -> None:
        if snapshot is task.latest:
            task.answered(now)
        else:
            self._take(task, snapshot, now)
        if not task.is_wanted:
            self._reschedule(task)

    def _end_pages(self, batch: PageBatch, singly: Iterable[TrackedTask], now: float) -> None:
        to_query = batch.without_id.union(singly)
        is_shared = self._is_shared()
        for task in batch.tasks:
            if task in to_query:
                self._leave_page(task, PollStage.DUE_SINGLY)
            elif is_shared and self._may_end_soon(task, now) and task.is_wanted:
                self._leave_page(task, PollStage.NEXT_PAGE)
            else:
                if not task.failures:
                    task.next_poll_at = self._next_poll_at(task, now)
                self._schedule_or_drop(task)
        self._ended()

    def _leave_page(self, task: TrackedTask, stage: PollStage) -> None:
        if task.is_wanted and not self.is_closed:  # so its deadline is on record
            self._move(task, stage)
        else:
            self._schedule_or_drop(task)

    def _may_end_soon(self, task: TrackedTask, now: float) -> bool:
        if task.failures or task.is_over or self._push.slows(task):
            return False
        return self.history.earliest_end_in_s(task.scene, now - task.began_at) == 0.0

    # -- when

    def _poll_at(self, task: TrackedTask) -> float:
        # Where pages answer, everybody who is due waits for the next one, to share it.
        shared_at = self.list_breaker.next_at if self.list_breaker.is_usable else 0.0
        return max(task.next_poll_at, shared_at)

    def _held_back_until(self) -> float:
        """When what is due may be sent; ``NEVER`` where nothing is, or there is no room now."""
        has_room = self._failures.has_room(self.under_way)
        return self._failures.next_start_at if has_room and self.is_due else NEVER

    def _is_shared(self) -> bool:
        """Whether pages are requested: they can be had, and enough is waited for."""
        return self.list_breaker.is_usable and len(self._deadlines) >= FEWEST

    def _next_poll_at(self, task: TrackedTask, now: float) -> float:
        if task.is_hinted:  # the answer may be older than what the message says
            task.is_hinted = False
            return now + self._policy.shortest_s
        usual_s = self._pause(task, now)
        if self._push.slows(task):
            return slow_poll_at(self._policy, now, usual_s, is_shared=self._is_shared())
        return now + usual_s

    def _pause(self, task: TrackedTask, now: float) -> float:
        age_s = now - task.began_at
        if not self._is_shared() or task.is_unlisted:
            return self.history.pause(self._policy, task.scene, age_s)
        # One more task on the next page is free, so only what cannot end yet waits longer.
        earliest_end_in_s = self.history.earliest_end_in_s(task.scene, age_s)
        if earliest_end_in_s is None:
            return self.history.pause(self._policy, task.scene, age_s)
        rhythm_s = self.list_breaker.pause(age_s)
        until_next_s = self.list_breaker.next_at - now
        # The next page, unless that is past, or so near that it would be requested for this alone.
        return max(earliest_end_in_s, until_next_s if until_next_s > rhythm_s / 2 else rhythm_s)


def _is_worth_a_poll(task: TrackedTask, claim: TaskSnapshot) -> bool:
    """Somebody waits, the service answers, and the claim would be news."""
    is_news = newer(task.latest, claim) is claim and is_change(task.latest, claim)
    return is_news and task.is_wanted and not task.failures
