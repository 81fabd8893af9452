"""The queue of polls without a loop and without a clock: every moment is an argument."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kling_effects_async.errors import (
    AuthenticationError,
    ClientClosedError,
    KlingEffectsError,
    NetworkError,
    RateLimitError,
    ReplyError,
    ServiceError,
    TaskNotFoundError,
    TaskTimeoutError,
)
from kling_effects_async.models import TaskSnapshot, TaskStatus, Video
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.batch import PageBatch, PageRequest
from kling_effects_async.polling.queue import PollQueue
from kling_effects_async.polling.tracked_task import (
    NEVER,
    TRANSITIONS,
    PollStage,
    TrackedTask,
    Waiter,
)
from kling_effects_async.protocol.messages import Listed

POLICY = PollPolicy()
BUSY = ServiceError("busy", http_status=503, retryable=True)
FAILURES: list[KlingEffectsError] = [
    BUSY,
    NetworkError("reset"),
    ReplyError("an HTML page"),
    RateLimitError("slow", http_status=429, retryable=True),
    RateLimitError("slow", http_status=429, retryable=True, retry_after_s=7.0),
    TaskNotFoundError("no such task", http_status=404),
    AuthenticationError("wrong key", http_status=401),
]


def snapshot(task: TrackedTask, status: TaskStatus = TaskStatus.PROCESSING) -> TaskSnapshot:
    videos = (Video(url="https://v.example/o.mp4"),) if status is TaskStatus.SUCCEEDED else ()
    return TaskSnapshot(
        task_id=task.task_id or f"id of {task.external_task_id}",
        external_task_id=task.external_task_id,
        status=status,
        raw_status=status.value,
        videos=videos,
    )


def page_of(*shown: TaskSnapshot) -> Listed:
    return Listed(
        tasks=list(shown),
        shown=len(shown),
        first_id=shown[0].task_id if shown else "",
        newest_at=None,
        oldest_at=None,
    )


class Told:
    """A queue, and what those who wait in it were told."""

    def __init__(self, *, has_list: bool = True) -> None:
        self.queue = PollQueue(POLICY, lambda: 0.5, has_list=has_list)
        self.told: list[Exception | None] = []

    def wait(self, name: str, now: float = 0.0) -> tuple[TrackedTask, Waiter]:
        task = self.queue.track(name, None, scene="", now=now)
        return task, self.queue.wait(task, self.queue.deadline(now), self.told.append)

    def due(self, now: float) -> list[PageBatch | TrackedTask]:
        self.queue.advance(now)
        polls: list[PageBatch | TrackedTask] = []
        while (poll := self.queue.next_poll(now)) is not None:
            polls.append(poll)
        return polls

    def page(self, now: float) -> PageBatch:
        (batch,) = self.due(now)
        assert isinstance(batch, PageBatch)
        return batch

    def read(self, batch: PageBatch, page: Listed, now: float) -> None:
        if not self.queue.page_answered(batch, self.queue.next_page(batch), page, now):
            self.queue.pages_read(batch, now)


def test_a_task_that_nobody_waits_for_is_not_polled() -> None:
    one = Told()
    one.queue.track("t1", None, scene="", now=0.0)
    assert one.queue.wake_at == NEVER
    assert one.due(1000.0) == []


def test_a_task_is_due_once_until_its_answer_comes_and_later_again() -> None:
    one = Told(has_list=False)
    task, _waiter = one.wait("t1")
    assert one.due(0.0) == [task]
    assert one.due(100.0) == []
    one.queue.wait(task, one.queue.deadline(100.0), one.told.append)
    one.queue.failed(task, BUSY, 100.0)
    assert one.queue.wake_at > 100.0
    assert one.due(one.queue.wake_at) == [task]


def test_a_change_is_told_and_the_task_rests_until_somebody_waits_again() -> None:
    one = Told(has_list=False)
    task, waiter = one.wait("t1")
    one.due(0.0)
    one.queue.answered(task, snapshot(task), 1.0)
    one.queue.leave(task, waiter)
    assert one.told == [None]
    assert task.stage is PollStage.IDLE
    assert one.due(1000.0) == []


def test_whoever_leaves_while_a_poll_is_under_way_leaves_nothing_behind() -> None:
    one = Told(has_list=False)
    task, waiter = one.wait("t1")
    one.due(0.0)
    one.queue.leave(task, waiter)
    stages = [task.stage]
    one.queue.answered(task, snapshot(task), 1.0)
    assert [*stages, task.stage] == [PollStage.POLLED, PollStage.IDLE]


def test_a_deadline_ends_a_wait_also_while_its_poll_hangs() -> None:
    one = Told(has_list=False)
    one.wait("t1")
    one.due(0.0)
    one.queue.advance(POLICY.deadline_s)
    assert [type(error) for error in one.told] == [TaskTimeoutError]


def test_a_suspended_process_moves_deadlines() -> None:
    one = Told(has_list=False)
    task, _waiter = one.wait("t1")
    one.due(0.0)
    one.queue.suspended(50.0)
    one.queue.advance(POLICY.deadline_s + 49.0)
    assert one.told == []
    one.queue.advance(POLICY.deadline_s + 50.0)
    assert len(one.told) == 1
    assert task.stage is PollStage.POLLED


def test_four_that_are_due_share_a_page_and_then_wait_for_the_next() -> None:
    one = Told()
    tasks = [one.wait(f"t{n}")[0] for n in range(4)]
    batch = one.page(0.0)
    assert list(batch.tasks) == tasks
    for task in tasks:
        task.latest = snapshot(task)
    request = one.queue.next_page(batch)
    page = page_of(*[task.latest for task in tasks if task.latest is not None])
    assert not one.queue.page_answered(batch, request, page, 0.1)
    one.queue.pages_read(batch, 0.1)
    stages = [task.stage for task in tasks]
    assert stages.count(PollStage.NEXT_PAGE) >= 3
    assert PollStage.POLLED not in stages


def test_what_no_page_shows_is_polled_by_a_single_query() -> None:
    one = Told()
    tasks = [one.wait(f"t{n}")[0] for n in range(5)]
    batch = one.page(0.0)
    for task in tasks:
        task.latest = snapshot(task)
    shown = [task.latest for task in tasks[1:] if task.latest is not None]
    one.read(batch, page_of(*shown), 0.1)
    assert tasks[0].stage is PollStage.DUE_SINGLY
    assert tasks[0] in one.due(0.1)


def test_a_check_that_nobody_waits_for_any_more_is_not_the_last() -> None:
    one = Told()
    waits = [one.wait(f"t{n}") for n in range(20)]
    for task, _waiter in waits:
        task.latest = snapshot(task)
    batch = one.page(0.0)
    one.read(batch, page_of(*[snapshot(task) for task, _waiter in waits]), 0.1)
    (checked,) = [wait for wait in waits if wait[0].stage is PollStage.DUE_SINGLY]
    assert one.queue.list_check.checked is checked[0]
    one.queue.leave(*checked)
    assert one.queue.list_check.checked is None
    assert checked[0].stage is PollStage.IDLE


def test_whoever_waits_for_a_page_that_never_comes_is_scheduled_anew() -> None:
    one = Told()
    tasks = [one.wait(f"t{n}")[0] for n in range(6)]
    for task in tasks:
        task.latest = snapshot(task)
    one.read(one.page(0.0), page_of(*[snapshot(task) for task in tasks]), 0.1)
    for task in tasks:
        one.queue.wait(task, one.queue.deadline(0.1), one.told.append)
    assert PollStage.NEXT_PAGE in {task.stage for task in tasks}
    one.queue.list_breaker.trip(0.2)
    one.queue.advance(0.2)
    assert PollStage.NEXT_PAGE not in {task.stage for task in tasks}


def test_a_listed_end_is_told_before_the_reading_is_over() -> None:
    one = Told()
    tasks = [one.wait(f"t{n}")[0] for n in range(5)]
    batch = one.page(0.0)
    ended = page_of(snapshot(tasks[0], TaskStatus.SUCCEEDED))
    one.queue.page_answered(batch, one.queue.next_page(batch), ended, 0.1)
    assert one.told == [None]
    assert not one.queue.has_deadline(tasks[0])
    assert one.queue.has_deadline(tasks[1])


def test_an_outage_ends_the_waits_of_those_who_are_due_and_drops_them() -> None:
    one = Told(has_list=False)
    tasks = [one.wait(f"t{n}")[0] for n in range(30)]
    for poll in one.due(0.0):
        assert isinstance(poll, TrackedTask)
        one.queue.failed(poll, BUSY, 1.0)
    resting = [task for task in tasks if task.stage is PollStage.DUE]
    assert len(resting) > 10
    now = 1.0
    while now < POLICY.max_outage_s + 60.0:
        now = max(now + 1.0, one.queue.wake_at)
        for poll in one.due(now):
            assert isinstance(poll, TrackedTask)
            one.queue.failed(poll, BUSY, now)
    assert len(one.told) == 30
    assert {task.stage for task in tasks} == {PollStage.IDLE}


def test_closing_ends_every_wait_and_nothing_is_due_any_more() -> None:
    one = Told(has_list=False)
    tasks = [one.wait(f"t{n}")[0] for n in range(30)]
    polled = one.due(0.0)
    one.queue.close()
    assert [type(error) for error in one.told] == [ClientClosedError] * 30
    assert {task.stage for task in tasks if task not in polled} == {PollStage.IDLE}
    assert one.due(1000.0) == []


def test_no_stage_follows_that_is_not_in_the_table() -> None:
    task = TrackedTask("t1", None, "", 0.0)
    with pytest.raises(AssertionError, match="cannot become"):
        task.move_to(PollStage.POLLED)
    assert set(TRANSITIONS) == set(PollStage)


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
