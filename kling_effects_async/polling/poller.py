"""One coroutine that polls all tasks of a client, and those who wait for it.

It sleeps until the queue has something to do, with one timer for everything, sends what is due, and
never waits for an answer itself, so that a hung request delays nothing but its own task. What to
poll, and what an answer changes, is decided by the queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from kling_effects_async.api import EffectsApi
from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.events import Event, unheard
from kling_effects_async.log_fields import log_fields
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.observer import NOBODY, PollKind
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.batch import PageBatch
from kling_effects_async.polling.failures import closed
from kling_effects_async.polling.list_breaker import ListBreaker
from kling_effects_async.polling.queue import PollQueue
from kling_effects_async.polling.schedule import DurationHistory
from kling_effects_async.polling.task_reports import TaskReports
from kling_effects_async.polling.tracked_task import NEVER, OnEnd, TrackedTask
from kling_effects_async.protocol.requests import PAGE_SIZE_MAX
from kling_effects_async.transport.clock import Clock, Timer

__all__ = ["Poller"]

_log = logging.getLogger(__name__)

# A timer that is so late means a blocked loop or a suspended machine, where nothing was polled, so
# deadlines move by that. Shorter delays are normal under load.
_SUSPENDED_S = 30.0


class Poller:
    """Polls every task that somebody waits for; see the top of this file.

    Args:
        rng: a source of numbers in [0, 1).
        on_event: called with the events of tasks.
        on_poll: called with the kind of each request.

    Attributes:
        polls: how many requests were made, a page being one.
    """

    def __init__(
        self,
        api: EffectsApi,
        *,
        policy: PollPolicy,
        clock: Clock,
        rng: Callable[[], float],
        on_event: Callable[[Event], object] = unheard,
        on_poll: Callable[[PollKind], None] = NOBODY.polled,
    ) -> None:
        self._on_poll = on_poll
        self.polls: int = 0
        self._reports = TaskReports(on_event, clock)
        self._queue = PollQueue(policy, rng, has_list=api.has_list, on_change=self._reports.changed)
        self._api = api
        self._clock = clock
        self._loop: asyncio.Task[None] | None = None
        self._polls: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._sleeps_until = NEVER

    @property
    def history(self) -> DurationHistory:
        """How long tasks took so far."""
        return self._queue.history

    @property
    def list_breaker(self) -> ListBreaker:
        """What is known of the service's list."""
        return self._queue.list_breaker

    @property
    def last_lag_s(self) -> float | None:
        """How late the last end was known here; see ``TaskEnded.lag_s``."""
        return self._reports.last_lag_s

    def track(
        self, task_id: str | None, external_task_id: str | None, *, scene: str = ""
    ) -> TrackedTask:
        """What is known of this task, shared by all who name it by the same id.

        It is not polled before somebody waits.
        """
        return self._queue.track(
            task_id, external_task_id, scene=scene, now=self._clock.monotonic()
        )

    def began(self, task: TrackedTask, at: datetime) -> None:
        """Say since when a task runs that is not followed from its submit on.

        Its age decides when it is polled. A clock that was set since changes its polls, within the
        bounds of the policy, and nothing else.
        """
        if not task.is_whole:
            age_s = (self._clock.now() - at).total_seconds()
            task.began_at = min(task.began_at, self._clock.monotonic() - age_s)

    def deadline(self) -> float:
        """When a wait that begins now has to end, for ``change_after``."""
        return self._queue.deadline(self._clock.monotonic())

    def expected_end(self, task: TrackedTask) -> tuple[datetime, datetime] | None:
        """See ``EffectTask.expected_end``."""
        spread, now = self.history.spread(task.scene), self._clock.now()
        began_at = self._began_at(task, now)
        if spread is None or began_at is None or task.is_over:
            return None
        early, late, latest = (began_at + timedelta(seconds=seconds) for seconds in spread)
        until = late if now < late else latest
        return (max(now, early), until) if now < until else None

    def _began_at(self, task: TrackedTask, now: datetime) -> datetime | None:
        if task.is_whole:
            return now - timedelta(seconds=self._clock.monotonic() - task.began_at)
        return None if task.latest is None else task.latest.created_at

    async def change_after(self, task: TrackedTask, seen: int, deadline: float) -> None:
        """Return once more than ``seen`` changes are known, or the task is over.

        Raises:
            TaskTimeoutError: ``deadline``, one of ``deadline()``, passed.
            KlingEffectsError: polls failed for longer than the policy allows, or for good.
            ClientClosedError: the poller was closed.
        """
        while len(task.changes) <= seen and not task.is_over:
            if self._queue.is_closed:
                raise closed(task)
            change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiter = self._queue.wait(task, deadline, partial(_settle, change))
            self._rearm()
            try:
                await change
            finally:
                self._queue.leave(task, waiter)

    def follow(self, task: TrackedTask, on_end: OnEnd) -> None:
        """Poll the task to its end even if nobody waits, and call ``on_end`` once.

        Costs no asyncio task and no timer. The policy's deadline holds as for a wait.
        """
        self._queue.follow(task, on_end, self._clock.monotonic())
        self._rearm()

    def learn(self, task: TrackedTask, snapshot: TaskSnapshot) -> TaskSnapshot:
        """Apply any answer about the task; the snapshot that is kept."""
        return self._queue.learn(task, snapshot, self._clock.monotonic())

    def recall(self, task: TrackedTask, snapshot: TaskSnapshot) -> None:
        """Apply what the journal holds of the task, which is no event."""
        self._queue.learn(task, snapshot, self._clock.monotonic(), is_recalled=True)

    def find(self, task_id: str | None, external_task_id: str | None) -> TrackedTask | None:
        """The task by what is known of it; ``None`` where nobody uses it."""
        return self._queue.find(task_id, external_task_id)

    def announced(self, task: TrackedTask, snapshot: TaskSnapshot) -> None:
        """Apply a message that is surely the service's own; one that is final ends the waits."""
        self._queue.announced(task, snapshot, self._clock.monotonic())
        self._rearm()

    def hint(self, task: TrackedTask, claim: TaskSnapshot) -> None:
        """Poll the task now because of a message that proves nothing, if the limits allow it."""
        if self._queue.hint(task, claim, self._clock.monotonic()):
            self._rearm()

    async def refresh(self, task: TrackedTask) -> TaskSnapshot:
        """Query the task now, with the usual tries, whatever the schedule says.

        Raises:
            KlingEffectsError: no useful answer.
        """
        snapshot = await self._api.query(*task.known_ids)
        self.service_answered()
        return self.learn(task, snapshot)

    def service_answered(self) -> None:
        """A caller's own request was answered; ends an outage that polls have seen."""
        self._queue.service_answered(self._clock.monotonic())
        self._wake.set()

    async def aclose(self) -> None:
        """Fail every open wait and leave no asyncio task behind."""
        tasks = [task for task in (self._loop, *self._polls) if task is not None]
        for task in tasks:
            task.cancel()
        self._queue.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop = None

    # -- the coroutine

    async def _run(self) -> None:
        while True:
            # Before the queue is asked, so that what is set meanwhile is not lost.
            self._wake.clear()
            now = self._clock.monotonic()
            self._queue.advance(now)
            self._send_what_is_due(now)
            self._sleeps_until = self._queue.wake_at
            await self._sleep_until(self._sleeps_until)
            late_s = self._clock.monotonic() - self._sleeps_until
            if late_s > _SUSPENDED_S:
                self._queue.suspended(late_s)

    async def _sleep_until(self, when: float) -> None:
        timer: Timer | None = None
        if when != NEVER:
            timer = self._clock.call_at(when, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _rearm(self) -> None:
        """Something may be due earlier than before."""
        # Only if earlier: to wake for each of thousands of new tasks would cost more than polling.
        if self._queue.wake_at < self._sleeps_until:
            self._wake.set()
        # At the first task that is waited for: a client that only downloads or lists needs none.
        if self._loop is None and self._queue.wake_at != NEVER:
            # In a context of its own: polls are no part of what the first waiter is doing, such as
            # the span of a request that it serves.
            self._loop = asyncio.create_task(
                self._run(), name="kling-effects-poller", context=Context()
            )

    def _send_what_is_due(self, now: float) -> None:
        while (poll := self._queue.next_poll(now)) is not None:
            if isinstance(poll, PageBatch):
                self._send(self._read_pages(poll))
            else:
                self._send(self._query(poll))

    def _send(self, poll: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(poll)
        self._polls.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, poll: asyncio.Task[None]) -> None:
        self._polls.discard(poll)
        if self._queue.is_due:
            self._wake.set()  # only now is there room for the next
        elif not self._queue.is_closed:
            self._rearm()

    async def _query(self, task: TrackedTask) -> None:
        self._count("query")
        task_id, external_task_id = task.next_ids
        try:
            snapshot = await self._api.poll(task_id, external_task_id)
        except KlingEffectsError as error:
            self._queue.failed(task, error, self._clock.monotonic())
        except Exception as error:
            # The outermost edge of a poll: a fault of ours reaches those who wait.
            self._queue.broken(task, error, self._clock.monotonic())
        else:
            task.is_known_by_external_id = task_id is None
            self._note_beginning(task, snapshot)
            self._queue.answered(task, snapshot, self._clock.monotonic())

    def _note_beginning(self, task: TrackedTask | None, snapshot: TaskSnapshot) -> None:
        if task is not None and snapshot.created_at is not None:
            self.began(task, snapshot.created_at)

    def _count(self, kind: PollKind) -> None:
        self.polls += 1
        self._on_poll(kind)

    async def _read_pages(self, batch: PageBatch) -> None:
        try:
            while await self._read_page(batch):
                pass
        except KlingEffectsError as error:
            self._queue.page_failed(batch, error, self._clock.monotonic())
        except Exception as error:
            # The outermost edge of a poll: a fault of ours must not keep anybody waiting.
            _log.error(
                "a page could not be read, using single queries: %s",
                type(error).__name__,
                extra=log_fields("polls.page_broken", error=error),
            )
            self._queue.page_broken(batch, self._clock.monotonic())
        else:
            self._queue.pages_read(batch, self._clock.monotonic())

    async def _read_page(self, batch: PageBatch) -> bool:
        """Whether to read the next page too."""
        request = self._queue.next_page(batch)
        self._count("page")
        page = await self._api.poll_list(request.number, PAGE_SIZE_MAX, request.wanted)
        for snapshot in page.tasks:
            self._note_beginning(self._queue.find(snapshot.task_id, None), snapshot)
        return self._queue.page_answered(batch, request, page, self._clock.monotonic())


def _settle(change: asyncio.Future[None], error: Exception | None) -> None:
    """End the wait, with an error or with a change; only the first counts."""
    if change.done():
        return
    if error is None:
        change.set_result(None)
    else:
        change.set_exception(error)
