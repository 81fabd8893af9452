"""The breaker before every submit: a pause is kept by all, and one rejection stops all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from kling_effects_async.errors import (
    AccountError,
    ClientClosedError,
    KlingEffectsError,
    RateLimitError,
)
from kling_effects_async.policy import SlotPolicy
from kling_effects_async.submitting.breaker import SubmitBreaker
from kling_effects_async.testing import ManualClock
from kling_effects_async.transport.clock import TICK_S, Timer, sleep

REASON = AccountError("nothing left", code=1102, request_id="r-1")
TOO_FAST = RateLimitError("request rate is too high", code=1302)
ASKS_30 = RateLimitError("request rate is too high", code=1302, retry_after_s=30.0)


def a_gate(clock: ManualClock, on_stop: Callable[[KlingEffectsError], None]) -> SubmitBreaker:
    return SubmitBreaker(SlotPolicy(probe_s=60), clock, on_stop=on_stop, rng=lambda: 1.0)


class Road:
    """A breaker, a clock, and those who went through."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.told: list[KlingEffectsError] = []
        self.passed_at: list[float] = []
        self.breaker = a_gate(self.clock, on_stop=self.told.append)

    async def go(self) -> None:
        await self.breaker.pass_through()
        self.passed_at.append(self.clock.monotonic())


async def test_an_open_gate_lets_everybody_through_at_once() -> None:
    road = Road()
    await asyncio.gather(*(road.go() for _ in range(5)))
    assert road.passed_at == [0] * 5


async def test_a_pause_is_kept_by_all() -> None:
    """Fault 13: wait at least as long as asked."""
    road = Road()
    road.breaker.pause(30, TOO_FAST)
    going = asyncio.gather(*(road.go() for _ in range(5)))
    await road.clock.advance(29)
    assert road.passed_at == []
    await road.clock.advance(2)
    await going
    assert road.passed_at == [30] * 5


async def test_a_pause_that_is_prolonged_meanwhile_is_kept_to_its_new_end() -> None:
    road = Road()
    road.breaker.pause(10, TOO_FAST)
    going = asyncio.ensure_future(road.go())
    await road.clock.advance(5)
    road.breaker.pause(10, TOO_FAST)
    await road.clock.advance(20)
    await going
    assert road.passed_at == [15]


async def test_a_timer_that_fires_a_little_early_ends_the_pause_all_the_same() -> None:
    """Waiting again for the rest, on a clock too coarse to tell it, would never end."""
    early_s = 1e-9
    timers: list[float] = []

    class EarlyClock(ManualClock):
        def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
            timers.append(when)
            assert len(timers) < 10, "it waits again and again"
            return super().call_at(when - early_s, callback)

    breaker = a_gate(clock := EarlyClock(), on_stop=lambda _: None)
    breaker.pause(10, TOO_FAST)
    passing = asyncio.ensure_future(breaker.pass_through())
    await clock.advance(10 - early_s)
    await passing
    assert timers == [10]


async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    road = Road()
    road.breaker.pause(30, TOO_FAST)
    road.breaker.pause(1, TOO_FAST)
    going = asyncio.ensure_future(road.go())
    await road.clock.advance(40)
    await going
    assert road.passed_at == [30]


