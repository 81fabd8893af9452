"""The life of a task, as a table and as laws over any order of answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.models import TaskSnapshot, TaskStatus, Video
from kling_effects_async.polling.lifecycle import FOLLOWERS, is_change, newer

RANK = {
    TaskStatus.SUBMITTED: 0,
    TaskStatus.UNKNOWN: 1,
    TaskStatus.PROCESSING: 1,
    TaskStatus.SUCCEEDED: 2,
    TaskStatus.FAILED: 2,
}


def snapshot(status: TaskStatus, **members: object) -> TaskSnapshot:
    return TaskSnapshot(task_id="1", status=status, raw_status=status.value, **members)  # type: ignore[arg-type]


def held_after(statuses: list[TaskStatus]) -> list[TaskStatus]:
    """What is held after each of these answers."""
    held: TaskSnapshot | None = None
    history = []
    for status in statuses:
        held = newer(held, snapshot(status))
        history.append(held.status)
    return history


any_statuses = st.lists(st.sampled_from(TaskStatus), min_size=1, max_size=12)


def test_every_status_has_a_row() -> None:
    assert set(FOLLOWERS) == set(TaskStatus)


@given(any_statuses)
def test_final_is_final_whatever_comes_late(statuses: list[TaskStatus]) -> None:
    """Fault 37: status goes back, or two replicas disagree."""
    history = held_after(statuses)
    ends = [status for status in history if status.is_final]
    assert len(set(ends)) <= 1
    assert history[len(history) - len(ends) :] == ends


@given(any_statuses)
def test_a_status_never_goes_back(statuses: list[TaskStatus]) -> None:
    history = held_after(statuses)
    assert [RANK[s] for s in history] == sorted(RANK[s] for s in history)


@given(any_statuses)
def test_the_first_end_that_is_seen_is_held(statuses: list[TaskStatus]) -> None:
    end = next((status for status in statuses if status.is_final), None)
    assert end is None or held_after(statuses)[-1] is end


def test_a_fresh_address_replaces_the_old_one_and_is_no_news() -> None:
    old = snapshot(TaskStatus.SUCCEEDED, videos=(Video(url="https://v.example/1?sign=a"),))
    new = snapshot(TaskStatus.SUCCEEDED, videos=(Video(url="https://v.example/1?sign=b"),))
    assert newer(old, new) is new
    assert not is_change(old, new)
