"""The queue of polls without a loop and without a clock: every moment is an argument."""

from __future__ import annotations

import pytest

from kling_effects_async.errors import (
    ClientClosedError,
    TaskTimeoutError,
)
from kling_effects_async.models import TaskStatus
from kling_effects_async.polling.tracked_task import (
    NEVER,
    TRANSITIONS,
    PollStage,
    TrackedTask,
)
from tests.support.polled_queue import BUSY, POLICY, Told, page_of, snapshot


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
