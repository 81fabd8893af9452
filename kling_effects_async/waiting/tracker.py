"""One poller coroutine for all tasks of a client.

Whoever waits for a task puts a ``Waiter`` on its ``Watch``, or holds it; while there is somebody,
it is on two agendas: when to ask about it next, and when the patience of a wait ends. The poller
sleeps until the first of these moments, with one timer for everything, starts the questions that
are due, and never waits for an answer itself, so that a hung request holds up nothing but its own
task. Where the service lists tasks and more than a few are due, one page answers for all; who can
end any time now stands in a row for the next page, and costs nothing more until it comes.

What ends a wait without an end of the task: the policy's deadline, a span of trouble without a
break, an answer that no patience will change, and the closing of the client. ``failures.py`` has
what a failure does, and when no question may start because the service answers nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from itertools import chain
from typing import Any

from attrs import frozen

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.policy import PollPolicy
from kling_effects_async.protocol.redaction import redacted
from kling_effects_async.transport.clock import TICK_S, Clock, Timer
from kling_effects_async.waiting.agenda import Agenda
from kling_effects_async.waiting.failures import Failures
from kling_effects_async.waiting.lifecycle import is_change, newer
from kling_effects_async.waiting.pages import Pages
from kling_effects_async.waiting.reading import FEWEST
from kling_effects_async.waiting.rounds import AskPage, Rounds
from kling_effects_async.waiting.schedule import DurationHistory
from kling_effects_async.waiting.trouble import closed, timed_out
from kling_effects_async.waiting.watch import NEVER, Holder, Waiter, Watch, Watches

__all__ = ["Questions", "Tracker"]

_log = logging.getLogger(__name__)

# The loop was blocked, or the machine slept: waits get back the time in which nobody could ask.
_SLEPT_S = 30.0


@frozen
class Questions:
    """What a tracker may ask the service; each is sent once and raises what it must.

    Attributes:
        one: about one task.
        page: a page of the task list.
        has_list: whether there is a list, as far as the documents say.
    """

    one: Callable[[Watch], Awaitable[TaskSnapshot]]
    page: AskPage | None = None
    has_list: bool | None = None


class Tracker:
    """Asks about every task somebody waits for; see the top of this file.

    A watch that somebody wants is in just one place: on the agenda of questions, in the row for the
    next page, due and queued, or being asked about (``is_asking`` covers these two).

    Args:
        random: a source of numbers in [0, 1).
    """

    def __init__(
        self,
        questions: Questions,
        *,
        policy: PollPolicy,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.experience: DurationHistory = DurationHistory()
        self.pages: Pages = Pages(questions.has_list if questions.page is not None else False)
        self._ask_one = questions.one
        self._failures = Failures(
            policy, clock, random, self.pages, lambda: chain(self._singles, self._queue)
        )
        self._rounds = Rounds(
            questions.page,
            self.pages,
            clock,
            take_answer=self._take_answer,
            failures=self._failures,
        )
        self._policy = policy
        self._clock = clock
        self._watches = Watches()
        self._asks = Agenda()
        self._row: dict[Watch, None] = {}  # they wait for the next page instead
        self._ends = Agenda()  # of every wait; has all watches that somebody wants
        self._poller: asyncio.Task[None] | None = None
        self._queue: deque[Watch] = deque()  # due
        self._singles: deque[Watch] = deque()  # due, and no page shows them
        self._asking: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._sleeps_until = NEVER
        self._lost_s = 0.0  # in which nothing ran, in all
        self._is_closed = False
        self._odd_words: set[str] = set()

    def watch(self, task_id: str | None, external_task_id: str | None, *, scene: str = "") -> Watch:
        """The watch of this task, shared by all who ask for it by the same id.

        Nothing is asked before somebody waits.
        """
        held = self._watches.find(task_id, external_task_id)
        if held is None:
            held = Watch(task_id, external_task_id, scene, self._clock.monotonic())
            self._watches.register(held)
        else:
            self._watches.complete(held, task_id, external_task_id)
            held.scene = held.scene or scene
        return held

    def deadline(self) -> float:
        """When a wait that begins now has to end, for ``change_after``.

        Counted without the time in which nobody could ask, also what of that is still to come.
        """
        return self._clock.monotonic() - self._lost_s + self._policy.deadline_s

    async def change_after(self, watch: Watch, seen: int, deadline_at: float) -> None:
        """Return once more than ``seen`` changes are known, or the task is over.

        Raises:
            TaskTimeoutError: ``deadline_at``, one of ``deadline()``, passed.
            KlingEffectsError: asking failed for longer than the policy allows, or for good.
            ClientClosedError: the tracker was closed.
        """
        while len(watch.changes) <= seen and not watch.is_over:
            if self._is_closed:
                raise closed(watch)
            if not watch.is_wanted:
                watch.failures = 0  # while nobody asked, there was no trouble either
                watch.unknown_since = None
            waiter = Waiter(deadline_at + self._lost_s)
            watch.join(waiter)
            self._plan(watch)
            try:
                await waiter.change
            finally:
                watch.waiters.discard(waiter)
                if not watch.is_wanted:
                    self._strike(watch)

    def hold(self, watch: Watch, holder: Holder) -> None:
        """Follow the task to its end even if nobody waits, and tell ``holder`` once.

        Costs no asyncio task and no timer. The policy's deadline holds as for a wait.
        """
        watch.is_ours = True
        if watch.is_over:
            watch.record = holder(watch.latest)
            return
        if self._is_closed:
            return
        if watch.latest is not None:  # just submitted: its answer is the first look
            watch.is_whole = True
            now = self._clock.monotonic()
            watch.next_ask_at = now + self._pause(watch, now)
        watch.hold(holder, self.deadline() + self._lost_s)
        self._plan(watch)

    def learn(self, watch: Watch, snapshot: TaskSnapshot) -> TaskSnapshot:
        """Take in what an answer said; what is held afterwards."""
        held = newer(watch.latest, snapshot)
        if held is not snapshot:
            return held  # late or stale
        has_news = is_change(watch.latest, held)
        watch.latest = held
        self._watches.complete(watch, held.task_id, held.external_task_id)
        self._warn_once(held)
        if self._is_without_result(watch, held):
            return held
        if has_news or (held.is_final and not watch.is_over):
            watch.change(held)
        if watch.is_over:
            watch.let_go(held)
        return held

    def service_answered(self) -> None:
        """A caller's own question was answered; ends an outage that polls have seen."""
        self._failures.answered()
        self._wake.set()

    async def aclose(self) -> None:
        """Fail every open wait and leave no task behind."""
        self._is_closed = True
        tasks = [task for task in (self._poller, *self._asking) if task is not None]
        for task in tasks:
            task.cancel()
        for watch in self._ends:
            watch.wake(closed(watch))
            self._strike(watch)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._poller = None

    # -- the poller

    async def _poll(self) -> None:
        while True:
            self._wake.clear()
            self._queue_what_is_due()
            self._start_questions()
            self._sleeps_until = min(
                self._asks.next_at, self._ends.next_at, self._row_at(), self._held_back_until()
            )
            await self._sleep_until(self._sleeps_until)
            slept_s = self._clock.monotonic() - self._sleeps_until
            if slept_s > _SLEPT_S:
                self._give_back(slept_s)

    async def _sleep_until(self, when: float) -> None:
        timer: Timer | None = None
        if when != NEVER:
            timer = self._clock.call_at(when, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _queue_what_is_due(self) -> None:
        now = self._clock.monotonic() + TICK_S
        self.pages.wake_up(now)
        for watch in self._ends.take_due(now):
            if watch.deadline_at <= now:
                watch.give_up(now, partial(timed_out, watch, self._policy, now))
            self._plan(watch)
        for watch in self._asks.take_due(now):
            self._queue_or_plan(watch, is_due=not watch.is_asking and self._ask_at(watch) <= now)
        self._move_row(now)

    def _queue_or_plan(self, watch: Watch, *, is_due: bool = True) -> None:
        if is_due and watch.is_wanted:
            watch.is_asking = True
            self._queue.append(watch)
            self._failures.rest(watch)
        else:  # it ended, or a page was asked for, after it was planned
            self._plan(watch)

    def _move_row(self, now: float) -> None:
        """Let the row have its turn, or plan everybody in it anew where there are no more pages."""
        if self.pages.is_usable and self._row_at() > now:
            return
        row, self._row = self._row, {}
        for watch in row:
            if self.pages.is_usable:
                self._queue_or_plan(watch)
            else:
                self._plan_after_answer(watch, now)

    def _row_at(self) -> float:
        """When the row's turn comes."""
        return self.pages.next_at if self._row else NEVER

    def _held_back_until(self) -> float:
        """When questions that are due may be started; ``NEVER`` if none is held back."""
        has_room = self._failures.has_room(len(self._asking))  # else an answer wakes the poller
        return self._failures.next_start_at if has_room and self._is_due() else NEVER

    def _is_due(self) -> bool:
        return bool(self._singles or self._queue)

    def _plan(self, watch: Watch) -> None:
        """Plan the next question about the watch, unless one is under way, and the waits' end."""
        if not watch.is_wanted or self._is_closed:
            self._strike(watch)
            return
        self._ends.plan(watch, watch.deadline_at)
        next_at = watch.deadline_at
        if not watch.is_asking and watch not in self._row:
            ask_at = self._ask_at(watch)
            self._asks.plan(watch, ask_at)
            next_at = min(next_at, ask_at)
        if next_at < self._sleeps_until:
            self._wake.set()
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll(), name="kling-effects-poller")

    def _strike(self, watch: Watch) -> None:
        self._row.pop(watch, None)
        self._asks.strike(watch)
        self._ends.strike(watch)

    def _ask_at(self, watch: Watch) -> float:
        # Where pages answer, everybody who is due waits for the next one, to share it.
        shared_at = self.pages.next_at if self.pages.is_usable else 0.0
        return max(watch.next_ask_at, shared_at)

    def _start_questions(self) -> None:
        is_shared = self.pages.is_usable and len(self._queue) >= FEWEST
        if is_shared and self._failures.may_start_page():
            due, self._queue = self._queue, deque()
            self._start(self._ask_together(list(due)))
        while self._is_due() and self._failures.has_room(len(self._asking)):
            if not self._failures.may_start():
                return  # an outage, its end, or a pause that the service asked for
            watch = (self._singles or self._queue).popleft()
            if watch.is_wanted:
                self._start(self._ask(watch))
            else:
                self._asked(watch)

    def _start(self, question: Coroutine[Any, Any, None]) -> None:
        self._failures.started()
        task: asyncio.Task[None] = asyncio.create_task(question)
        self._asking.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, question: asyncio.Task[None]) -> None:
        self._asking.discard(question)
        if self._is_due():
            self._wake.set()  # only now is there room for the next
        elif not self._asking:
            self._failures.circuit.idle()

    async def _ask(self, watch: Watch) -> None:
        try:
            snapshot = await self._ask_one(watch)
        except KlingEffectsError as error:
            self._failures.take(watch, error)
        except Exception as error:
            # The outermost edge of a question: a fault of ours reaches those who wait.
            self._failures.circuit.spoiled()
            watch.next_ask_at = self._clock.monotonic() + self._policy.max_interval_s
            watch.wake(error)
        else:
            now = self._clock.monotonic()
            self._rounds.answered_singly(watch, snapshot, now)
            self._failures.answered()
            self._take_answer(watch, snapshot, now)
            watch.next_ask_at = now + self._pause(watch, now)
        finally:
            self._asked(watch)

    def _asked(self, watch: Watch) -> None:
        """It had its turn, with or without an answer."""
        self._rounds.asked_singly(watch)
        watch.is_asking = False
        self._plan(watch)

    async def _ask_together(self, due: list[Watch]) -> None:
        singly = await self._rounds.ask(due)
        self._line_up(watch for watch in due if watch not in singly)
        self._singles += singly
        self._wake.set()

    def _line_up(self, watches: Iterable[Watch]) -> None:
        """After a page: who can end before the next one waits for it."""
        now = self._clock.monotonic()
        is_shared = self._is_shared()
        for watch in watches:
            watch.is_asking = False
            if watch.failures:
                self._plan(watch)
            elif (
                is_shared
                and not watch.is_over
                and self.experience.earliest_end_in_s(watch.scene, now - watch.began_at) == 0.0
            ):
                self._row[watch] = None
            else:
                self._plan_after_answer(watch, now)

    # -- what an answer, or none, does to a watch

    def _take_answer(self, watch: Watch, snapshot: TaskSnapshot, now: float) -> None:
        was_over = watch.is_over
        self.learn(watch, snapshot)
        if watch.is_over and not was_over:
            self._gain_experience(watch, snapshot, now)
        watch.answered(now)

    def _plan_after_answer(self, watch: Watch, now: float) -> None:
        watch.next_ask_at = now + self._pause(watch, now)
        self._plan(watch)

    def _is_shared(self) -> bool:
        """Whether pages are asked for: they can be had, and enough is waited for."""
        return self.pages.is_usable and len(self._ends) >= FEWEST

    def _pause(self, watch: Watch, now: float) -> float:
        age_s = now - watch.began_at
        if not self._is_shared() or watch.is_unlisted:
            return self.experience.pause(self._policy, watch.scene, age_s)
        # One more task on the next page is free, so only what cannot end yet waits longer.
        earliest_end_in_s = self.experience.earliest_end_in_s(watch.scene, age_s)
        if earliest_end_in_s is None:
            return self.experience.pause(self._policy, watch.scene, age_s)
        rhythm_s = self.pages.pause(age_s)
        until_next_s = self.pages.next_at - now
        # The next page, unless that is past, or so near that it would be asked for this alone.
        return max(earliest_end_in_s, until_next_s if until_next_s > rhythm_s / 2 else rhythm_s)

    def _gain_experience(self, watch: Watch, final: TaskSnapshot, now: float) -> None:
        """Learn from a task that was followed from its beginning, without a break."""
        if not watch.is_whole or watch.failures:
            return
        told = (final.created_at, final.updated_at)
        self.experience.learn(
            watch.scene,
            seen_s=now - watch.began_at,
            seen_running_s=watch.answered_at - watch.began_at,
            told_s=(told[1] - told[0]).total_seconds() if told[0] and told[1] else None,
            began_at=watch.began_at,
        )

    def _is_without_result(self, watch: Watch, held: TaskSnapshot) -> bool:
        """Whether to ask again because the task succeeded and its videos are still to come."""
        if held.status is not TaskStatus.SUCCEEDED or held.videos:
            return False
        now = self._clock.monotonic()
        if watch.result_missing_since is None:
            watch.result_missing_since = now
        return now - watch.result_missing_since < self._policy.result_grace_s

    def _give_back(self, slept_s: float) -> None:
        _log.warning("nothing ran for %.0f s; asking at once, and no wait ends for it", slept_s)
        self._lost_s += slept_s
        for watch in self._ends:
            watch.postpone(slept_s)
            watch.is_whole = False  # nobody looked meanwhile

    def _warn_once(self, snapshot: TaskSnapshot) -> None:
        if snapshot.status is TaskStatus.UNKNOWN and snapshot.raw_status not in self._odd_words:
            self._odd_words.add(snapshot.raw_status)
            word = redacted(snapshot.raw_status)[:80]
            _log.warning("unknown task status %r: waiting on", word)
