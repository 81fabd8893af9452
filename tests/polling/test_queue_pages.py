"""What the queue of polls does with pages of the task list; every moment is an argument."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from kling_effects_async.errors import (
    AccountError,
    RateLimitError,
    ReplyError,
)
from kling_effects_async.models import TaskStatus
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.batch import PageBatch
from kling_effects_async.polling.tracked_task import (
    PollStage,
    TrackedTask,
)
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.transport.clock import TICK_S
from tests.support.polled_queue import BUSY, POLICY, Told, page_of, snapshot

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def listed(one: Told, number: int, *, now: float = 0.0) -> list[TrackedTask]:
    """So many tasks that are followed, and were seen running."""
    tasks = [one.queue.track(f"t{n}", None, scene="", now=now) for n in range(number)]
    for task in tasks:
        one.queue.follow(task, one.end, now)
        task.latest = snapshot(task)
    return tasks


def all_of(tasks: list[TrackedTask]) -> Listed:
    return page_of(*[task.latest for task in tasks if task.latest is not None])


def test_three_that_are_due_are_polled_one_by_one() -> None:
    one = Told()
    assert one.due(0.0) == []
    tasks = listed(one, 3)
    assert one.due(0.0) == tasks
    assert one.queue.under_way == 3


def test_a_page_is_one_poll_and_keeps_the_rhythm_of_its_youngest_task() -> None:
    one = Told()
    old = listed(one, 3)
    for task in old:
        task.began_at = -100.0
    young = one.queue.track("young", None, scene="", now=-7.0)
    one.queue.follow(young, one.end, 0.0)
    batch = one.page(0.0)
    assert batch.began_at == 0.0
    assert one.queue.under_way == 1
    assert one.queue.list_breaker.next_at == pytest.approx(0.7)


def test_a_page_that_came_says_when_each_task_was_seen() -> None:
    one = Told()
    tasks = listed(one, 4)
    for task in tasks:
        task.failed(BUSY, 0.0)
    one.read(one.page(0.0), all_of(tasks), 0.3)
    assert {task.answered_at for task in tasks} == {0.3}
    assert {task.failures for task in tasks} == {0}
    assert one.queue.under_way == 0
    assert one.queue.list_breaker.has_worked


def test_how_long_a_reading_took_keeps_the_next_one_off() -> None:
    one = Told()
    tasks = listed(one, 4)
    one.read(one.page(1.0), all_of(tasks), 5.0)
    one.queue.list_breaker.requested(10.0, 0.0)
    assert one.queue.list_breaker.next_at == 12.0


def test_a_listed_change_is_told_and_who_only_waited_for_it_is_idle() -> None:
    one = Told()
    waits = [one.wait(f"t{number}") for number in range(4)]
    batch = one.page(0.0)
    request = one.queue.next_page(batch)
    shown = page_of(*[snapshot(task) for task, _waiter in waits])
    one.queue.page_answered(batch, request, shown, 0.1)
    assert one.told == [None] * 4
    assert {task.answered_at for task, _waiter in waits} == {0.1}
    assert not any(one.queue.has_deadline(task) for task, _waiter in waits)
    one.queue.pages_read(batch, 0.1)
    singly = [task for task, _waiter in waits if task.stage is PollStage.DUE_SINGLY]
    assert singly == []
    assert {task.stage for task, _waiter in waits} == {PollStage.IDLE}


def test_who_may_end_soon_waits_for_the_next_page_and_the_queue_wakes_for_it() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.read(one.page(0.0), all_of(tasks), 0.1)
    stages = [task.stage for task in tasks]
    assert sorted(stage.name for stage in stages) == ["DUE_SINGLY", *["NEXT_PAGE"] * 4]
    (checked,) = [task for task in tasks if task.stage is PollStage.DUE_SINGLY]
    assert one.queue.list_check.checked is checked
    assert one.due(0.1) == [checked]
    assert [task.stage for task in tasks].count(PollStage.NEXT_PAGE) == 4
    assert one.queue.wake_at == one.queue.list_breaker.next_at == 0.5
    assert one.due(0.4) == []
    one.queue.answered(checked, snapshot(checked), 0.4)
    assert one.queue.list_check.checked is None
    (batch,) = one.due(0.5)
    assert isinstance(batch, PageBatch)
    assert len(batch.tasks) == 4


def test_who_cannot_end_yet_or_has_failed_is_scheduled_after_a_page() -> None:
    one = Told()
    one.queue.history.load(json.dumps({"lengths": {"slow": [100.0] * 8}, "staleness": []}))
    tasks = listed(one, 6)
    tasks[5].scene = "slow"
    one.read(one.page(0.0), all_of(tasks), 0.1)
    assert tasks[5].stage is PollStage.SCHEDULED
    assert tasks[5].next_poll_at == pytest.approx(95.0)


def test_what_a_page_did_not_show_is_polled_singly_and_known_as_unlisted() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.read(one.page(0.0), all_of(tasks[1:]), 0.1)
    assert [task.is_unlisted for task in tasks] == [True, *[False] * 4]
    assert tasks[0].stage is PollStage.DUE_SINGLY
    assert tasks[0] in one.due(0.1)
    one.queue.answered(tasks[0], snapshot(tasks[0]), 50.0)
    assert tasks[0].next_poll_at == 55.0  # as where there is no list


def test_a_list_that_misses_most_of_the_tasks_is_left_alone() -> None:
    one = Told()
    tasks = listed(one, 6)
    now = 0.0
    for _ in range(3):
        for task in tasks:
            one.queue.learn(task, snapshot(task), now)
        one.read(one.page(now), page_of(), now)
        for poll in one.due(now):
            one.queue.answered(poll, snapshot(poll), now)  # type: ignore[arg-type]  # all single
        now += 100.0
    assert not one.queue.list_breaker.is_usable


def test_a_page_that_failed_delays_its_tasks_but_the_one_that_probes() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.queue.page_failed(one.page(0.0), BUSY, 1.0)
    assert one.queue.list_check.probe is tasks[0]
    assert [task.stage for task in tasks] == [PollStage.DUE_SINGLY, *[PollStage.SCHEDULED] * 4]
    assert {task.failures for task in tasks} == {1}
    assert one.queue.under_way == 0
    assert all(task.next_poll_at > 1.5 for task in tasks)
    assert one.due(1.0) == [tasks[0]]


def test_a_list_that_is_not_there_delays_nobody() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.queue.page_failed(one.page(0.0), ReplyError("no such path"), 1.0)
    assert not one.queue.list_breaker.is_usable
    assert {task.failures for task in tasks} == {0}
    assert one.due(1.0) == tasks


def test_a_rejected_page_of_a_list_that_worked_delays_nobody() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.queue.list_breaker.answered(1, 0, took_s=0.0, now=0.0)
    one.queue.page_failed(one.page(0.0), AccountError("no right"), 1.0)
    assert one.queue.list_breaker.is_usable
    assert {task.failures for task in tasks} == {0}
    assert {task.stage for task in tasks} == {PollStage.DUE_SINGLY}


def test_a_page_that_fails_can_open_the_circuit_and_all_that_is_due_rests() -> None:
    one = Told()
    singly = [one.wait(f"t{n}")[0] for n in range(3)]
    for now, failing in [(0.0, singly), (20.0, singly), (40.0, singly[:1])]:
        assert set(one.due(now)) == set(singly)
        for task in failing:
            one.queue.failed(task, BUSY, now)
    shared = [one.wait(f"shared{n}", 41.0)[0] for n in range(4)]
    batch = one.page(41.0)
    late = [one.wait(f"late{n}", 41.0)[0] for n in range(3)]
    one.queue.advance(41.6)
    assert {task.stage for task in late} == {PollStage.DUE}
    one.queue.page_failed(batch, BUSY, 41.6)
    assert {task.failures for task in [*shared, *late]} == {1}
    assert one.due(42.0) == []


def test_a_fault_of_ours_in_a_page_leaves_the_list_alone() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.queue.page_broken(one.page(0.0), 10.0)
    assert not one.queue.list_breaker.is_usable
    assert {task.stage for task in tasks} == {PollStage.DUE_SINGLY}
    one.queue.advance(10.0 + 599.0)
    assert not one.queue.list_breaker.is_usable
    one.queue.advance(10.0 + 600.0)
    assert one.queue.list_breaker.is_usable


def test_a_reading_goes_on_while_enough_is_missing_and_the_next_keeps_its_distance() -> None:
    one = Told()
    tasks = listed(one, 10)
    for n, task in enumerate(tasks):
        task.latest = evolve(snapshot(task), created_at=NOON + timedelta(minutes=n))
    batch = one.page(0.0)
    request = one.queue.next_page(batch)
    page = Listed(
        tasks=[snapshot(task) for task in tasks[5:]],
        shown=500,
        first_id="t9",
        newest_at=NOON + timedelta(minutes=9),
        oldest_at=NOON + timedelta(minutes=5),
    )
    assert one.queue.page_answered(batch, request, page, 3.0)
    assert one.queue.list_breaker.next_at == 3.5
    again = one.queue.next_page(batch)
    assert (request.number, again.number) == (1, 2)
    assert set(again.wanted) == {f"t{n}" for n in range(5)}


def test_the_page_after_a_check_that_saw_an_end_must_show_it() -> None:
    one = Told()
    tasks = listed(one, 6)
    one.read(one.page(0.0), all_of(tasks), 0.1)
    (checked,) = one.due(0.1)
    assert isinstance(checked, TrackedTask)
    one.queue.answered(checked, snapshot(checked, TaskStatus.SUCCEEDED), 0.2)
    assert one.queue.list_check.ended_id == checked.task_id
    assert one.queue.list_check.checked is None
    batch = one.page(1.0)
    request = one.queue.next_page(batch)
    assert request.ended_id == checked.task_id
    one.queue.list_breaker.compared(was_behind=True, now=1.0)
    one.queue.page_answered(batch, request, page_of(snapshot(checked)), 1.1)
    assert one.queue.list_check.ended_id is None
    assert not one.queue.list_breaker.is_usable  # the second page that was behind


def test_a_task_without_an_id_is_never_on_a_page() -> None:
    one = Told()
    tasks = listed(one, 4)
    nameless = one.queue.track(None, "order-1", scene="", now=0.0)
    one.queue.follow(nameless, one.end, 0.0)
    one.read(one.page(0.0), all_of(tasks), 0.1)
    assert nameless.stage is PollStage.DUE_SINGLY


def test_who_waits_for_a_page_is_scheduled_where_pages_end() -> None:
    one = Told()
    tasks = listed(one, 6)
    one.read(one.page(0.0), all_of(tasks), 0.1)
    waiting = [task for task in tasks if task.stage is PollStage.NEXT_PAGE]
    one.queue.list_breaker.trip(50.0)
    one.queue.advance(50.0)
    assert {task.stage for task in waiting} == {PollStage.SCHEDULED}
    assert {task.next_poll_at for task in waiting} == {55.0}


def test_a_task_that_was_planned_before_a_page_was_requested_waits_for_the_next() -> None:
    one = Told()
    tasks = listed(one, 4)
    late = one.queue.track("late", None, scene="", now=0.3)
    one.queue.follow(late, one.end, 0.3)
    one.page(0.0)
    assert one.due(0.3) == []
    assert one.queue.stages_of(late) == [PollStage.SCHEDULED]
    assert one.queue.wake_at <= 0.5
    one.queue.advance(0.5)
    assert one.queue.stages_of(late) == [PollStage.DUE]
    assert {task.stage for task in tasks} == {PollStage.POLLED}


def test_a_pause_where_pages_are_read_ends_with_the_next_page() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.queue.list_breaker.requested(100.0, 500.0)
    assert one.queue.list_breaker.next_at == pytest.approx(100.9)
    task = tasks[0]
    one.due(0.0)
    for now, next_poll_at in [(100.0, 100.9), (100.3, 100.9), (100.6, 101.5), (200.0, 200.9)]:
        task.next_poll_at = 0.0
        one.queue.follow(task, one.end, now)
        assert task.next_poll_at == pytest.approx(next_poll_at)


def test_who_outlasts_all_others_is_polled_as_rarely_beside_a_list() -> None:
    one = Told()
    task = listed(one, 5)[0]
    one.queue.follow(task, one.end, 721.0)
    assert task.next_poll_at == 721.0 + POLICY.max_interval_s


def test_three_that_wait_are_too_few_to_share_a_page() -> None:
    one = Told()
    task = listed(one, 3)[0]
    one.queue.follow(task, one.end, 100.0)
    assert task.next_poll_at == 110.0


def test_a_task_is_as_old_as_the_clock_says_and_not_older() -> None:
    one = Told()
    tasks = listed(one, 5, now=1000.0)
    one.read(one.page(1000.0), all_of(tasks), 1000.1)
    assert [task.stage for task in tasks].count(PollStage.NEXT_PAGE) == 4


def test_a_limit_of_rate_is_no_reason_to_poll_singly() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.queue.page_failed(one.page(0.0), RateLimitError("slow", retryable=True), 1.0)
    assert {task.stage for task in tasks} == {PollStage.SCHEDULED}


def test_a_page_that_is_not_to_be_had_for_ever_ends_its_waits() -> None:
    one = Told()
    tasks = listed(one, 5)
    waits = [one.queue.wait(t, one.queue.deadline(0.0), one.told.append) for t in tasks]
    for_ever = RateLimitError("slow", retryable=True, retry_after_s=1e9)
    one.queue.page_failed(one.page(0.0), for_ever, 100.0)
    assert len(one.told) == len(waits)
    assert {task.stage for task in tasks} == {PollStage.NEXT_PAGE}


def test_what_a_page_showed_before_a_fault_of_ours_is_not_polled_again_at_once() -> None:
    one = Told()
    tasks = listed(one, 6)
    batch = one.page(0.0)
    one.queue.page_answered(batch, one.queue.next_page(batch), all_of(tasks[:5]), 0.1)
    one.queue.page_broken(batch, 0.2)
    assert {task.stage for task in tasks[:5]} == {PollStage.SCHEDULED}
    assert tasks[5].stage is PollStage.DUE_SINGLY
    assert {round(task.next_poll_at, 6) for task in tasks[:5]} == {1.1}


def test_a_probe_that_proves_the_list_guilty_trips_it_now() -> None:
    one = Told()
    tasks = listed(one, 5)
    one.queue.list_breaker.answered(1, 0, took_s=0.0, now=0.0)
    for _ in range(5):
        one.queue.list_breaker.failed(BUSY, 0.0)
    one.queue.page_failed(one.page(0.0), BUSY, 1.0)
    assert one.due(1.0) == [tasks[0]]
    one.queue.answered(tasks[0], snapshot(tasks[0]), 2.0)
    assert not one.queue.list_breaker.is_usable
    one.queue.advance(601.0)
    assert not one.queue.list_breaker.is_usable
    one.queue.advance(602.0)
    assert one.queue.list_breaker.is_usable


def test_a_next_page_that_is_half_a_pause_away_is_not_requested_for_one_alone() -> None:
    one = Told()
    tasks = listed(one, 5, now=100.0)
    one.queue.list_breaker.requested(100.0, 0.0)
    assert one.queue.list_breaker.next_at == 100.5
    one.queue.follow(tasks[0], one.end, 100.25)
    assert tasks[0].next_poll_at == 100.75


def test_a_scene_is_remembered_where_a_task_outlasts_the_others() -> None:
    one = Told(policy=PollPolicy(max_interval_s=60.0))
    one.queue.history.load(json.dumps({"lengths": {"slow": [100.0] * 8}, "staleness": []}))
    task = listed(one, 5)[0]
    task.scene = "slow"
    one.queue.follow(task, one.end, 211.0)
    assert task.next_poll_at == pytest.approx(211.0 + 53.0)


def outage_beside(one: Told, tasks: list[TrackedTask]) -> PageBatch:
    """A page for the tasks is under way, and eight single queries of others."""
    singly: list[PageBatch | TrackedTask] = []
    for number in range(8):
        one.wait(f"s{number}")
        singly += one.due(0.0)
    one.queue.list_breaker.next_at = 0.0
    for task in tasks:
        one.queue.follow(task, one.end, 0.0)
        task.next_poll_at = 0.0
    batch = one.page(0.0)
    one.others = [poll for poll in singly if isinstance(poll, TrackedTask)]
    assert len(one.others) == 8
    return batch


def test_a_page_that_comes_during_an_outage_ends_it() -> None:
    one = Told()
    tasks = [one.queue.track(f"t{n}", None, scene="", now=0.0) for n in range(6)]
    batch = outage_beside(one, tasks)
    for other in one.others:
        one.queue.failed(other, BUSY, 0.2)
    assert one.due(0.3) == []
    for task in tasks:
        task.latest = snapshot(task)
    one.read(batch, all_of(tasks), 0.3)
    assert len(one.due(0.3)) == 1  # the check


def test_who_waits_for_a_page_rests_in_an_outage_from_then_on() -> None:
    one = Told()
    tasks = [one.queue.track(f"t{n}", None, scene="", now=0.0) for n in range(6)]
    batch = outage_beside(one, tasks)
    for task in tasks:
        task.latest = snapshot(task)
    one.read(batch, all_of(tasks), 0.1)
    waiting = [task for task in tasks if task.stage is PollStage.NEXT_PAGE]
    assert len(waiting) == 5
    for other in one.others:
        one.queue.failed(other, BUSY, 0.2)
    now = one.queue.list_breaker.next_at - TICK_S
    assert now + TICK_S == one.queue.list_breaker.next_at
    one.queue.advance(now)
    assert {task.stage for task in waiting} == {PollStage.DUE}
    assert {task.failing_since for task in waiting} == {now}
