"""When to ask next, from what past tasks took."""

from __future__ import annotations

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
