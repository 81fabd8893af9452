"""Cancelled submits: nothing is sent twice, and no outcome is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from kling_effects_async import (
    ContentRejectedError,
    EffectsClient,
    NetworkError,
    RateLimitError,
    SlotPolicy,
    SubmissionUncertainError,
    SubmitPolicy,
)
from kling_effects_async.emulator import Emulator, Fault
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.store import MemoryStore
from tests.support.paid_service import Bench, Failure, Otherwise, a_job, lost
from tests.support.submits import SQUISH, seconds_taken


@pytest.mark.looptime
async def test_a_submit_cancelled_before_its_request_sends_nothing() -> None:
    """Fault 31: cancel before the request."""
    bench = Bench(slots=SlotPolicy(start=1, maximum=1))
    await bench.submit("first")
    waiting = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await bench.state("a") is JobState.PLANNED
    assert bench.service.posts == ["first"]
    assert bench.slots.held == 1


@pytest.mark.looptime
async def test_a_submit_cancelled_while_the_pace_is_kept_sends_nothing() -> None:
    """Fault 31: cancel before the request."""
    bench = Bench()
    slow = RateLimitError("slow", code=1302, retryable=True, retry_after_s=30)
    bench.service.script.append(Failure(error=slow))
    first = asyncio.ensure_future(bench.submit("first"))
    await asyncio.sleep(1)
    waiting = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await bench.state("a") is JobState.PLANNED
    assert bench.service.posts == ["first"]
    await first
    assert bench.slots.held == 1


@pytest.mark.looptime
async def test_a_submit_cancelled_in_mid_post_is_held_until_its_outcome_is_written() -> None:
    """Fault 32: cancel in mid-POST."""
    bench = Bench()
    bench.service.script.append(Failure(answers_after_s=5))
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    submit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submit
    assert await bench.state("a") is JobState.ACCEPTED
    assert bench.slots.running == 1


@pytest.mark.looptime
async def test_a_submit_cancelled_in_mid_post_is_the_same_task_when_submitted_again(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 32: cancel in mid-POST."""
    emulator.fail_next(Fault.late(5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await client.submit(SQUISH, external_task_id="order-42")
    await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.requests["submit"] == emulator.ledger.total == 1


@pytest.mark.looptime
async def test_closing_waits_for_all_attempts_at_once() -> None:
    """A hundred hung submits keep a service from stopping for one grace, not for a hundred."""
    bench = Bench(submit=SubmitPolicy(cancel_grace_s=10), slots=SlotPolicy(start=20))
    for n in range(20):  # each acceptance lets one more out at once
        await bench.submit(f"first-{n}")
    bench.service.script.extend([Failure(answers_after_s=1000)] * 20)
    submits = [asyncio.ensure_future(bench.submit(f"job-{n}")) for n in range(20)]
    await asyncio.sleep(1)
    assert await seconds_taken(bench.submitter.aclose()) == pytest.approx(10)
    assert {await bench.state(f"job-{n}") for n in range(20)} == {JobState.UNCERTAIN}
    await asyncio.gather(*submits, return_exceptions=True)


@pytest.mark.looptime
async def test_a_post_that_outlasts_the_grace_is_left_uncertain() -> None:
    """Fault 32: bounded, else uncertain."""
    bench = Bench(submit=SubmitPolicy(cancel_grace_s=10))
    bench.service.script.append(Failure(answers_after_s=1000))
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    submit.cancel()
    assert await seconds_taken(asyncio.wait([submit])) == pytest.approx(10)
    assert submit.cancelled()
    assert await bench.state("a") is JobState.UNCERTAIN
    assert bench.slots.held == 0


class HungStore(MemoryStore):
    """A journal on a disk that hangs once the first byte has left."""

    async def move(self, account: str, external_task_id: str, update: JobUpdate) -> None:
        if update.to is not JobState.SUBMITTING:
            await asyncio.Event().wait()
        await super().move(account, external_task_id, update)


@pytest.mark.looptime
async def test_a_disk_that_hangs_does_not_hold_a_cancelled_submit_for_ever() -> None:
    """Fault 32: bounded."""
    bench = Bench(store=HungStore(), submit=SubmitPolicy(cancel_grace_s=10))
    bench.service.script.append(Failure(answers_after_s=1000))
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    submit.cancel()
    assert await seconds_taken(asyncio.wait([submit])) == pytest.approx(20)
    assert submit.cancelled()
    assert await bench.state("a") is JobState.SUBMITTING


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("answers_after_s", "outcome"), [(5, JobState.ACCEPTED), (1000, JobState.UNCERTAIN)]
)
async def test_a_second_cancel_leaves_at_once_and_the_attempt_comes_to_its_outcome(
    answers_after_s: float, outcome: JobState
) -> None:
    """Faults 34, 78: leave now, the journal will be right."""
    bench = Bench(submit=SubmitPolicy(cancel_grace_s=10))
    bench.service.script.append(Failure(answers_after_s=answers_after_s))
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(1)
    submit.cancel()
    await asyncio.sleep(1)
    submit.cancel()
    assert await seconds_taken(asyncio.wait([submit])) == pytest.approx(0, abs=0.1)
    assert submit.cancelled()
    await asyncio.sleep(10)
    assert await bench.state("a") is outcome
    assert bench.slots.held == bench.slots.running == (outcome is JobState.ACCEPTED)


@pytest.mark.looptime
async def test_a_submit_within_a_scope_that_cancels_every_await_is_not_cut_off() -> None:
    """Fault 78: level cancellation, as of anyio."""
    bench = Bench()
    bench.service.script.append(Failure(answers_after_s=1.5))
    with anyio.move_on_after(0.5) as scope:
        await bench.submit("a")
    assert scope.cancelled_caught
    await bench.submitter.aclose()
    assert await bench.state("a") is JobState.ACCEPTED


@pytest.mark.looptime
async def test_a_plan_is_abandoned_only_once_its_attempt_has_its_outcome() -> None:
    """Fault 78: what a cancelled caller left behind may still be accepted."""
    bench = Bench()
    rejection = ContentRejectedError("no", code=1301)
    for name, failure in (
        ("accepted", Failure(answers_after_s=3)),
        ("planned", Failure(arrives_after_s=3, error=NetworkError("rejected", sent=False))),
        ("rejected", Failure(arrives_after_s=3, error=rejection)),
    ):
        bench.service.script.append(failure)
        with anyio.move_on_after(1):
            await bench.submit(name)
        bench.submitter.abandon(a_job(name))
    await asyncio.sleep(10)
    states = [await bench.state(name) for name in ("accepted", "planned", "rejected")]
    assert states == [JobState.ACCEPTED, JobState.ABANDONED, JobState.REJECTED]


@pytest.mark.looptime
@pytest.mark.parametrize("is_sent", [False, True], ids=["while it is sent", "while looking"])
async def test_a_fault_that_nobody_foresaw_leaves_the_job_uncertain(is_sent: bool) -> None:
    """Fault 80: it may have been sent, and the caller gets an error of ours."""
    bench = Bench()

    async def fails(_given: Any) -> Any:
        raise LookupError("secret")

    post = bench.service.submit if is_sent else fails
    bench.service.script.append(lost(is_accepted=False))
    bench.submitter = Bench(
        bench.service,
        bench.store,
        api=Otherwise(bench.service, submit=post, look_up=fails),
        on_accepted=bench.accepted,
    ).submitter
    with pytest.raises(SubmissionUncertainError, match="LookupError") as caught:
        await bench.submit("a")
    assert "secret" not in str(caught.value)
    assert await bench.state("a") is JobState.UNCERTAIN
    assert bench.slots.held == 0


@pytest.mark.looptime
async def test_no_request_is_left_under_way_behind_a_submit_that_was_cancelled_twice() -> None:
    """Fault 34: what goes on unseen would be paid a second time."""
    bench = Bench()
    bench.service.rejects_used_ids = False
    await bench.submit("known")
    bench.service.script.append(Failure(arrives_after_s=8))
    submit = asyncio.ensure_future(bench.submit("a"))
    for _ in range(2):
        await asyncio.sleep(1)
        submit.cancel()
    await asyncio.wait([submit])
    await bench.submit("a")
    await asyncio.sleep(60)
    assert len(bench.service.books["a"]) == 1
