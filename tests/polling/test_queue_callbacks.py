"""What a callback changes in the queue of polls; every moment is an argument."""

from __future__ import annotations

import pytest
from attrs import evolve

from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.polling.queue import PollQueue
from kling_effects_async.polling.tracked_task import PollStage, TrackedTask
from tests.support.polled_queue import POLICY, Told, snapshot

SUBMITTED, PROCESSING = TaskStatus.SUBMITTED, TaskStatus.PROCESSING
SUCCEEDED = TaskStatus.SUCCEEDED


def running(one: Told, name: str, now: float = 0.0) -> TrackedTask:
    """A task that was polled just now, and whose callbacks come to us."""
    task, _waiter = one.wait(name, now)
    task.is_announced = True
    assert one.due(now) == [task]
    one.queue.answered(task, snapshot(task, SUBMITTED), now)
    one.queue.wait(task, one.queue.deadline(now), one.told.append)
    return task


def is_slowed(one: Told, now: float) -> bool:
    """Whether the next task of the account is polled as a safety net only."""
    return running(one, "the next", now).next_poll_at > now + POLICY.max_interval_s


@pytest.mark.parametrize("again", ["by a message", "by a poll"])
def test_an_end_counts_once_however_often_it_is_told(again: str) -> None:
    """Fault 60: two ends that were announced are no reason to poll less."""
    one = Told(has_list=False)
    for name in ("t1", "t2"):
        task = running(one, name)
        final = snapshot(task, SUCCEEDED)
        assert one.due(POLICY.max_interval_s) == [task]
        one.queue.announced(task, final, 20.0)
        if again == "by a message":
            one.queue.announced(task, final, 20.0)
        one.queue.answered(task, final, 20.0)
    assert not is_slowed(one, 30.0)


@pytest.mark.parametrize(("ends", "slowed"), [(2, False), (3, True)])
def test_a_message_after_the_poll_that_found_the_end_counts_too(ends: int, slowed: bool) -> None:
    one = Told(has_list=False)
    for number in range(ends):
        task = running(one, f"t{number}")
        one.due(POLICY.max_interval_s)
        one.queue.answered(task, snapshot(task, SUCCEEDED), 20.0)
        assert not one.queue.hint(task, snapshot(task, SUCCEEDED), 21.0)
    assert is_slowed(one, 22.0) == slowed


def test_a_step_before_the_end_makes_no_poll() -> None:
    one = Told(has_list=False)
    task = running(one, "t1")
    before = task.next_poll_at
    one.queue.announced(task, snapshot(task), 0.5)
    assert (task.next_poll_at, one.due(0.5)) == (before, [])


def test_an_end_without_its_video_makes_one() -> None:
    one = Told(has_list=False)
    task = running(one, "t1")
    one.queue.announced(task, evolve(snapshot(task, SUCCEEDED), videos=()), 0.5)
    assert one.due(0.5) == [task]


def test_an_announced_end_takes_the_task_out_of_the_timetable() -> None:
    one = Told(has_list=False)
    task = running(one, "t1")
    assert task.stage is PollStage.SCHEDULED
    one.queue.announced(task, snapshot(task, SUCCEEDED), 0.5)
    assert (task.stage, one.queue.stages_of(task), one.told) == (PollStage.IDLE, [], [None, None])


@pytest.mark.parametrize(("status", "is_poll"), [(SUBMITTED, False), (PROCESSING, True)])
def test_a_hint_is_followed_where_it_would_be_news(status: TaskStatus, is_poll: bool) -> None:
    one = Told(has_list=False)
    task = running(one, "t1")
    assert one.queue.hint(task, snapshot(task, status), 0.5) == is_poll
    assert one.due(0.5) == ([task] if is_poll else [])


def test_half_of_the_burst_of_hints_is_kept_for_ends() -> None:
    """Fault 62."""
    one = Told(has_list=False)
    tasks = [running(one, f"t{number}") for number in range(40)]
    for task in tasks:
        one.queue.hint(task, snapshot(task), 0.5)
    assert sum(task.next_poll_at <= 0.5 for task in tasks) == 25


def test_a_hint_during_a_poll_makes_one_more_soon_after_it() -> None:
    """The answer may be older than what the message says."""
    one = Told(has_list=False)
    task = running(one, "t1")
    assert one.due(100.0) == [task]
    one.queue.hint(task, snapshot(task, SUCCEEDED), 100.0)
    one.queue.answered(task, snapshot(task, SUBMITTED), 101.0)
    assert task.next_poll_at == 101.0 + POLICY.shortest_s
    one.due(102.0)
    one.queue.answered(task, snapshot(task, SUBMITTED), 103.0)
    assert task.next_poll_at > 103.0 + POLICY.shortest_s


def test_nothing_is_found_once_the_queue_is_closed() -> None:
    one = Told(has_list=False)
    task = running(one, "t1")
    assert one.queue.find("t1", None) is task
    one.queue.close()
    assert one.queue.find("t1", None) is None


@pytest.mark.parametrize(("is_recalled", "changes"), [(False, 1), (True, 0)])
def test_what_the_journal_recalls_is_no_news(is_recalled: bool, changes: int) -> None:
    seen: list[TaskSnapshot] = []
    queue = PollQueue(
        POLICY, lambda: 0.5, has_list=False, on_change=lambda _task, change: seen.append(change)
    )
    task = queue.track("t1", None, scene="", now=0.0)
    queue.learn(task, snapshot(task), 0.0, is_recalled=is_recalled)
    assert len(seen) == changes
