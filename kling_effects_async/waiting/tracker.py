"""One poller coroutine for all tasks of a client.

A ``Watch`` is one task as it is known here. Whoever waits for it puts a ``_Waiter`` on it; while
there is one, the watch has a due time in the tracker's heap. The poller sleeps until the first due
time, starts the questions that are due, and never waits for an answer itself, so that a hung
request holds up nothing but its own task. The end of a wait is a due time like any other: there is
one timer for everything.

What ends a wait without an end of the task: the policy's deadline, a span of trouble without a
break, an answer that no patience will change, and the closing of the client.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import count

from kling_effects_async.errors import (
    ApiError,
    ClientClosedError,
    KlingEffectsError,
    TaskNotFoundError,
    TaskTimeoutError,
)
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.policy import PollPolicy
from kling_effects_async.transport.clock import Clock, Timer
from kling_effects_async.transport.session import is_passing
from kling_effects_async.waiting.lifecycle import is_change, newer
from kling_effects_async.waiting.schedule import pause_after_trouble, pause_before_next

__all__ = ["Tracker", "Watch"]

_log = logging.getLogger(__name__)

# The loop was blocked, or the machine slept: waits get back the time in which nobody could ask.
_SLEPT_S = 30.0
_NEVER = float("inf")
# A timer may fire as early as its clock is coarse; what is due this soon is due now.
_TICK_S = 0.001


class Watch:
    """One task as it is known here; made by ``Tracker.watch``.

    Attributes:
        changes: every change seen, oldest first; the last is final once the task has ended.
        latest: the freshest snapshot, whose addresses and times may be newer than the last change.
    """

    __slots__ = (
        "__weakref__",
        "began_at",
        "changes",
        "due_at",
        "external_task_id",
        "failures",
        "is_asking",
        "latest",
        "next_ask_at",
        "result_missing_since",
        "task_id",
        "trouble_since",
        "waiters",
    )

    def __init__(self, task_id: str | None, external_task_id: str | None, now: float) -> None:
        self.task_id: str | None = task_id
        self.external_task_id: str | None = external_task_id
        self.latest: TaskSnapshot | None = None
        self.changes: list[TaskSnapshot] = []
        self.waiters: list[_Waiter] = []
        self.began_at: float = now
        self.next_ask_at: float = now
        self.due_at: float = _NEVER
        self.is_asking: bool = False
        self.failures: int = 0
        self.trouble_since: float = now
        self.result_missing_since: float | None = None

    @property
    def is_over(self) -> bool:
        """The last change is final."""
        return bool(self.changes) and self.changes[-1].is_final


class _Waiter:
    """Somebody who waits for one more change, until a deadline."""

    __slots__ = ("change", "deadline_at")

    def __init__(self, deadline_at: float) -> None:
        self.change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.deadline_at = deadline_at


class Tracker:
    """Asks about every task somebody waits for; see the top of this file.

    Args:
        fetch: asks the service about one task, once; raises what it must.
        random: a source of numbers in [0, 1).
    """

    def __init__(
        self,
        fetch: Callable[[Watch], Awaitable[TaskSnapshot]],
        *,
        policy: PollPolicy,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._fetch = fetch
        self._policy = policy
        self._clock = clock
        self._random = random
        self._heap: list[tuple[float, int, Watch]] = []
        self._numbers = count()
        self._poller: asyncio.Task[None] | None = None
        self._queue: deque[Watch] = deque()
        self._questions: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._paused_until = 0.0
        self._odd_words: set[str] = set()

    def watch(self, task_id: str | None, external_task_id: str | None) -> Watch:
        """A watch for this task; nothing is asked before somebody waits."""
        return Watch(task_id, external_task_id, self._clock.monotonic())

    def deadline(self) -> float:
        """When a wait that begins now has to end."""
        return self._clock.monotonic() + self._policy.deadline_s

    async def change_after(self, watch: Watch, seen: int, deadline_at: float) -> None:
        """Return once more than ``seen`` changes are known, or the task is over.

        Raises:
            TaskTimeoutError: ``deadline_at`` passed.
            KlingEffectsError: asking failed for longer than the policy allows, or for good.
            ClientClosedError: the tracker was closed.
        """
        while len(watch.changes) <= seen and not watch.is_over:
            waiter = _Waiter(deadline_at)
            watch.waiters.append(waiter)
            self._plan(watch)
            try:
                await waiter.change
            finally:
                watch.waiters.remove(waiter)

    def learn(self, watch: Watch, snapshot: TaskSnapshot) -> TaskSnapshot:
        """Take in what an answer said; what is held afterwards."""
        held = newer(watch.latest, snapshot)
        if held is not snapshot:
            return held  # late or stale
        has_news = is_change(watch.latest, held)
        watch.latest = held
        watch.task_id = watch.task_id or held.task_id
        watch.external_task_id = watch.external_task_id or held.external_task_id
        self._warn_once(held)
        if self._is_without_result(watch, held):
            return held
        if has_news or (held.is_final and not watch.is_over):
            watch.changes.append(held)
            self._wake_waiters(watch, None)
        return held

    async def aclose(self) -> None:
        """Fail every open wait and leave no task behind."""
        tasks = [task for task in (self._poller, *self._questions) if task is not None]
        for task in tasks:
            task.cancel()
        for _due, _number, watch in self._heap:
            self._wake_waiters(watch, _closed(watch))
        self._heap.clear()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._poller = None

    # -- the poller

    async def _poll(self) -> None:
        while True:
            self._wake.clear()
            self._start_what_is_due()
            planned_at = self._heap[0][0] if self._heap else _NEVER
            await self._sleep_until(planned_at)
            slept_s = self._clock.monotonic() - planned_at
            if slept_s > _SLEPT_S:
                self._give_back(slept_s)

    async def _sleep_until(self, when: float) -> None:
        timer: Timer | None = None
        if when != _NEVER:
            timer = self._clock.call_at(when, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _start_what_is_due(self) -> None:
        now = self._clock.monotonic() + _TICK_S
        while self._heap and self._heap[0][0] <= now:
            due_at, _number, watch = heapq.heappop(self._heap)
            if due_at != watch.due_at:
                continue  # planned anew since
            watch.due_at = _NEVER
            self._end_overdue_waits(watch, now)
            if not watch.is_asking and max(watch.next_ask_at, self._paused_until) <= now:
                watch.is_asking = True
                self._queue.append(watch)
            self._plan(watch)
        self._start_questions()

    def _start_questions(self) -> None:
        while self._queue and len(self._questions) < self._policy.parallel:
            watch = self._queue.popleft()
            if not _open_waits(watch):
                watch.is_asking = False
                continue
            question = asyncio.create_task(self._ask(watch))
            self._questions.add(question)
            question.add_done_callback(self._questions.discard)

    def _plan(self, watch: Watch) -> None:
        """Put the watch into the heap for the next thing that has to happen to it."""
        deadlines = _open_waits(watch)
        if not deadlines:
            return
        ask_at = _NEVER if watch.is_asking else max(watch.next_ask_at, self._paused_until)
        due_at = min(ask_at, *deadlines)
        if due_at != watch.due_at:
            watch.due_at = due_at
            heapq.heappush(self._heap, (due_at, next(self._numbers), watch))
            if self._heap[0][2] is watch:
                self._wake.set()
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll(), name="kling-effects-poller")

    async def _ask(self, watch: Watch) -> None:
        try:
            snapshot = await self._fetch(watch)
        except KlingEffectsError as error:
            self._take_trouble(watch, error)
        except Exception as error:
            # The outermost edge of a question: a fault of ours reaches those who wait.
            self._wake_waiters(watch, error)
        else:
            self._take_answer(watch, snapshot)
        finally:
            watch.is_asking = False
            self._plan(watch)
            if self._queue:
                self._wake.set()

    # -- what an answer, or none, does to a watch

    def _take_answer(self, watch: Watch, snapshot: TaskSnapshot) -> None:
        watch.failures = 0
        self.learn(watch, snapshot)
        now = self._clock.monotonic()
        watch.next_ask_at = now + pause_before_next(self._policy, now - watch.began_at)

    def _take_trouble(self, watch: Watch, error: KlingEffectsError) -> None:
        now = self._clock.monotonic()
        if watch.failures == 0:
            watch.trouble_since = now
        watch.failures += 1
        asked_s = getattr(error, "retry_after_s", None)
        pause_s = pause_after_trouble(self._policy, watch.failures, asked_s, self._random)
        watch.next_ask_at = now + pause_s
        if asked_s is not None:
            self._paused_until = max(self._paused_until, watch.next_ask_at)
        if self._is_hopeless(error, watch, now):
            watch.failures = 0
            self._wake_waiters(watch, error)
        else:
            _log.info("asking about task %s failed, asking again: %s", _name(watch), error)

    def _is_hopeless(self, error: KlingEffectsError, watch: Watch, now: float) -> bool:
        if not is_passing(error):
            return True
        if isinstance(error, ApiError) and (error.retry_after_s or 0.0) > self._policy.deadline_s:
            return True
        trouble_s = now - watch.trouble_since
        if isinstance(error, TaskNotFoundError):
            return trouble_s >= self._policy.not_found_grace_s
        return trouble_s >= self._policy.trouble_span_s

    def _is_without_result(self, watch: Watch, held: TaskSnapshot) -> bool:
        """Whether to ask again because the task succeeded and its videos are still to come."""
        if held.status is not TaskStatus.SUCCEEDED or held.videos:
            return False
        now = self._clock.monotonic()
        if watch.result_missing_since is None:
            watch.result_missing_since = now
        return now - watch.result_missing_since < self._policy.result_grace_s

    def _wake_waiters(self, watch: Watch, error: Exception | None) -> None:
        for waiter in watch.waiters:
            _settle(waiter, error)

    def _end_overdue_waits(self, watch: Watch, now: float) -> None:
        for waiter in watch.waiters:
            if waiter.deadline_at <= now:
                _settle(waiter, self._timeout(watch))

    def _timeout(self, watch: Watch) -> TaskTimeoutError:
        return TaskTimeoutError(
            task_id=watch.task_id,
            external_task_id=watch.external_task_id,
            deadline_s=self._policy.deadline_s,
            latest=watch.latest,
        )

    def _give_back(self, slept_s: float) -> None:
        _log.warning("nothing ran for %.0f s; asking at once, and no wait ends for it", slept_s)
        for _due, _number, watch in self._heap:
            for waiter in watch.waiters:
                waiter.deadline_at += slept_s

    def _warn_once(self, snapshot: TaskSnapshot) -> None:
        if snapshot.status is TaskStatus.UNKNOWN and snapshot.raw_status not in self._odd_words:
            self._odd_words.add(snapshot.raw_status)
            _log.warning("unknown task status %r: waiting on", snapshot.raw_status)


def _open_waits(watch: Watch) -> list[float]:
    """The deadlines of those who still wait."""
    return [waiter.deadline_at for waiter in watch.waiters if not waiter.change.done()]


def _settle(waiter: _Waiter, error: Exception | None) -> None:
    if waiter.change.done():
        return
    if error is None:
        waiter.change.set_result(None)
    else:
        waiter.change.set_exception(error)


def _name(watch: Watch) -> str:
    return watch.task_id or watch.external_task_id or "?"


def _closed(watch: Watch) -> ClientClosedError:
    return ClientClosedError(
        f"the client was closed while task {_name(watch)} was waited for; "
        "the task goes on at the service: attach() to it with an open client"
    )
