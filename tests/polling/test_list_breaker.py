"""What makes a list trusted, and what leaves it alone for a while."""

from __future__ import annotations

import pytest

from kling_effects_async.errors import (
    AccountError,
    KlingEffectsError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
    ServiceError,
)
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.polling.list_breaker import ListBreaker, ListCheck
from kling_effects_async.polling.tracked_task import TrackedTask

BUSY = ServiceError("busy", retryable=True)
HUNG = RequestTimeoutError("no answer")
SLOWER = RateLimitError("slower", retryable=True)
NO_RIGHT = AccountError("no right")
GARBLED = ReplyError("a page of HTML")


def a_list(*, has_worked: bool = True) -> ListBreaker:
    breaker = ListBreaker(None)
    if has_worked:
        breaker.answered(1, 0, took_s=0.0, now=0.0)
    return breaker


def fail(breaker: ListBreaker, error: KlingEffectsError, times: int) -> bool:
    """Whether the list is usable after so many failures."""
    for _ in range(times):
        breaker.failed(error, 0.0)
    return breaker.is_usable


# -- the rhythm


def test_the_first_page_may_be_requested_at_once() -> None:
    assert ListBreaker(None).next_at == 0.0


def test_before_the_first_page_came_only_its_rhythm_is_known() -> None:
    breaker = ListBreaker(None)
    breaker.requested(10.0, 0.0)
    assert breaker.next_at == 10.5


@pytest.mark.parametrize(
    ("age_s", "pause_s"), [(0.0, 0.5), (5.0, 0.5), (7.0, 0.7), (9.0, 0.9), (500.0, 0.9)]
)
def test_pages_are_as_rare_as_their_youngest_task_is_old(age_s: float, pause_s: float) -> None:
    breaker = a_list()
    breaker.requested(10.0, age_s)
    assert breaker.next_at == pytest.approx(10.0 + pause_s)


def test_a_slow_reading_keeps_the_next_one_off_for_half_of_its_time() -> None:
    breaker = a_list()
    breaker.answered(1, 0, took_s=4.0, now=5.0)
    breaker.requested(10.0, 0.0)
    assert breaker.next_at == 12.0


@pytest.mark.parametrize(("now", "next_at"), [(10.0, 10.9), (10.8, 11.3)])
def test_a_reading_that_goes_on_is_not_overtaken_at_once(now: float, next_at: float) -> None:
    breaker = a_list()
    breaker.requested(10.0, 500.0)
    breaker.requested_next(now)
    assert breaker.next_at == pytest.approx(next_at)


def test_the_first_of_every_five_readings_is_checked() -> None:
    breaker = a_list()
    wanted = [breaker.wants_a_check()]
    for _ in range(7):
        breaker.requested(0.0, 0.0)
        wanted.append(breaker.wants_a_check())
    assert wanted == [False, True, False, False, False, False, True, False]


# -- failures


@pytest.mark.parametrize(
    ("error", "borne"), [(HUNG, 1), (GARBLED, 2), (NO_RIGHT, 2), (BUSY, 7), (SLOWER, 15)]
)
def test_a_list_that_worked_is_left_alone_after_some_failures(
    error: KlingEffectsError, borne: int
) -> None:
    assert fail(a_list(), error, borne)
    assert not fail(a_list(), error, borne + 1)


@pytest.mark.parametrize(
    ("error", "is_usable"), [(GARBLED, False), (NO_RIGHT, False), (BUSY, True), (HUNG, True)]
)
def test_a_rejection_without_any_page_means_that_there_is_no_list(
    error: KlingEffectsError, is_usable: bool
) -> None:
    assert fail(a_list(has_worked=False), error, 1) is is_usable


def test_a_list_that_has_shown_nothing_yet_bears_as_many_failures() -> None:
    assert fail(a_list(has_worked=False), BUSY, 7)
    assert not fail(a_list(has_worked=False), BUSY, 8)


def test_a_page_makes_up_for_all_failures_before_it() -> None:
    breaker = a_list()
    fail(breaker, BUSY, 7)
    breaker.answered(1, 0, took_s=0.0, now=0.0)
    assert fail(breaker, BUSY, 7)


