"""When to ask next, from what past tasks took."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.failures import pause_after_failure
from kling_effects_async.polling.schedule import DurationHistory

POLICY = PollPolicy()


def learned(lengths: list[float], scene: str = "squish") -> DurationHistory:
    experience = DurationHistory()
    for length in lengths:
        experience.learn(scene, seen_s=length, seen_running_s=length - 0.5, stated_s=length)
    return experience


def looks(experience: DurationHistory, length_s: float, scene: str = "squish") -> list[float]:
    """The ages at which a task of this length is asked about, the last one at or after its end."""
    ages = [experience.pause(POLICY, scene, 0.0)]
    while ages[-1] < length_s:
        ages.append(ages[-1] + experience.pause(POLICY, scene, ages[-1]))
    return ages


def spread(low: float, high: float, number: int) -> list[float]:
    return [low + (high - low) * (index + 0.5) / number for index in range(number)]


def cost(experience: DurationHistory, lengths: list[float]) -> tuple[float, float]:
    """PollRequests per task and mean lag in seconds."""
    asked = [looks(experience, length) for length in lengths]
    lags = [ages[-1] - length for ages, length in zip(asked, lengths, strict=True)]
    return sum(map(len, asked)) / len(asked), sum(lags) / len(lags)


def test_a_cold_start_knows_of_short_tasks_within_a_second() -> None:
    assert max(looks(DurationHistory(), length)[-1] - length for length in spread(1.5, 2.5, 50)) < 1


def test_a_cold_start_asks_few_times_in_five_minutes() -> None:
    assert len(looks(DurationHistory(), 300.0)) < 60


def test_nothing_is_asked_long_before_the_earliest_likely_end() -> None:
    experience = learned(spread(20, 40, 64))
    assert looks(experience, 30.0)[0] > 18


def test_what_was_learned_makes_waiting_cheaper_and_better() -> None:
    lengths = spread(20, 40, 100)
    random.Random(1).shuffle(lengths)
    cold_asks, cold_lag = cost(DurationHistory(), lengths)
    warm_asks, warm_lag = cost(learned(lengths[:64]), lengths)
    assert warm_asks <= 15
    assert warm_lag <= 0.6
    assert warm_lag < cold_lag
    assert warm_asks < cold_asks + 5


def test_scenes_learn_apart() -> None:
    experience = learned(spread(100, 120, 64), scene="slow")
    assert experience.pause(POLICY, "slow", 0.0) > 90
    assert experience.pause(POLICY, "quick", 0.0) == POLICY.shortest_s


def test_a_task_that_outlasts_all_others_is_asked_about_ever_more_rarely() -> None:
    ages = looks(learned(spread(20, 40, 64)), 400.0)
    pauses = [round(b - a, 6) for a, b in pairwise(ages) if a > 43]
    assert pauses == sorted(pauses)
    assert pauses[-1] == POLICY.max_interval_s


def test_a_handful_of_tasks_teaches_nothing_yet() -> None:
    assert learned([30.0] * 7).pause(POLICY, "squish", 0.0) == POLICY.shortest_s
    assert learned([30.0] * 8).pause(POLICY, "squish", 0.0) > 20


def test_a_gateway_that_refreshes_every_15_s_is_not_asked_more_often() -> None:
    experience = DurationHistory()
    for length in (20.0, 22.0, 25.0):
        seen_s = 30.0  # the next refresh after the end
        experience.learn("squish", seen_s=seen_s, seen_running_s=seen_s - 1, stated_s=length)
    assert experience.pause(POLICY, "squish", 25.0) >= 7
    assert experience.pause(POLICY, "squish", 25.0) <= POLICY.max_interval_s


def test_a_service_with_another_clock_is_not_called_stale() -> None:
    experience = DurationHistory()
    for _ in range(9):  # an emulator in fast motion: a minute of its time is a tenth of a second
        experience.learn("squish", seen_s=0.2, seen_running_s=0.1, stated_s=60.0)
    assert experience.pause(POLICY, "squish", 0.0) == POLICY.shortest_s


def test_what_was_learned_survives_as_text() -> None:
    before = learned(spread(20, 40, 64))
    after = DurationHistory()
    after.load(before.dumps())
    assert looks(after, 30.0) == pytest.approx(looks(before, 30.0), abs=0.01)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"lengths": {"a": "x"}, "staleness": []}'])
def test_what_cannot_be_read_is_learned_anew(text: str) -> None:
    experience = DurationHistory()
    experience.load(text)
    assert experience.pause(POLICY, "squish", 0.0) == POLICY.shortest_s


@given(
    st.lists(st.floats(0.1, 4000), max_size=70),
    st.floats(0, 5000),
    st.floats(0.1, 5),
    st.floats(5, 60),
)
def test_a_pause_is_never_shorter_than_the_shortest_nor_endless(
    lengths: list[float], age_s: float, shortest_s: float, max_interval_s: float
) -> None:
    policy = PollPolicy(shortest_s=shortest_s, max_interval_s=max_interval_s)
    pause_s = learned(lengths).pause(policy, "squish", age_s)
    assert shortest_s <= pause_s <= max(max_interval_s, *lengths, 0.0, shortest_s)


@given(st.integers(1, 50), st.none() | st.floats(0, 1000), st.floats(0, 0.999))
def test_after_a_failure_the_pause_asked_for_is_kept(
    failures: int, asked_s: float | None, drawn: float
) -> None:
    """Fault 13: at least Retry-After, jitter on top."""
    pause_s = pause_after_failure(POLICY, failures, asked_s, lambda: drawn)
    assert pause_s >= (asked_s or 0.0)
    assert pause_s <= max(POLICY.max_interval_s, (asked_s or 0.0) + POLICY.shortest_s)


# -- the numbers themselves

DENSE = PollPolicy(shortest_s=0.1, max_interval_s=30.0)


def taught(*lengths: float, scene: str = "squish") -> DurationHistory:
    """Each length as the service states it, seen a second before and a second after."""
    history = DurationHistory()
    teach(history, *lengths, scene=scene)
    return history


def teach(history: DurationHistory, *lengths: float, scene: str = "squish") -> None:
    for length in lengths:
        history.learn(scene, seen_s=length + 1, seen_running_s=length - 1, stated_s=length)


def lengths_of(history: DurationHistory, scene: str = "squish") -> list[float]:
    return list(json.loads(history.dumps())["lengths"][scene])


def lateness_of(history: DurationHistory) -> list[float]:
    return list(json.loads(history.dumps())["staleness"])


@pytest.mark.parametrize(
    ("age_s", "pause_s"), [(0.0, 0.1), (5.0, 0.5), (100.0, 10.0), (1000.0, 30.0)]
)
def test_a_cold_start_polls_at_a_tenth_of_the_age(age_s: float, pause_s: float) -> None:
    assert DurationHistory().pause(DENSE, "squish", age_s) == pytest.approx(pause_s)


@pytest.mark.parametrize(
    ("age_s", "pause_s"),
    [
        (0.0, 95.0),
        (94.95, 0.1),
        (95.0, 0.4),
        (104.0, 0.4),
        (105.0, 0.1),
        (115.0, 5.0),
        (1000.0, 30.0),
    ],
)
def test_polls_are_dense_where_ends_are_likely(age_s: float, pause_s: float) -> None:
    history = taught(*[100.0] * 8)
    assert history.pause(DENSE, "squish", age_s) == pytest.approx(pause_s)


@pytest.mark.parametrize(
    ("scene", "age_s", "end_in_s"),
    [
        ("squish", 10.0, 85.0),
        ("squish", 95.0, 0.0),
        ("squish", 210.0, 0.0),
        ("squish", 210.1, None),
        ("hug", 0.0, 0.0),
        ("hug", 720.0, 0.0),
        ("hug", 720.1, None),
    ],
)
def test_when_the_earliest_end_can_be(scene: str, age_s: float, end_in_s: float | None) -> None:
    earliest = taught(*[100.0] * 8).earliest_end_in_s(scene, age_s)
    assert earliest == (None if end_in_s is None else pytest.approx(end_in_s))


def test_one_end_in_fifty_may_be_earlier_and_one_later() -> None:
    history = DurationHistory()
    history.load(json.dumps({"lengths": {"a": list(range(101, 0, -1))}, "staleness": []}))
    assert history.earliest_end_in_s("a", 0.0) == pytest.approx(3 * 0.95)
    assert history.earliest_end_in_s("a", 2 * 99 * 1.05 - 0.1) == 0.0
    assert history.earliest_end_in_s("a", 2 * 99 * 1.05 + 0.1) is None


def test_what_is_expected_is_reviewed_after_every_sixteen_tasks() -> None:
    history = taught(*[100.0] * 8)
    teach(history, *[200.0] * 7)
    assert history.earliest_end_in_s("squish", 300.0) is None
    teach(history, 200.0)
    assert history.earliest_end_in_s("squish", 300.0) == 0.0
    teach(history, *[1000.0] * 15)
    assert history.earliest_end_in_s("squish", 500.0) is None
    teach(history, 1000.0)
    assert history.earliest_end_in_s("squish", 500.0) == 0.0


def test_a_review_teaches_nothing_of_a_scene_with_few_tasks() -> None:
    history = taught(*[100.0] * 15)
    teach(history, 100.0, scene="hug")
    assert history.earliest_end_in_s("hug", 0.0) == 0.0


def test_the_lengths_of_the_last_512_tasks_are_kept() -> None:
    history = taught(1.0, *[100.0] * 512)
    assert lengths_of(history) == [100.0] * 512
    again = DurationHistory()
    again.load(json.dumps({"lengths": {"squish": [1.0, *[100.0] * 512]}, "staleness": []}))
    assert lengths_of(again) == [100.0] * 512


@pytest.mark.parametrize(
    ("running_s", "seen_s", "stated_s", "length_s"),
    [
        (50.0, 60.0, 50.1, 50.1),
        (50.0, 60.0, 58.9, 58.9),
        # at the very moment of an answer, or impossible: a little before it was seen
        (50.0, 60.0, 50.0, 57.0),
        (50.0, 60.0, 59.0, 57.0),
        (50.0, 60.0, 200.0, 57.0),
        (50.0, 60.0, None, 57.0),
        (59.0, 60.0, None, 59.5),
        (0.0, 10.0, None, 9.5),
        (12.0, 10.0, None, 10.0),
        (-5.0, 10.0, 0.5, 0.5),
        (-5.0, 10.0, -2.0, 9.5),
        (0.0, 10.0, 0.0, 9.5),
    ],
)
def test_a_length_is_the_service_s_where_it_can_be(
    running_s: float, seen_s: float, stated_s: float | None, length_s: float
) -> None:
    history = DurationHistory()
    history.learn("squish", seen_s=seen_s, seen_running_s=running_s, stated_s=stated_s)
    assert lengths_of(history) == [pytest.approx(length_s)]


@pytest.mark.parametrize(
    ("running_s", "seen_s", "stated_s", "is_possible"),
    [
        (50.0, 60.0, 49.0, True),
        (50.0, 60.0, 48.9, False),
        (50.0, 60.0, 61.0, True),
        (50.0, 60.0, 61.1, False),
        (0.5, 1.0, 0.1, True),
        (0.5, 1.0, 0.0, False),
        (0.5, 1.0, -0.1, False),
        (50.0, 60.0, None, True),
    ],
)
def test_a_service_that_contradicts_what_was_seen_is_not_believed_for_a_while(
    running_s: float, seen_s: float, stated_s: float | None, is_possible: bool
) -> None:
    history = DurationHistory()
    for _ in range(3):
        history.learn("hug", seen_s=seen_s, seen_running_s=running_s, stated_s=stated_s)
    history.learn("squish", seen_s=60.0, seen_running_s=50.0, stated_s=52.0)
    assert lengths_of(history) == [52.0 if is_possible else 57.0]


def test_two_contradictions_in_sixteen_tasks_are_borne() -> None:
    history = DurationHistory()
    for _ in range(3):
        history.learn("hug", seen_s=60.0, seen_running_s=50.0, stated_s=10.0)
    for _ in range(14):
        history.learn("squish", seen_s=60.0, seen_running_s=50.0, stated_s=52.0)
    assert lengths_of(history) == [57.0] * 13 + [52.0]


def test_what_is_remembered_is_rounded_to_milliseconds() -> None:
    assert lengths_of(taught(10.12345)) == [10.123]


def test_lengths_that_cannot_be_are_not_loaded() -> None:
    history = DurationHistory()
    lengths = [0, -1, "inf", *[100.0] * 7]
    history.load(json.dumps({"lengths": {"squish": lengths}, "staleness": []}))
    assert lengths_of(history) == [100.0] * 7
    assert history.earliest_end_in_s("squish", 0.0) == 0.0
    history.load(json.dumps({"lengths": {"squish": [*lengths, 100.0]}, "staleness": []}))
    assert history.earliest_end_in_s("squish", 0.0) == 95.0


def test_how_stale_a_service_is_is_remembered() -> None:
    history = DurationHistory()
    history.load(json.dumps({"lengths": {}, "staleness": [5, 9, 12]}))
    assert history.pause(DENSE, "squish", 0.0) == 12.0
    assert lateness_of(history) == [5.0, 9.0, 12.0]


def test_a_service_is_not_polled_more_often_than_it_refreshes_and_not_too_rarely() -> None:
    history = DurationHistory()
    history.load(json.dumps({"lengths": {}, "staleness": [5, 9, 12]}))
    rare = PollPolicy(shortest_s=0.1, max_interval_s=10.0)
    slow = PollPolicy(shortest_s=15.0, max_interval_s=30.0)
    assert [history.pause(policy, "squish", 0.0) for policy in (rare, slow)] == [10.0, 15.0]


@pytest.mark.parametrize(("has_refreshed", "late_s"), [(False, [5.0]), (True, [])])
def test_two_ends_that_show_together_are_stale_unless_another_showed_between(
    has_refreshed: bool, late_s: list[float]
) -> None:
    """By one clock: ends at 110 and 115 are both seen between 120 and 121."""
    history = DurationHistory()
    if has_refreshed:  # seen between 116 and 117
        history.learn("squish", seen_s=19.0, seen_running_s=18.0, stated_s=None, began_at=98.0)
    history.learn("squish", seen_s=21.0, seen_running_s=20.0, stated_s=10.0, began_at=100.0)
    history.learn("squish", seen_s=16.0, seen_running_s=15.0, stated_s=10.0, began_at=105.0)
    assert lateness_of(history) == late_s


def test_times_that_are_no_lengths_are_no_lateness() -> None:
    history = DurationHistory()
    for stated_s in (0.0, -3.0, None):
        history.learn("squish", seen_s=11.0, seen_running_s=10.0, stated_s=stated_s)
    assert lateness_of(history) == []
    history.learn("squish", seen_s=11.0, seen_running_s=10.0, stated_s=1.0)
    assert lateness_of(history) == [9.0]
