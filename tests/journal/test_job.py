"""The life of a paid job, as a table and as laws over any way through it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.errors import JournalError
from kling_effects_async.journal.job import (
    FOLLOWERS,
    Job,
    JobState,
    JobUpdate,
    apply,
    check_update,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def job(**members: object) -> Job:
    usual: dict[str, object] = {
        "account": "account",
        "external_task_id": "order-42",
        "scene": "squish",
        "fingerprint": "f" * 64,
        "effect": "{}",
        "created_at": NOON,
    }
    return Job(**{**usual, **members})  # type: ignore[arg-type]  # each test gives the right ones


@st.composite
def lives(draw: st.DrawFn) -> list[JobState]:
    """A way through the table, from the beginning."""
    life = [JobState.PLANNED]
    for _ in range(draw(st.integers(0, 30))):
        followers = sorted(FOLLOWERS[life[-1]], key=str)
        if not followers:
            break
        life.append(draw(st.sampled_from(followers)))
    return life


def test_every_state_has_a_row() -> None:
    assert set(FOLLOWERS) == set(JobState)


def test_every_state_can_be_reached() -> None:
    reached = {JobState.PLANNED}.union(*FOLLOWERS.values())
    assert reached == set(JobState)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.ABANDONED])
def test_nothing_comes_after_an_end(state: JobState) -> None:
    assert not FOLLOWERS[state]


@given(lives())
def test_a_job_with_a_task_is_never_submitted_again(life: list[JobState]) -> None:
    after = life[life.index(JobState.ACCEPTED) :] if JobState.ACCEPTED in life else []
    assert JobState.SUBMITTING not in after
    assert JobState.PLANNED not in after


@given(lives())
def test_each_submit_is_planned_anew(life: list[JobState]) -> None:
    before = [life[at - 1] for at, state in enumerate(life) if state is JobState.SUBMITTING]
    assert set(before) <= {JobState.PLANNED}


@pytest.mark.parametrize(
    ("state", "is_paid"),
    [
        (JobState.PLANNED, False),
        (JobState.SUBMITTING, False),
        (JobState.UNCERTAIN, True),
        (JobState.ACCEPTED, True),
        (JobState.SUCCEEDED, True),
        (JobState.FAILED, True),
        (JobState.REJECTED, False),
        (JobState.DOWNLOADED, True),
        (JobState.ABANDONED, False),
    ],
)
def test_what_may_have_cost_money(state: JobState, is_paid: bool) -> None:
    assert job(state=state).is_paid is is_paid


def test_giving_up_a_task_does_not_make_it_free() -> None:
    assert job(state=JobState.ABANDONED, task_id="1").is_paid


@pytest.mark.parametrize("state", JobState)
def test_what_is_left_to_resume(state: JobState) -> None:
    is_under_way = state in {
        JobState.PLANNED,
        JobState.SUBMITTING,
        JobState.UNCERTAIN,
        JobState.ACCEPTED,
    }
    assert job(state=state).is_open is is_under_way
    is_to_fetch = state is JobState.SUCCEEDED
    assert job(state=state, download_to="clips").is_open is (is_under_way or is_to_fetch)


def test_a_new_job_was_changed_last_when_it_was_made() -> None:
    assert job().updated_at == NOON


def test_times_are_kept_in_utc() -> None:
    peking = timezone(timedelta(hours=8))
    made = job(created_at=datetime(2026, 11, 23, 20, tzinfo=peking))
    assert made.created_at == NOON
    assert made.created_at.tzinfo is UTC


def test_a_time_without_a_zone_is_rejected() -> None:
    with pytest.raises(ValueError, match="aware"):
        job(created_at=datetime(2026, 11, 23, 12))


def test_addresses_that_may_be_signed_are_not_shown() -> None:
    shown = repr(job(effect="?sign=a", result="?sign=b", callback_url="https://c.example/?key=c"))
    assert "sign" not in shown
    assert "key" not in shown


def test_a_second_task_is_rejected_with_both_ids_and_what_to_do() -> None:
    held = job(state=JobState.ACCEPTED, task_id="1")
    with pytest.raises(JournalError) as caught:
        check_update(held, JobUpdate(JobState.SUCCEEDED, task_id="2"))
    assert str(caught.value) == (
        "job 'order-42' has task 1 and cannot get task 2 as well: both may be charged; check both"
    )


@pytest.mark.parametrize("held", [None, "1"])
def test_a_job_gets_its_task_and_may_get_the_same_again(held: str | None) -> None:
    check_update(
        job(state=JobState.SUBMITTING, task_id=held), JobUpdate(JobState.ACCEPTED, task_id="1")
    )


@pytest.mark.parametrize("state", JobState)
def test_an_update_may_leave_the_state_as_it_is(state: JobState) -> None:
    check_update(job(state=state, task_id="1"), JobUpdate(state, message="news"))


@pytest.mark.parametrize(
    ("state", "to", "followers"),
    [
        (JobState.SUCCEEDED, JobState.PLANNED, "abandoned, downloaded"),
        (JobState.FAILED, JobState.PLANNED, "nothing"),
    ],
)
def test_a_step_out_of_the_table_is_rejected_with_the_steps_in_it(
    state: JobState, to: JobState, followers: str
) -> None:
    with pytest.raises(JournalError) as caught:
        check_update(job(state=state), JobUpdate(to))
    assert str(caught.value) == (
        f"job 'order-42' is {state} and cannot become {to}; after {state} comes {followers}"
    )


KNOWN = {"task_id": "1", "message": "a", "units": Decimal(1), "result": "{}", "path": "a.mp4"}
NEWS = {"task_id": "2", "message": "b", "units": Decimal(2), "result": "[]", "path": "b.mp4"}


@pytest.mark.parametrize("name", KNOWN)
def test_an_update_writes_what_it_tells_and_keeps_the_rest(name: str) -> None:
    told = JobUpdate(JobState.ACCEPTED, **{name: NEWS[name]})  # type: ignore[arg-type]  # by name
    after = apply(job(**KNOWN), told, at=NOON + timedelta(hours=1))
    assert {key: getattr(after, key) for key in KNOWN} == {**KNOWN, name: NEWS[name]}
    assert (after.state, after.updated_at) == (JobState.ACCEPTED, NOON + timedelta(hours=1))


@pytest.mark.parametrize("was_sent", [True, False])
@pytest.mark.parametrize("to", [JobState.PLANNED, JobState.UNCERTAIN])
def test_what_was_sent_once_stays_sent(was_sent: bool, to: JobState) -> None:
    """Else a task that an earlier submit made would be taken for somebody else's."""
    after = apply(job(was_sent=was_sent), JobUpdate(to), at=NOON)
    assert after.was_sent is (was_sent or to is JobState.UNCERTAIN)