def test_a_single_answer_beside_a_failed_page_blames_the_list() -> None:
    breaker = a_list()
    fail(breaker, BUSY, 3)
    for _ in range(2):
        breaker.did_without(0.0)
    assert breaker.is_usable
    breaker.did_without(0.0)
    assert not breaker.is_usable


def test_a_single_answer_without_a_failed_page_blames_nobody() -> None:
    breaker = a_list()
    for _ in range(9):
        breaker.did_without(0.0)
    assert fail(breaker, BUSY, 7)


# -- what pages show


def read(breaker: ListBreaker, *pages: tuple[int, int]) -> bool:
    for found, missed in pages:
        breaker.answered(found, missed, took_s=0.0, now=0.0)
    return breaker.is_usable


def test_three_pages_in_a_row_without_most_of_their_tasks_are_too_many() -> None:
    gap, even, full, nothing = (0, 1), (1, 1), (1, 0), (0, 0)
    assert read(ListBreaker(None), gap, gap)
    assert not read(a_list(), gap, gap, gap)
    assert read(a_list(), gap, gap, full, gap, gap)
    assert read(a_list(), gap, gap, even, gap, gap)
    assert not read(a_list(), gap, gap, nothing, gap)


def compare(breaker: ListBreaker, text: str) -> bool:
    """``-`` for a page that was behind, ``+`` for one that was not."""
    for letter in text:
        breaker.compared(was_behind=letter == "-", now=0.0)
    return breaker.is_usable


@pytest.mark.parametrize("borne", ["-", "-+-", "-++++-", "+++++-", "-++++-+++-"])
def test_a_page_that_is_behind_now_and_then_is_borne(borne: str) -> None:
    assert compare(a_list(), borne)


@pytest.mark.parametrize("text", ["--", "+++++--", "-+--", "-+++++--"])
def test_pages_that_are_behind_again_and_again_are_not(text: str) -> None:
    assert not compare(a_list(), text)


# -- the rest


def rest_s(breaker: ListBreaker, now: float) -> float:
    """Trip, and see how long it rests."""
    breaker.trip(now)
    for seconds in range(1, 10_000):
        breaker.half_open(now + seconds)
        if breaker.is_usable:
            return float(seconds)
    raise AssertionError("it rests for ever")


def test_each_rest_is_twice_as_long() -> None:
    breaker = a_list()
    assert [rest_s(breaker, 100.0), rest_s(breaker, 5000.0)] == [600.0, 1200.0]


def test_after_a_rest_the_list_has_to_show_again_that_it_is_there() -> None:
    breaker = a_list()
    fail(breaker, BUSY, 7)
    read(breaker, (0, 1), (0, 1))
    compare(breaker, "-")
    fail(breaker, BUSY, 7)
    rest_s(breaker, 0.0)
    assert not breaker.has_worked
    assert fail(breaker, BUSY, 7)
    breaker.answered(0, 1, took_s=0.0, now=0.0)
    breaker.compared(was_behind=True, now=0.0)
    assert breaker.is_usable
    assert read(breaker, (0, 1))


def test_a_usable_list_has_nothing_to_show_again() -> None:
    breaker = a_list()
    breaker.half_open(10_000.0)
    assert breaker.has_worked


def test_a_list_that_no_document_has_is_never_tried() -> None:
    breaker = ListBreaker(has_list=False)
    breaker.half_open(10_000.0)
    assert not breaker.is_usable


@pytest.mark.parametrize(("since", "is_usable"), [(9.0, True), (10.0, True), (11.0, False)])
def test_an_outage_of_the_service_was_no_fault_of_the_list(since: float, is_usable: bool) -> None:
    breaker = a_list()
    breaker.trip(10.0)
    breaker.reset(since)
    assert breaker.is_usable is is_usable
    if is_usable:
        assert rest_s(breaker, 20.0) == 600.0  # as if it had not rested


def test_an_outage_makes_no_list_where_none_was() -> None:
    breaker = a_list(has_worked=False)
    breaker.trip(10.0)
    breaker.reset(0.0)
    assert not breaker.is_usable


