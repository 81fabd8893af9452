"""The queue of polls, whatever comes in whatever order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kling_effects_async.errors import (
    AuthenticationError,
    KlingEffectsError,
    NetworkError,
    RateLimitError,
    ReplyError,
    TaskNotFoundError,
)
from kling_effects_async.models import TaskStatus
from kling_effects_async.polling.batch import PageBatch, PageRequest
from kling_effects_async.polling.queue import PollQueue
from kling_effects_async.polling.tracked_task import (
    NEVER,
    PollStage,
    TrackedTask,
    Waiter,
)
from tests.support.polled_queue import BUSY, POLICY, page_of, snapshot

FAILURES: list[KlingEffectsError] = [
    BUSY,
    NetworkError("reset"),
    ReplyError("an HTML page"),
    RateLimitError("slow", http_status=429, retryable=True),
    RateLimitError("slow", http_status=429, retryable=True, retry_after_s=7.0),
    TaskNotFoundError("no such task", http_status=404),
    AuthenticationError("wrong key", http_status=401),
]


Poll = tuple[PageBatch, PageRequest] | TrackedTask


class Machine(RuleBasedStateMachine):
    """Answers, failures, pauses, pages and cancellations in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue = PollQueue(POLICY, lambda: 0.5, has_list=None)
        self.tasks: list[TrackedTask] = []
        self.waits: list[tuple[TrackedTask, Waiter]] = []
        self.under_way: list[Poll] = []

    # -- who waits

    @rule(many=st.integers(1, 6), by_id=st.booleans())
    def track(self, many: int, by_id: bool) -> None:
        for _ in range(many):
            name = f"t{len(self.tasks)}"
            ids = (name, None) if by_id else (None, name)
            task = self.queue.track(*ids, scene="", now=self.now)
            self.tasks.append(task)
            self._wait(task)

    @precondition(lambda self: self.tasks)
    @rule(pick=st.integers(0, 99))
    def wait_again(self, pick: int) -> None:
        task = self.tasks[pick % len(self.tasks)]
        if not task.is_over:
            self._wait(task)

    @precondition(lambda self: self.tasks)
    @rule(pick=st.integers(0, 99))
    def follow(self, pick: int) -> None:
        self.queue.follow(self.tasks[pick % len(self.tasks)], lambda _final: None, self.now)

    @precondition(lambda self: self.waits)
    @rule(pick=st.integers(0, 99), many=st.integers(1, 5))
    def cancel(self, pick: int, many: int) -> None:
        for _ in range(min(many, len(self.waits))):
            self.queue.leave(*self.waits.pop(pick % len(self.waits)))

    # -- time

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 9.0, 40.0, 700.0, 4000.0]))
    def later(self, seconds: float) -> None:
        self.now += seconds
        self._send()

    @rule()
    def on_waking(self) -> None:
        if self.queue.wake_at < NEVER:
            self.now = max(self.now, self.queue.wake_at)
        self._send()

    @rule(seconds=st.floats(30.0, 500.0))
    def suspend(self, seconds: float) -> None:
        self.now += seconds
        self.queue.suspended(seconds)

    # -- what comes of a poll

    @precondition(lambda self: self.under_way)
    @rule(pick=st.integers(0, 99), is_over=st.booleans(), left_out=st.integers(0, 9))
    def answer(self, pick: int, is_over: bool, left_out: int) -> None:
        status = TaskStatus.SUCCEEDED if is_over else TaskStatus.PROCESSING
        poll = self.under_way.pop(pick % len(self.under_way))
        if isinstance(poll, TrackedTask):
            self.queue.answered(poll, snapshot(poll, status), self.now)
            return
        batch, request = poll
        wanted = [task for task in batch.tasks if task.task_id in request.wanted]
        shown = [snapshot(task, status) for task in wanted[left_out:]]
        if self.queue.page_answered(batch, request, page_of(*shown), self.now):
            self.under_way.append((batch, self.queue.next_page(batch)))
        else:
            self.queue.pages_read(batch, self.now)

    @precondition(lambda self: self.under_way)
    @rule(pick=st.integers(0, 99), error=st.sampled_from(FAILURES), many=st.integers(1, 9))
    def fail(self, pick: int, error: KlingEffectsError, many: int) -> None:
        for _ in range(min(many, len(self.under_way))):
            poll = self.under_way.pop(pick % len(self.under_way))
            if isinstance(poll, TrackedTask):
                self.queue.failed(poll, error, self.now)
            else:
                self.queue.page_failed(poll[0], error, self.now)

    @precondition(lambda self: self.under_way)
    @rule(pick=st.integers(0, 99))
    def break_(self, pick: int) -> None:
        poll = self.under_way.pop(pick % len(self.under_way))
        if isinstance(poll, TrackedTask):
            self.queue.broken(poll, ZeroDivisionError(), self.now)
        else:
            self.queue.page_broken(poll[0], self.now)

    @precondition(lambda self: self.tasks)
    @rule(pick=st.integers(0, 99), is_over=st.booleans())
    def refresh(self, pick: int, is_over: bool) -> None:
        task = self.tasks[pick % len(self.tasks)]
        status = TaskStatus.SUCCEEDED if is_over else TaskStatus.PROCESSING
        self.queue.service_answered(self.now)
        self.queue.learn(task, snapshot(task, status), self.now)

    def _wait(self, task: TrackedTask) -> None:
        deadline = self.queue.deadline(self.now)
        self.waits.append((task, self.queue.wait(task, deadline, lambda _error: None)))

    def _send(self) -> None:
        self.queue.advance(self.now)
        while (poll := self.queue.next_poll(self.now)) is not None:
            if isinstance(poll, PageBatch):
                self.under_way.append((poll, self.queue.next_page(poll)))
            else:
                self.under_way.append(poll)

    # -- what holds at every moment

    def _stages(self, task: TrackedTask) -> list[PollStage]:
        polled = [PollStage.POLLED for poll in self.under_way if task is poll or _is_in(poll, task)]
        return self.queue.stages_of(task) + polled

    @invariant()
    def each_task_is_in_its_stage_and_in_no_other(self) -> None:
        for task in self.tasks:
            expected = [] if task.stage is PollStage.IDLE else [task.stage]
            assert self._stages(task) == expected

    @invariant()
    def who_is_waited_for_is_on_the_way_to_a_poll_and_has_a_deadline(self) -> None:
        for task in self.tasks:
            assert self.queue.has_deadline(task) == task.is_wanted
            assert task.stage is not PollStage.IDLE or not task.is_wanted
            assert task.is_wanted or task.stage in (PollStage.IDLE, PollStage.POLLED)

    @invariant()
    def the_queue_wakes_while_somebody_waits(self) -> None:
        if any(task.is_wanted for task in self.tasks):
            assert self.queue.wake_at < NEVER
        assert self.queue.under_way == len(self.under_way)

    def teardown(self) -> None:
        """Whatever came before: once all is answered, everybody is polled again or told."""
        self.now += 10.0
        while self.under_way:
            self.fail(0, BUSY, 99)
        self.queue.close()
        for task in self.tasks:
            assert self._stages(task) == []
            assert not task.waiters


def _is_in(poll: Poll, task: TrackedTask) -> bool:
    return not isinstance(poll, TrackedTask) and task in poll[0].tasks


TestPollQueue = Machine.TestCase
TestPollQueue.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