async def test_a_shut_gate_gives_everybody_a_copy_of_the_reason() -> None:
    """Faults 16, 19: one answer stops them all."""
    road = Road()
    road.breaker.trip(REASON)
    errors = await asyncio.gather(*(road.go() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in errors] == [str(REASON)] * 3
    assert {type(error) for error in errors} == {AccountError}
    assert len({id(error) for error in [REASON, *errors]}) == 4


async def test_whoever_stands_in_line_is_told_when_the_breaker_is_tripped() -> None:
    road = Road()
    road.breaker.trip(REASON)
    assert road.told == [REASON]


async def test_whoever_keeps_a_pause_when_the_breaker_is_tripped_does_not_pass() -> None:
    road = Road()
    road.breaker.pause(10, TOO_FAST)
    going = asyncio.ensure_future(road.go())
    await road.clock.advance(5)
    road.breaker.trip(REASON)
    await road.clock.advance(20)
    with pytest.raises(AccountError):
        await going
    assert road.passed_at == []


async def test_nothing_goes_out_until_the_probe_and_then_one_at_a_time() -> None:
    """Fault 63: one probe at a time."""
    road = Road()
    road.breaker.trip(REASON)
    for _ in range(180):
        await road.clock.advance(1)
        await asyncio.gather(*(road.go() for _ in range(3)), return_exceptions=True)
    assert road.passed_at == [60, 120, 180]


async def test_a_probe_that_is_rejected_shuts_for_the_whole_time_again() -> None:
    road = Road()
    road.breaker.trip(REASON)
    await road.clock.advance(90)
    await road.go()
    road.breaker.trip(REASON)
    await road.clock.advance(59)
    with pytest.raises(AccountError):
        await road.go()


async def test_an_acceptance_opens_the_gate_for_all() -> None:
    road = Road()
    road.breaker.trip(REASON)
    road.breaker.reset()
    await asyncio.gather(*(road.go() for _ in range(5)))
    assert len(road.passed_at) == 5


async def test_few_go_out_before_the_first_answer_and_one_more_with_each_acceptance() -> None:
    """Fault 77: a burst at a service that rejects is small."""
    road = Road()
    going = [asyncio.ensure_future(road.go()) for _ in range(40)]
    await road.clock.advance(0)
    assert len(road.passed_at) == 5
    road.breaker.reset()
    road.breaker.came_back()
    await road.clock.advance(0)
    assert len(road.passed_at) == 7  # the slot of the one that came back, and one more
    for each in going:
        each.cancel()
    await asyncio.gather(*going, return_exceptions=True)


async def test_rejections_for_pace_make_the_pauses_grow_with_one_try_after_each() -> None:
    """Fault 77: growing pauses for all, one probe at a time."""
    road = Road()

    async def rejected() -> None:
        while True:
            round_number = await road.breaker.pass_through()
            road.passed_at.append(road.clock.monotonic())
            await sleep(road.clock, 0.5)  # the answer takes a moment
            road.breaker.slow_down(round_number, TOO_FAST)
            road.breaker.came_back()

    going = [asyncio.ensure_future(rejected()) for _ in range(40)]
    for _ in range(140):
        await road.clock.advance(1)
    assert road.passed_at == [0] * 5 + [2.5, 7, 15.5, 32, 64.5, 125]
    for each in going:
        each.cancel()
    await asyncio.gather(*going, return_exceptions=True)


async def test_rejections_of_submits_that_were_out_together_count_once() -> None:
    road = Road()
    rounds = [await road.breaker.pass_through() for _ in range(5)]
    for round_number in rounds:
        road.breaker.slow_down(round_number, TOO_FAST)
        road.breaker.came_back()
    await road.clock.advance(2)
    await road.go()
    assert road.passed_at == [2]


async def test_a_requested_pause_is_kept_in_full_and_jitter_comes_on_top() -> None:
    """Fault 13: at least as long as asked."""
    road = Road()
    road.breaker.slow_down(await road.breaker.pass_through(), ASKS_30)
    road.breaker.came_back()
    going = asyncio.ensure_future(road.go())
    await road.clock.advance(31.9)
    assert road.passed_at == []
    await road.clock.advance(0.2)
    await going


async def test_an_acceptance_ends_the_growing_of_pauses() -> None:
    road = Road()
    for expected_s in (2, 2):
        began = road.clock.monotonic()
        road.breaker.slow_down(await road.breaker.pass_through(), TOO_FAST)
        road.breaker.came_back()
        going = asyncio.ensure_future(road.go())
        await road.clock.advance(10)
        await going
        assert road.passed_at[-1] - began == expected_s
        road.breaker.reset()
        road.breaker.came_back()


async def test_who_is_cancelled_in_line_gives_the_turn_to_the_next() -> None:
    road = Road()
    await asyncio.gather(*(road.go() for _ in range(5)))
    first, second = (asyncio.ensure_future(road.go()) for _ in range(2))
    await road.clock.advance(0)
    road.breaker.came_back()
    first.cancel()
    await road.clock.advance(0)
    await second
    assert first.cancelled()
    assert len(road.passed_at) == 6


async def test_what_holds_submits_back_is_said_and_louder_once_it_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault 92: a submit that is held back says so in the log."""
    road = Road()
    with caplog.at_level(logging.INFO, logger="kling_effects_async"):
        for _ in range(6):
            going = asyncio.ensure_future(road.breaker.pass_through())
            await road.clock.advance(60)
            road.breaker.slow_down(await going, TOO_FAST)
            road.breaker.came_back()
            assert road.breaker.held_back_by is TOO_FAST
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.INFO] + [logging.WARNING] * 5
    assert "request rate is too high" in caplog.text
    assert "none was accepted" not in caplog.messages[0]
    assert "none was accepted for 60 s" in caplog.messages[1]
    road.breaker.reset()
    assert road.breaker.held_back_by is None


async def test_a_tripped_breaker_says_why_and_what_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    road = Road()
    with caplog.at_level(logging.INFO, logger="kling_effects_async"):
        road.breaker.trip(REASON)
        (record,) = caplog.records
        road.breaker.trip(REASON)
    assert road.breaker.held_back_by is REASON
    assert caplog.records == [record]
    assert "every 60 s" in record.getMessage()
    assert "nothing left" in record.getMessage()


async def test_pauses_for_pace_add_up_until_a_submit_is_accepted() -> None:
    road = Road()
    for _ in range(3):
        going = asyncio.ensure_future(road.breaker.pass_through())
        await road.clock.advance(60)
        road.breaker.slow_down(await going, TOO_FAST)
        road.breaker.came_back()
    assert road.breaker.paced_s == 2 + 4 + 8
    road.breaker.pause(100, ASKS_30)  # not for pace
    assert road.breaker.paced_s == 2 + 4 + 8
    road.breaker.reset()
    assert road.breaker.paced_s == 0


@pytest.mark.parametrize(("held_s", "level"), [(29.9, logging.INFO), (30.0, logging.WARNING)])
async def test_half_a_minute_without_an_acceptance_is_worth_a_warning(
    held_s: float, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 92."""
    road = Road()
    with caplog.at_level(logging.INFO, logger="kling_effects_async"):
        road.breaker.pause(10, TOO_FAST)
        await road.clock.advance(held_s)
        road.breaker.pause(10, TOO_FAST)
    assert [record.levelno for record in caplog.records] == [logging.INFO, level]
    assert caplog.messages[0] == f"submits are held back for 10.0 s: {TOO_FAST}"


async def test_before_the_first_rejection_nothing_holds_submits_back() -> None:
    road = Road()
    assert (road.breaker.held_back_by, road.breaker.waiting) == (None, 0)


async def test_a_pause_too_short_for_the_clock_to_tell_is_none() -> None:
    road = Road()
    road.breaker.pause(TICK_S, TOO_FAST)
    await asyncio.wait_for(road.go(), 5)


async def test_whoever_rests_waits_and_nobody_else() -> None:
    road = Road()
    resting = asyncio.ensure_future(road.breaker.rest(10))
    await road.clock.advance(9)
    assert road.breaker.waiting == 1
    await road.clock.advance(1)
    await resting
    assert road.breaker.waiting == 0


async def test_a_closed_breaker_ends_pauses_and_waits_with_an_error_each() -> None:
    road = Road()
    closed = ClientClosedError("the client is closed")
    await asyncio.gather(*(road.go() for _ in range(5)))
    resting = asyncio.ensure_future(road.breaker.rest(10))
    queued = [asyncio.ensure_future(road.go()) for _ in range(2)]
    await road.clock.advance(0)
    road.breaker.close(closed)
    errors = await asyncio.wait_for(asyncio.gather(*queued, return_exceptions=True), 5)
    assert [str(error) for error in errors] == [str(closed)] * 2
    assert len({id(error) for error in [closed, *errors]}) == 3
    await asyncio.wait_for(resting, 5)
    await asyncio.wait_for(road.breaker.rest(10), 5)
    with pytest.raises(ClientClosedError):
        road.breaker.check()


async def test_whoever_waits_for_a_turn_ends_as_the_breaker_trips() -> None:
    road = Road()
    await asyncio.gather(*(road.go() for _ in range(5)))
    queued = asyncio.ensure_future(road.go())
    await road.clock.advance(0)
    road.breaker.trip(REASON)
    with pytest.raises(AccountError):
        await asyncio.wait_for(queued, 5)


async def test_nobody_waits_behind_those_who_ended_as_the_breaker_tripped() -> None:
    """Fault 63: after the probe all goes on."""
    road = Road()
    rounds = [await road.breaker.pass_through() for _ in range(5)]
    road.breaker.slow_down(rounds[0], TOO_FAST)
    await road.clock.advance(60)
    queued = [asyncio.ensure_future(road.go()) for _ in range(20)]
    await road.clock.advance(0)
    road.breaker.trip(REASON)
    assert road.breaker.waiting == 0
    await asyncio.gather(*queued, return_exceptions=True)
    for _ in rounds:
        road.breaker.came_back()
    await road.clock.advance(60)
    await road.go()
    road.breaker.reset()  # the probe was accepted
    road.breaker.came_back()
    going = asyncio.gather(*(road.go() for _ in range(3)))
    for _ in range(2):
        await road.clock.advance(0)
        road.breaker.came_back()
    await asyncio.wait_for(going, 5)


async def test_each_round_has_one_rejection_that_is_news() -> None:
    road = Road()
    for _ in range(3):
        round_number = await road.breaker.pass_through()
        before_s = road.breaker.paced_s
        road.breaker.slow_down(round_number, TOO_FAST)
        after_s = road.breaker.paced_s
        assert after_s > before_s
        road.breaker.slow_down(round_number, TOO_FAST)
        assert road.breaker.paced_s == after_s
        road.breaker.came_back()
        await road.clock.advance(60)


async def test_a_pause_that_a_late_rejection_asks_for_is_kept() -> None:
    """Fault 13: also by a submit that was sent before the pause."""
    road = Road()
    rounds = [await road.breaker.pass_through() for _ in range(2)]
    road.breaker.slow_down(rounds[0], TOO_FAST)
    road.breaker.slow_down(rounds[1], ASKS_30)
    assert road.breaker.held_back_by is ASKS_30
    for _ in rounds:
        road.breaker.came_back()
    going = asyncio.ensure_future(road.go())
    await road.clock.advance(29)
    assert road.passed_at == []
    await road.clock.advance(1)
    await going


async def test_who_leaves_the_line_is_not_waited_for() -> None:
    road = Road()
    await asyncio.gather(*(road.go() for _ in range(5)))
    leaving = asyncio.ensure_future(road.go())
    await road.clock.advance(0)
    leaving.cancel()
    await road.clock.advance(0)
    assert leaving.cancelled()
    assert road.breaker.waiting == 0


@pytest.mark.parametrize("is_slowed", [True, False])
async def test_turns_come_in_the_order_of_the_line(is_slowed: bool) -> None:
    road = Road()
    rounds = [await road.breaker.pass_through() for _ in range(5)]
    passed: list[int] = []

    async def go(number: int) -> None:
        await road.breaker.pass_through()
        passed.append(number)

    going = [asyncio.ensure_future(go(number)) for number in range(12)]
    await road.clock.advance(0)
    if is_slowed:
        road.breaker.slow_down(rounds[0], TOO_FAST)
        await road.clock.advance(60)
    for _ in range(8):
        road.breaker.came_back()
        await road.clock.advance(0)
    assert passed == list(range(4 if is_slowed else 8))
    for each in going:
        each.cancel()
    await asyncio.gather(*going, return_exceptions=True)
