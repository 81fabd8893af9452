"""The table of ``admission.py``, row by row, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kling_effects_async.errors import (
    AccountError,
    ClientClosedError,
    ConcurrencyLimitError,
    ContentRejectedError,
    InvalidRequestError,
    KlingEffectsError,
    NetworkError,
    RateLimitError,
    ServiceError,
)
from kling_effects_async.policy import RetryPolicy, SlotPolicy, SubmitPolicy
from kling_effects_async.submitting.admission import Admission, Permit
from kling_effects_async.submitting.breaker import SubmitBreaker
from kling_effects_async.submitting.slots import SlotLimiter
from kling_effects_async.testing import ManualClock
from kling_effects_async.transport.clock import Timer

NO_SLOT = ConcurrencyLimitError("parallel task limit", code=1303, retryable=True)
NO_MONEY = AccountError("nothing left", code=1102)


def too_fast(retry_after_s: float | None = None) -> RateLimitError:
    return RateLimitError("too fast", code=1302, retryable=True, retry_after_s=retry_after_s)


class TimerClock(ManualClock):
    """It tells when its latest timer is due."""

    last_timer_at = 0.0

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.last_timer_at = when
        return super().call_at(when, callback)


class Desk:
    """Admission to an account, and a clock for it."""

    def __init__(self, *, slots: int = 20, max_retry_after_s: float = 100.0) -> None:
        self.clock = TimerClock()
        self.slots = SlotLimiter(SlotPolicy(start=slots))
        self.told: list[KlingEffectsError] = []
        self.admission = Admission(
            self.slots,
            SubmitBreaker(
                SlotPolicy(probe_s=60), self.clock, on_stop=self.told.append, rng=lambda: 0.5
            ),
            submit=SubmitPolicy(max_retry_after_s=max_retry_after_s),
            retry=RetryPolicy(attempts=3, base_s=1.0, max_elapsed_s=50),
            rng=lambda: 0.5,
        )

    def ask(self, *, is_next: bool = False) -> asyncio.Task[Permit]:
        return asyncio.create_task(self.admission.enter(is_next=is_next))

    async def permit(self) -> Permit:
        return await asyncio.wait_for(self.admission.enter(is_next=False), 5)

    async def rejected(self, error: KlingEffectsError) -> None:
        """A submit is sent now, and rejected."""
        permit = await self.permit()
        self.admission.rejected(permit, error)
        self.admission.release(permit)

    async def kept_out_s(self) -> float:
        """How long the next submit waits; it comes to nothing."""
        began = self.clock.monotonic()
        asking = self.ask()
        await self.clock.advance(0)
        if not asking.done():
            await self.clock.advance(self.clock.last_timer_at - began)
        self.admission.release(asking.result())
        return round(self.clock.monotonic() - began, 6)


# -- slots


async def test_where_others_hold_all_slots_pauses_grow_by_a_tenth_of_the_wait() -> None:
    """Fault 92."""
    desk = Desk()
    for _ in range(2):
        pauses = []
        for _ in range(12):
            await desk.rejected(NO_SLOT)
            assert desk.admission.held_back_by is NO_SLOT
            pauses.append(await desk.kept_out_s())
        assert pauses == [1.0] * 11 + [1.1]
        desk.admission.accepted()


async def test_no_pause_for_slots_is_longer_than_half_a_minute() -> None:
    desk = Desk()
    pauses = []
    for _ in range(60):
        await desk.rejected(NO_SLOT)
        pauses.append(await desk.kept_out_s())
    assert max(pauses) == pauses[-1] == 30.0


async def test_a_second_rejection_of_a_round_makes_no_pause_longer() -> None:
    desk = Desk()
    permits = [await desk.permit() for _ in range(2)]
    for permit in permits:
        desk.admission.rejected(permit, NO_SLOT)
        desk.admission.release(permit)
        await desk.clock.advance(0.5)
    assert await desk.kept_out_s() == 0.0


@pytest.mark.parametrize(("asked_s", "paused_s"), [(99.0, 99.0), (100.0, 100.0), (100.5, 0.0)])
async def test_a_pause_for_slots_is_kept_up_to_the_policy(asked_s: float, paused_s: float) -> None:
    """Faults 13, 15: a longer one ends its own submit, and holds back no other."""
    desk = Desk(max_retry_after_s=100.0)
    error = ConcurrencyLimitError("full", code=1303, retryable=True, retry_after_s=asked_s)
    await desk.rejected(error)
    assert await desk.kept_out_s() == paused_s


async def test_where_ours_hold_all_slots_only_an_end_is_waited_for() -> None:
    desk = Desk()
    running = await desk.permit()
    running.slot.accept()
    desk.admission.release(running)
    await desk.rejected(NO_SLOT)
    asking = desk.ask()
    await desk.clock.advance(1000)
    assert not asking.done()
    assert (desk.admission.waiting, desk.admission.held_back_by) == (1, None)
    running.slot.release()
    await desk.clock.advance(0)
    assert asking.done()


async def test_an_accepted_task_keeps_its_slot_and_nothing_else_does() -> None:
    desk = Desk()
    accepted, lost = await desk.permit(), await desk.permit()
    accepted.slot.accept()
    for permit in (accepted, lost):
        desk.admission.release(permit)
    assert desk.slots.held == 1


async def test_a_submit_that_is_over_makes_room_for_the_next() -> None:
    desk = Desk()
    permits = [await desk.permit() for _ in range(5)]
    asking = desk.ask()
    await desk.clock.advance(0)
    assert (asking.done(), desk.admission.waiting) == (False, 1)
    desk.admission.release(permits[0])
    await desk.clock.advance(0)
    assert asking.done()


async def test_a_slot_that_is_too_many_by_now_is_not_tried_and_its_job_is_the_next() -> None:
    """Fault 15."""
    desk = Desk(slots=4)
    first = await desk.permit()
    await desk.rejected(too_fast(10.0))
    second, third = desk.ask(), desk.ask()  # each with a slot, and kept out
    await desk.clock.advance(0)
    desk.admission.rejected(first, NO_SLOT)
    desk.admission.release(first)
    assert (desk.slots.size, desk.slots.held) == (1, 2)
    fourth = desk.ask()
    await desk.clock.advance(20)
    assert [task.done() for task in (second, third, fourth)] == [False, True, False]
    desk.admission.release(third.result())
    await desk.clock.advance(0)
    assert [task.done() for task in (second, fourth)] == [True, False]
    fourth.cancel()


async def test_whoever_had_a_turn_is_the_next_to_get_a_slot() -> None:
    """Fault 15."""
    desk = Desk(slots=1)
    running = await desk.permit()
    others = [desk.ask()]
    await desk.clock.advance(0)
    again = desk.ask(is_next=True)
    await desk.clock.advance(0)
    desk.admission.release(running)
    await desk.clock.advance(0)
    assert (again.done(), others[0].done()) == (True, False)
    others[0].cancel()


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_wait_that_fails_keeps_no_slot(is_cancelled: bool) -> None:
    desk = Desk()
    await desk.rejected(too_fast())
    asking = desk.ask()
    await desk.clock.advance(0)
    assert desk.slots.held == 1
    if is_cancelled:
        asking.cancel()
    else:
        desk.admission.close(ClientClosedError("closed"))
    await asyncio.wait([asking], timeout=5)
    assert asking.cancelled() is is_cancelled
    assert desk.slots.held == 0


# -- the pace


async def test_a_rejection_for_pace_holds_all_others_back() -> None:
    desk = Desk()
    await desk.rejected(error := too_fast())
    assert desk.admission.held_back_by is error
    assert await desk.kept_out_s() == 1.5


@pytest.mark.parametrize(("asked_s", "is_tripped"), [(100.0, False), (100.1, True)])
async def test_a_pause_beyond_the_policy_ends_all_submits(asked_s: float, is_tripped: bool) -> None:
    """Fault 14."""
    desk = Desk()
    await desk.rejected(error := too_fast(asked_s))
    assert desk.told == ([error] if is_tripped else [])
    if is_tripped:
        with pytest.raises(RateLimitError, match="max_retry_after_s"):
            desk.admission.check()


async def test_a_first_rejection_without_a_requested_pause_is_always_borne() -> None:
    desk = Desk(max_retry_after_s=0.5)
    assert desk.admission.may_try_again(too_fast(), "a", tries=1, elapsed_s=0.0)
    await desk.rejected(too_fast())
    assert desk.told == []


async def test_pauses_that_add_up_beyond_the_policy_end_all_submits_and_say_so() -> None:
    """Fault 92."""
    desk = Desk()
    for _ in range(7):  # 1.5, 3, 6, 12, 24, 45, 45 s
        await desk.rejected(too_fast())
        await desk.kept_out_s()
    assert desk.told == []
    await desk.rejected(error := too_fast())
    assert desk.told == [error]
    assert error.advice == (
        "After 136 s of pauses without an acceptance, or a longer one requested, "
        "max_retry_after_s (100) is over: submit again later"
    )


async def test_advice_of_the_service_s_own_is_kept() -> None:
    desk = Desk()
    error = RateLimitError("too fast", retryable=True, retry_after_s=1000.0, advice="Buy more")
    await desk.rejected(error)
    assert error.advice == "Buy more"


async def test_an_acceptance_ends_what_held_submits_back() -> None:
    desk = Desk()
    await desk.rejected(too_fast())
    desk.admission.accepted()
    assert desk.admission.held_back_by is None


# -- the account, and the job itself


async def test_what_concerns_the_account_ends_all_submits() -> None:
    desk = Desk()
    await desk.rejected(NO_MONEY)
    assert desk.told == [NO_MONEY]
    with pytest.raises(AccountError):
        await desk.permit()
    assert desk.slots.held == 0


@pytest.mark.parametrize(
    "error", [ContentRejectedError("risk control"), ServiceError("busy", retryable=True)]
)
async def test_what_concerns_one_job_holds_nobody_else_back(error: KlingEffectsError) -> None:
    desk = Desk()
    await desk.rejected(error)
    assert (desk.told, desk.admission.held_back_by) == ([], None)
    assert await desk.kept_out_s() == 0.0


# -- again?


@pytest.mark.parametrize(
    ("error", "pause_s"),
    [
        (too_fast(7.0), 0.0),
        (NO_SLOT, 0.0),
        (ServiceError("busy", retryable=True), 1.5),
        (ServiceError("busy", retryable=True, retry_after_s=5.0), 6.5),
    ],
)
def test_the_pause_before_another_try(error: KlingEffectsError, pause_s: float) -> None:
    assert Desk().admission.pause_s(2, error) == pause_s


UNSENT = NetworkError("no connection", sent=False)


@pytest.mark.parametrize(
    ("error", "tries", "elapsed_s", "may"),
    [
        (UNSENT, 2, 50.0, True),
        (UNSENT, 3, 0.0, False),
        (UNSENT, 1, 50.1, False),
        (ServiceError("busy", retryable=True), 1, 0.0, True),
        (NetworkError("cut", sent=True), 1, 0.0, False),
        (ContentRejectedError("risk control"), 1, 0.0, False),
        (NO_SLOT, 99, 9999.0, True),
        (too_fast(), 99, 9999.0, True),
        (too_fast(100.0), 1, 0.0, True),
        (too_fast(100.1), 1, 0.0, False),
    ],
)
def test_when_a_job_is_sent_once_more(
    error: KlingEffectsError, tries: int, elapsed_s: float, may: bool
) -> None:
    admission = Desk().admission
    assert admission.may_try_again(error, "a", tries=tries, elapsed_s=elapsed_s) is may


async def test_nobody_tries_again_for_pace_where_all_submits_ended() -> None:
    desk = Desk()
    await desk.rejected(NO_MONEY)
    assert not desk.admission.may_try_again(too_fast(), "a", tries=1, elapsed_s=0.0)


def test_the_job_s_own_id_makes_no_duplicate_of_it() -> None:
    error = InvalidRequestError("busy: external_task_id-exists", retryable=True)
    admission = Desk().admission
    assert admission.may_try_again(error, "external_task_id-exists", tries=1, elapsed_s=0.0)
    assert not admission.may_try_again(error, "order-42", tries=1, elapsed_s=0.0)


# -- the end


async def test_closing_ends_every_wait_with_the_error() -> None:
    desk = Desk(slots=1)
    await desk.permit()
    asking = desk.ask()
    resting = asyncio.create_task(desk.admission.rest(10))
    await desk.clock.advance(9)
    assert not resting.done()
    desk.admission.close(ClientClosedError("the client is closed"))
    with pytest.raises(ClientClosedError, match="the client is closed"):
        await asyncio.wait_for(asking, 5)
    await asyncio.wait_for(resting, 5)
    with pytest.raises(ClientClosedError):
        desk.admission.check()


async def test_submits_pass_the_pace_in_turn_by_share() -> None:
    desk = Desk()
    await desk.rejected(too_fast())  # from now on one at a time
    await desk.clock.advance(60)
    first = await desk.permit()
    passed: list[str] = []

    async def enter(share: str) -> None:
        permit = await desk.admission.enter(is_next=False, share=share)
        passed.append(share)
        desk.admission.release(permit)

    submits = [asyncio.ensure_future(enter(share)) for share in "AAAB"]
    await desk.clock.advance(0)
    desk.admission.release(first)
    await desk.clock.advance(0)
    await asyncio.wait_for(asyncio.gather(*submits), 5)
    assert passed.index("B") < 3
