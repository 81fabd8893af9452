"""The queue of polls without a loop and without a clock: every moment is an argument."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from attrs import evolve

from kling_effects_async.errors import (
    ClientClosedError,
    RateLimitError,
    TaskNotFoundError,
    TaskTimeoutError,
)
from kling_effects_async.models import TaskStatus
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.batch import PageBatch
from kling_effects_async.polling.tracked_task import (
    NEVER,
    TRANSITIONS,
    PollStage,
    TrackedTask,
)
from kling_effects_async.transport.clock import TICK_S
from tests.support.polled_queue import BUSY, POLICY, Told, page_of, snapshot

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


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


# -- who is tracked, and until when


def test_a_task_is_one_by_whichever_id_it_is_named() -> None:
    queue = Told().queue
    task = queue.track("t1", None, scene="", now=7.0)
    assert (task.began_at, task.next_poll_at) == (7.0, 7.0)
    assert queue.track("t1", "order-1", scene="squish", now=8.0) is task
    assert queue.track(None, "order-1", scene="hug", now=9.0) is task
    assert (task.task_id, task.external_task_id, task.scene) == ("t1", "order-1", "squish")
    other = queue.track(None, "order-2", scene="hug", now=9.0)
    assert (other.external_task_id, other.scene) == ("order-2", "hug")
    assert queue.track("t2", "order-2", scene="", now=9.0) is other
    assert other.task_id == "t2"


def test_a_wait_that_began_before_the_process_was_suspended_lasts_longer_by_that() -> None:
    queue = Told(has_list=False).queue
    task = queue.track("t1", None, scene="", now=0.0)
    before = queue.deadline(0.0)
    queue.suspended(50.0)
    queue.suspended(10.0)
    old = queue.wait(task, before, lambda _error: None)
    new = queue.wait(task, queue.deadline(100.0), lambda _error: None)
    assert old.deadline_at == POLICY.deadline_s + 60.0
    assert new.deadline_at == POLICY.deadline_s + 100.0


def test_a_task_that_nobody_polled_did_not_fail_meanwhile() -> None:
    one = Told(has_list=False)
    task, waiter = one.wait("t1")
    one.due(0.0)
    one.queue.failed(task, BUSY, 1.0)
    one.wait("t1", 2.0)
    assert task.failures == 1  # somebody waited all the time
    for each in list(task.waiters):
        one.queue.leave(task, each)
    assert waiter not in task.waiters
    one.wait("t1", 3.0)
    assert task.failures == 0


def test_a_task_is_polled_for_as_long_as_one_of_several_waits() -> None:
    one = Told(has_list=False)
    task, first = one.wait("t1", 5.0)
    one.wait("t1", 5.0)
    one.queue.leave(task, first)
    assert one.due(5.0) == [task]


def test_a_suspended_process_knows_no_length_of_what_it_did_not_poll() -> None:
    one = Told(has_list=False)
    task, _waiter = one.wait("t1")
    task.is_whole = True
    one.queue.suspended(1.0)
    assert task.is_whole is False


# -- tasks that are followed


def followed(one: Told, *, now: float = 0.0, is_seen: bool = True) -> TrackedTask:
    task = one.queue.track("t1", None, scene="squish", now=0.0)
    if is_seen:
        one.queue.learn(task, snapshot(task), now)
    one.queue.follow(task, one.end, now)
    return task


def test_a_submitted_task_is_polled_after_a_pause_and_to_its_end() -> None:
    one = Told(has_list=False)
    task = followed(one, now=100.0)
    assert (task.is_ours, task.is_whole) == (True, True)
    assert task.next_poll_at == 110.0
    assert one.queue.wake_at == 110.0
    assert one.due(109.9) == []
    assert one.due(110.0) == [task]
    one.queue.answered(task, snapshot(task, TaskStatus.SUCCEEDED), 111.0)
    assert [final.status for final in one.ended if final] == [TaskStatus.SUCCEEDED]
    assert task.stage is PollStage.IDLE


def test_a_task_that_was_not_seen_yet_is_polled_at_once_and_its_length_is_not_known() -> None:
    one = Told(has_list=False)
    task = followed(one, is_seen=False)
    assert (task.is_ours, task.is_whole) == (True, False)
    assert one.due(0.0) == [task]


def test_following_ends_with_the_policy_s_deadline_and_nothing_to_tell() -> None:
    one = Told(has_list=False)
    task = followed(one, now=10.0)
    one.queue.suspended(50.0)
    assert task.deadline_at == 10.0 + POLICY.deadline_s + 50.0
    one.queue.advance(task.deadline_at - 1.0)
    assert one.ended == []
    one.queue.advance(task.deadline_at)
    assert one.ended == [None]


def test_a_deadline_of_one_who_follows_after_a_suspension_is_not_put_off() -> None:
    one = Told(has_list=False)
    one.queue.suspended(50.0)
    assert followed(one, now=60.0).deadline_at == 60.0 + POLICY.deadline_s


async def test_an_end_that_is_known_is_told_at_once() -> None:
    one = Told(has_list=False)
    one.record = asyncio.get_running_loop().create_future()
    task = one.queue.track("t1", None, scene="", now=0.0)
    final = snapshot(task, TaskStatus.SUCCEEDED)
    one.queue.learn(task, final, 0.0)
    one.queue.follow(task, one.end, 1.0)
    assert one.ended == [final]
    assert task.record is one.record
    assert (task.is_ours, task.stage) == (True, PollStage.IDLE)


def test_nothing_is_followed_by_a_queue_that_is_closed() -> None:
    one = Told(has_list=False)
    assert one.queue.is_closed is False
    one.queue.close()
    assert one.queue.is_closed is True
    task = followed(one)
    assert (task.is_followed, task.stage) == (False, PollStage.IDLE)


def test_closing_drops_what_is_followed() -> None:
    one = Told(has_list=False)
    task = followed(one)
    one.queue.close()
    assert task.stage is PollStage.IDLE
    assert not one.queue.has_deadline(task)
    assert one.due(1000.0) == []


# -- when the queue wakes


def test_the_queue_wakes_for_the_first_of_what_it_waits_for() -> None:
    one = Told(has_list=False)
    task, _waiter = one.wait("t1", 100.0)
    assert one.queue.wake_at == 100.0
    assert one.due(100.0) == [task]
    assert one.queue.wake_at == 100.0 + POLICY.deadline_s


def test_what_is_due_without_room_wakes_nobody() -> None:
    one = Told(has_list=False)
    for number in range(9):
        one.wait(f"t{number}")
    polled = one.due(0.0)
    assert len(polled) == 8
    assert one.queue.is_due
    assert one.queue.wake_at == POLICY.deadline_s
    one.queue.answered(polled[0], snapshot(polled[0]), 0.5)  # type: ignore[arg-type]  # single
    assert one.queue.wake_at <= 0.5


def test_a_requested_pause_holds_for_all_and_wakes_at_its_end() -> None:
    one = Told(has_list=False)
    task, _waiter = one.wait("t1")
    one.due(0.0)
    one.queue.failed(task, RateLimitError("slow", retryable=True, retry_after_s=7.0), 1.0)
    one.wait("t2", 2.0)
    assert one.due(2.0) == []
    assert one.queue.is_due
    assert one.queue.wake_at == pytest.approx(task.next_poll_at)
    assert task.next_poll_at > 8.0
    assert len(one.due(one.queue.wake_at)) == 2


# -- what comes of a single query


def test_a_task_that_runs_is_polled_again_after_its_pause() -> None:
    one = Told(has_list=False)
    task = followed(one, is_seen=False)
    one.due(0.0)
    one.queue.answered(task, snapshot(task), 50.0)
    assert task.next_poll_at == 55.0
    assert one.queue.wake_at == 55.0
    assert one.queue.under_way == 0


def test_an_end_that_nobody_can_take_ends_the_poll_all_the_same() -> None:
    one = Told(has_list=False)
    task = one.queue.track("t1", None, scene="", now=0.0)

    def breaks(_final: object) -> None:
        raise ZeroDivisionError

    one.queue.follow(task, breaks, 0.0)
    one.due(0.0)
    with pytest.raises(ZeroDivisionError):
        one.queue.answered(task, snapshot(task, TaskStatus.SUCCEEDED), 1.0)
    assert (task.stage, one.queue.under_way) == (PollStage.IDLE, 0)


def test_a_fault_of_ours_reaches_those_who_wait_and_is_not_repeated_at_once() -> None:
    one = Told(has_list=False)
    task = followed(one, is_seen=False)
    one.queue.wait(task, one.queue.deadline(0.0), one.told.append)
    one.due(0.0)
    one.queue.broken(task, fault := ZeroDivisionError(), 2.0)
    assert one.told == [fault]
    assert one.queue.wake_at == 2.0 + POLICY.max_interval_s
    assert one.queue.under_way == 0


def outage(one: Told) -> TrackedTask:
    """Eight polls failed; the task that is due as the next."""
    for number in range(9):
        one.wait(f"t{number}")
    for poll in one.due(0.0):
        assert isinstance(poll, TrackedTask)
        one.queue.failed(poll, BUSY, 0.0)
    (probe,) = one.due(60.0)
    assert isinstance(probe, TrackedTask)
    return probe


def test_a_fault_of_ours_in_a_probe_leaves_the_next_one_possible() -> None:
    one = Told(has_list=False)
    probe = outage(one)
    assert one.due(61.0) == []
    one.queue.broken(probe, ZeroDivisionError(), 61.0)
    assert len(one.due(61.0)) == 1


def test_an_answer_to_anybody_ends_an_outage() -> None:
    one = Told(has_list=False)
    outage(one)
    one.queue.service_answered(61.0)
    assert len(one.due(61.0)) == 1
    assert len(one.due(64.0)) == 1


def test_in_an_outage_all_that_is_due_rests() -> None:
    one = Told(has_list=False)
    tasks = [one.wait(f"t{number}")[0] for number in range(20)]
    for poll in one.due(0.0):
        assert isinstance(poll, TrackedTask)
        one.queue.failed(poll, BUSY, 1.0)
    resting = [task for task in tasks if task.stage is PollStage.DUE]
    assert len(resting) == 12
    assert {task.failures for task in resting} == {1}
    assert {task.failing_since for task in resting} == {1.0}


def test_a_deadline_a_tick_ahead_has_come() -> None:
    one = Told(has_list=False)
    one.wait("t1")
    now = POLICY.deadline_s - TICK_S
    assert now + TICK_S == POLICY.deadline_s
    one.queue.advance(now)
    assert len(one.told) == 1


def test_a_deadline_before_the_grace_of_an_unknown_task_tells_how_often_it_was_polled() -> None:
    one = Told(has_list=False, policy=PollPolicy(deadline_s=5.0))
    task, _waiter = one.wait("t1")
    one.due(0.0)
    one.queue.failed(task, TaskNotFoundError("no such task", retryable=True), 1.0)
    one.queue.advance(5.0)
    (error,) = one.told
    assert isinstance(error, TaskNotFoundError)
    assert (error.name, error.polls) == ("t1", 1)


@pytest.mark.parametrize("is_poll", [True, False])
def test_a_success_without_a_video_is_polled_again_for_a_while(is_poll: bool) -> None:
    one = Told(has_list=False)
    task, _waiter = one.wait("t1")
    final = evolve(snapshot(task, TaskStatus.SUCCEEDED), videos=())
    for now in (1.0, 1.0 + POLICY.result_grace_s):
        assert one.told == []
        if is_poll:
            one.due(now + 100.0)
            one.queue.answered(task, final, now)
        else:
            one.queue.learn(task, final, now)
    assert one.told == [None]
    assert (task.stage, one.queue.has_deadline(task)) == (PollStage.IDLE, False)


def test_the_answer_to_a_probe_ends_an_outage() -> None:
    one = Told(has_list=False)
    probe = outage(one)
    assert one.due(61.0) == []
    one.queue.answered(probe, snapshot(probe), 61.0)
    assert len(one.due(61.5)) == 1


def answer(one: Told, polls: Sequence[PageBatch | TrackedTask], now: float) -> None:
    for poll in polls:
        assert isinstance(poll, TrackedTask)
        one.queue.answered(poll, snapshot(poll), now)


def test_more_polls_may_be_under_way_until_none_is() -> None:
    one = Told(has_list=False)
    keep = [one.wait(f"a{n}", 0.0) for n in range(8)]
    polls = one.due(0.0)
    answer(one, polls[:4], 0.1)  # nothing is due, and four polls are under way
    keep += [one.wait(f"b{n}", 1.0) for n in range(20)]
    more = one.due(1.0)
    assert len(more) == 8
    answer(one, [*polls[4:], *more], 1.1)
    last = one.due(1.2)
    assert len(last) == 12
    answer(one, last, 1.3)
    keep += [one.wait(f"c{n}", 2.0) for n in range(20)]
    assert len(one.due(2.0)) == 8


def test_a_pause_goes_by_the_age_and_the_scene() -> None:
    one = Told(has_list=False)
    one.queue.history.load(json.dumps({"lengths": {"slow": [100.0] * 8}, "staleness": []}))
    for scene, next_poll_at in [("quick", 110.0), ("slow", 195.0)]:
        task = one.queue.track(scene, None, scene=scene, now=100.0 if scene == "slow" else 0.0)
        one.queue.learn(task, snapshot(task), 100.0)
        one.queue.follow(task, one.end, 100.0)
        assert task.next_poll_at == pytest.approx(next_poll_at)


def test_a_list_that_is_not_there_keeps_nobody_waiting() -> None:
    one = Told(has_list=False)
    one.queue.list_breaker.requested(0.0, 500.0)
    task, _waiter = one.wait("t1")
    assert one.due(0.0) == [task]


def test_a_poll_a_tick_ahead_is_due() -> None:
    one = Told(has_list=False)
    task, _waiter = one.wait("t1", 100.0)
    now = 100.0 - TICK_S
    assert now + TICK_S == 100.0
    assert one.due(now) == [task]


def test_an_unknown_task_is_queried_by_its_other_id_every_second_time() -> None:
    task = TrackedTask("t1", "order-1", "squish", 0.0)
    own, external = ("t1", "order-1"), (None, "order-1")
    for is_known_by_external_id, first, second in ((False, own, external), (True, external, own)):
        task.is_known_by_external_id = is_known_by_external_id
        task.reset_failures()
        assert task.next_ids == task.known_ids == first
        task.unknown_since = 0.0
        asked = []
        for _ in range(3):
            task.failed(TaskNotFoundError("no such task"), 0.0)
            asked.append(task.next_ids)
        assert asked == [second, first, second]
