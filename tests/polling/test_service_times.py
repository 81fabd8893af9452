"""What a service's times teach the schedule, where they are right and where they are not.

Fault 82: the service's times never move, or contradict what was seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from statistics import mean

import pytest
from attrs import frozen

from kling_effects_async import PollPolicy, TaskStatus
from kling_effects_async.errors import ServiceError
from kling_effects_async.models import TaskSnapshot, Video
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.schedule import DurationHistory
from kling_effects_async.protocol.messages import Listed
from tests.support.polled_service import PolledService, QuickClock

LAUNCH = datetime(2026, 9, 1, tzinfo=UTC)
VIDEO = Video(url="https://v.example/o.mp4")
POLICY = PollPolicy()

Tells = Callable[[float, float, float], tuple[float, float] | None]
"""Began, changed last, now -> ``created_at`` and ``updated_at`` as told; ``None``: neither."""


def right(began: float, changed: float, _now: float) -> tuple[float, float]:
    return began, changed


WRONG: dict[str, Tells] = {
    "none": lambda _began, _changed, _now: None,
    "never moves": lambda began, _changed, _now: (began, began),
    "moves at the start alone": lambda began, changed, _now: (began, min(changed, began + 1)),
    "always now": lambda began, _changed, now: (began, now),
    "before its creation": lambda began, changed, _now: (began, changed - 1000),
    "half of it": lambda began, changed, _now: (began, began + (changed - began) / 2),
    "twice of it": lambda began, changed, _now: (began, began + (changed - began) * 2),
    "a clock that is 8 s behind": lambda began, changed, _now: (began, changed - 8),
    "a clock that is 8 s ahead": lambda began, changed, _now: (began, changed + 8),
    "in the future": lambda began, changed, _now: (began, changed + 1e6),
    "all the same": lambda _began, _changed, _now: (0.0, 0.0),
}


class Service:
    """Tasks of 12 to 20 s that one client submits, one after the other."""

    def __init__(self, tells: Tells, load: Load) -> None:
        self.clock = QuickClock()
        self.tells = tells
        self.apart_s = load.apart_s
        self.asked = 0
        self.is_down = False
        self.life: dict[str, tuple[float, float]] = {}
        self.lags: list[float] = []
        self.poller = Poller(
            PolledService(self.one, self.page if load.has_list else None),
            policy=POLICY,
            clock=self.clock,
            rng=lambda: 0.5,
        )

    def snapshot(self, task_id: str) -> TaskSnapshot:
        began, ends = self.life[task_id]
        now = self.clock.monotonic()
        is_over = now >= ends
        told = self.tells(began, ends if is_over else min(now, began + 1), now)
        created_at, updated_at = (
            (LAUNCH + timedelta(seconds=s) for s in told) if told else (None,) * 2
        )
        return TaskSnapshot(
            task_id=task_id,
            status=TaskStatus.SUCCEEDED if is_over else TaskStatus.PROCESSING,
            videos=(VIDEO,) if is_over else (),
            created_at=created_at,
            updated_at=updated_at,
        )

    async def one(self, task_id: str) -> TaskSnapshot:
        self.asked += 1
        if self.is_down:
            raise ServiceError("bad gateway", http_status=502, retryable=True)
        return self.snapshot(task_id)

    async def page(
        self, number: int, size: int, wanted: Mapping[str, TaskSnapshot | None]
    ) -> Listed:
        self.asked += 1
        shown = list(self.life)[::-1][(number - 1) * size : number * size]
        return Listed(
            tasks=[self.snapshot(name) for name in shown if name in wanted], shown=len(shown)
        )

    async def batch(self, number: int, lengths_s: list[float]) -> None:
        self.lags.clear()
        self.asked = 0
        for index, length_s in enumerate(lengths_s):
            self.submit(f"{number}-{index}", length_s)
            await self.clock.advance(self.apart_s)
        await self.clock.advance(60)
        assert len(self.lags) == len(lengths_s)

    def submit(self, task_id: str, length_s: float) -> None:
        now = self.clock.monotonic()
        self.life[task_id] = now, now + length_s
        tracked = self.poller.track(task_id, None, scene="squish")
        self.poller.learn(tracked, self.snapshot(task_id))
        self.poller.follow(
            tracked, lambda _final: self.lags.append(self.clock.monotonic() - now - length_s)
        )


@frozen
class Load:
    """How many tasks a batch has, how far apart they are submitted, and whether they are listed."""

    count: int
    apart_s: float
    has_list: bool = False


LOADS = {
    "list": Load(60, 0.05, has_list=True),
    "no list": Load(60, 0.5),
    "one at a time": Load(20, 25.0),
}
right_figures: dict[Load, tuple[float, float, int]] = {}


async def measured(tells: Tells, load: Load) -> tuple[float, float, int]:
    """Mean and p95 lag in seconds, and requests, of the third batch."""
    service = Service(tells, load)
    drawn = random.Random(1)
    for number in range(3):
        await service.batch(number, [drawn.uniform(12, 20) for _ in range(load.count)])
    await service.poller.aclose()
    lags = sorted(service.lags)
    return mean(lags), lags[round(0.95 * (load.count - 1))], service.asked


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("tells", WRONG.values(), ids=WRONG)
async def test_wrong_times_make_no_end_known_later(tells: Tells, load: Load) -> None:
    if load not in right_figures:
        right_figures[load] = await measured(right, load)
    good, wrong = right_figures[load], await measured(tells, load)
    assert wrong[0] <= 1.1 * good[0] + 0.05
    assert wrong[1] <= 1.1 * good[1] + 0.05
    assert wrong[2] <= 1.3 * good[2]


def taught(
    *ends: tuple[float, float, float | None], began_at: float | None = None
) -> DurationHistory:
    """Ends as (seen, seen running, told), all of tasks that began together."""
    experience = DurationHistory()
    for seen_s, seen_running_s, stated_s in ends:
        experience.learn(
            "squish",
            seen_s=seen_s,
            seen_running_s=seen_running_s,
            stated_s=stated_s,
            began_at=began_at,
        )
    return experience


@pytest.mark.parametrize(
    "stated_s",
    [None, 0.0, -5.0, 1.0, 15.0, 29.0, 29.9, 30.0, 30.5, 60.0, 1e9],
    ids=lambda stated_s: f"told {stated_s}",
)
def test_what_is_learned_lies_between_the_two_sightings(stated_s: float | None) -> None:
    experience = taught(*[(30.0, 29.0, stated_s)] * 16)
    assert 0.95 * 28.9 <= experience.pause(POLICY, "squish", 0.0) <= 0.95 * 30
    assert experience.pause(POLICY, "squish", 29.0) == POLICY.shortest_s


def test_a_task_that_was_not_polled_for_long_counts_nearly_its_whole_age() -> None:
    experience = taught(*[(30.0, 0.0, None)] * 16)
    assert experience.pause(POLICY, "squish", 0.0) >= 0.95 * 0.94 * 30


@pytest.mark.parametrize(("number", "is_known"), [(1, False), (2, False), (3, True)])
def test_one_late_answer_is_an_accident_and_three_are_how_a_gateway_works(
    number: int, is_known: bool
) -> None:
    late_s = [14.0, 4.0, 9.0][:number]
    pause_s = taught(*[(30.0, 29.0, 29.0 - late) for late in late_s]).pause(POLICY, "squish", 0.0)
    assert pause_s == (min(14.0, POLICY.max_interval_s) if is_known else POLICY.shortest_s)


def test_times_that_were_contradicted_once_are_not_believed_later() -> None:
    lies = [(30.0, 29.0, 2.0)] * 8
    experience = taught(*lies, *[(30.0, 0.0, 2.0)] * 8)
    assert experience.pause(POLICY, "squish", 0.0) >= 0.95 * 0.94 * 30


def test_a_gateway_whose_ends_show_together_is_found_out() -> None:
    ends = [(45.0, 44.0, told) for told in (31.0, 34.0, 37.5, 41.0)]
    ends += [(60.0, 59.0, told) for told in (46.0, 50.0, 56.0)]
    pause_s = taught(*ends, *ends, began_at=100.0).pause(POLICY, "squish", 50.0)
    assert 10 <= pause_s <= POLICY.max_interval_s


def test_ends_that_show_while_others_would_be_late_prove_that_nothing_is_late() -> None:
    ends = [(30.0 + number, 29.0 + number, 20.0 + number / 2) for number in range(12)]
    assert taught(*ends, began_at=100.0).pause(POLICY, "squish", 35.0) == POLICY.shortest_s


@pytest.mark.parametrize(
    "text",
    [
        '{"lengths": {"squish": [0, 0, 0, 0, 0, 0, 0, 0, 0]}, "staleness": [14, 14, 14]}',
        '{"lengths": {"squish": [NaN, Infinity, -1, 0, 0, 0, 0, 0, 0]}, "staleness": [0, 99, NaN]}',
        '{"lengths": {"squish": [1' + "0" * 400 + ']}, "staleness": []}',
    ],
    ids=["times that never moved", "no numbers", "too large"],
)
def test_what_wrong_times_taught_an_earlier_version_is_forgotten(text: str) -> None:
    experience = DurationHistory()
    experience.load(text)
    assert experience.pause(POLICY, "squish", 5.0) == POLICY.shortest_s


async def test_a_task_that_was_slept_through_teaches_nothing() -> None:
    service = Service(WRONG["none"], Load(16, 0.0))
    for number in range(16):
        service.submit(f"t{number}", 12.0)
    await service.clock.advance(5)
    service.clock.jump(3600)
    await service.clock.advance(30)
    assert len(service.lags) == 16
    assert service.poller.history.pause(POLICY, "squish", 0.0) == POLICY.shortest_s
    await service.poller.aclose()


async def test_a_task_that_ended_in_an_outage_teaches_nothing() -> None:
    service = Service(WRONG["none"], Load(16, 0.0))
    for number in range(16):
        service.submit(f"t{number}", 12.0)
    await service.clock.advance(5)
    service.is_down = True
    await service.clock.advance(200)
    service.is_down = False
    await service.clock.advance(30)
    assert len(service.lags) == 16
    assert service.poller.history.pause(POLICY, "squish", 0.0) == POLICY.shortest_s
    await service.poller.aclose()