def test_an_outage_makes_up_for_the_failures_in_it_and_shortens_no_rest() -> None:
    breaker = a_list()
    fail(breaker, BUSY, 7)
    breaker.reset(0.0)
    assert fail(breaker, BUSY, 7)
    assert rest_s(breaker, 0.0) == 600.0


# -- checks


def task(name: str, *, age_s: float, is_running: bool = True) -> TrackedTask:
    made = TrackedTask(name, None, "", -age_s)
    made.latest = snapshot(name) if is_running else None
    return made


def snapshot(name: str, status: TaskStatus = TaskStatus.PROCESSING) -> TaskSnapshot:
    return TaskSnapshot(task_id=name, status=status, raw_status=status.value)


def a_check() -> tuple[ListCheck, ListBreaker]:
    breaker = a_list()
    breaker.requested(0.0, 0.0)
    return ListCheck(breaker), breaker


def test_the_oldest_and_the_others_are_checked_in_turn() -> None:
    check, _breaker = a_check()
    tasks = [task(f"t{age}", age_s=float(age)) for age in (1, 3, 2)]
    chosen = []
    for _ in range(6):
        (one,) = check.to_check(tasks)
        assert check.checked is one
        chosen.append(one.task_id)
        check.polled(one)
    assert chosen == ["t3", "t3", "t2", "t3", "t1", "t3"]


def test_one_check_at_a_time_and_only_of_what_runs_by_the_page() -> None:
    check, breaker = a_check()
    over, unlisted = task("over", age_s=9), task("unlisted", age_s=9)
    over.is_over = True
    unlisted.is_unlisted = True
    others = [over, unlisted, task("new", age_s=9, is_running=False)]
    assert check.to_check(others) == set()
    running = task("t1", age_s=1)
    assert check.to_check([*others, running]) == {running}
    assert check.to_check([running]) == set()
    check.polled(task("another", age_s=1))
    assert check.checked is running
    check.polled(running)
    breaker.requested(0.0, 0.0)  # the second reading is not checked
    assert check.to_check([running]) == set()


def test_a_failed_page_is_probed_with_its_oldest_task() -> None:
    check, _breaker = a_check()
    tasks = [task(f"t{age}", age_s=float(age)) for age in (1, 3, 2)]
    assert check.to_probe([], BUSY) == set()
    assert check.to_probe(tasks, SLOWER) == set()
    assert check.to_probe(tasks, BUSY) == {tasks[1]}
    assert check.to_probe(tasks, BUSY) == set()
    check.polled(tasks[0])
    assert check.probe is tasks[1]
    check.polled(tasks[1])
    assert check.probe is None


def test_a_probe_that_is_answered_blames_the_list() -> None:
    check, breaker = a_check()
    fail(breaker, BUSY, 6)
    (probe,) = check.to_probe([task("t1", age_s=1)], BUSY)
    check.answered_singly(task("t2", age_s=1), snapshot("t2"), 0.0)
    assert breaker.is_usable
    check.answered_singly(probe, snapshot("t1"), 0.0)
    assert not breaker.is_usable


def test_an_end_that_a_check_saw_has_to_be_on_the_next_page() -> None:
    check, breaker = a_check()
    for _ in range(2):
        (checked,) = check.to_check([task("t1", age_s=1)])
        assert breaker.is_usable
        check.answered_singly(checked, snapshot("t1", TaskStatus.SUCCEEDED), 0.0)
        check.polled(checked)
        assert check.ended_id == "t1"
        check.shown(snapshot("t1"), 0.0)
        assert check.ended_id is None
    assert not breaker.is_usable


def test_a_check_that_agrees_with_the_page_makes_up_for_one_that_did_not() -> None:
    check, breaker = a_check()
    check.shown(snapshot("t1"), 0.0)
    for _ in range(4):
        (checked,) = check.to_check([task("t1", age_s=1)])
        check.answered_singly(checked, snapshot("t1"), 0.0)
        check.polled(checked)
    check.shown(snapshot("t1"), 0.0)
    assert breaker.is_usable
    check.shown(snapshot("t1", TaskStatus.SUCCEEDED), 0.0)
    check.shown(snapshot("t1"), 0.0)
    assert breaker.is_usable
