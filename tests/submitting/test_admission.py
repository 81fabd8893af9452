"""What one rejection means for all submits of the account, and what the budget allows."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from kling_effects_async import (
    AccountError,
    AuthenticationError,
    BudgetExceededError,
    ClientStats,
    ContentRejectedError,
    EffectsClient,
    EffectTask,
    PollPolicy,
    RateLimitError,
    RetryPolicy,
    SlotPolicy,
    SubmitPolicy,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.paid_service import ACCOUNT, Bench, Failure, a_job
from tests.support.submits import QUICK, SQUISH, seconds_taken

STOPS = {
    1000: AuthenticationError,  # Fault 16
    1102: AccountError,  # Fault 19
}


@pytest.mark.looptime
@pytest.mark.parametrize("code", STOPS)
async def test_what_stops_the_account_stops_fifty_waiting_submits_after_a_few_posts(
    emulator: Emulator, code: int, tmp_path: Path
) -> None:
    """Faults 16, 19: key wrong; balance used up: what is paid goes on."""
    async with emulator.client(slots=SlotPolicy(start=3, maximum=5)) as client:
        paid = [await client.submit(SQUISH) for _ in range(2)]
        emulator.fail_next(Fault.business_code(code), times=50)
        submits = [client.submit(SQUISH) for _ in range(50)]
        errors = await asyncio.gather(*submits, return_exceptions=True)
        assert {type(error) for error in errors} == {STOPS[code]}
        assert len({id(error) for error in errors}) == 50
        assert emulator.requests["submit"] <= 2 + 3
        for task in paid:
            result = await task
            await client.download(result.video, tmp_path / f"{result.task_id}.mp4")
    assert emulator.ledger.total == 2


@pytest.mark.looptime
async def test_submits_go_on_by_themselves_once_the_account_is_topped_up(
    emulator: Emulator,
) -> None:
    """Fault 19: one probe at a time until a person has acted."""
    async with emulator.client(slots=SlotPolicy(probe_s=60)) as client:
        emulator.fail_next(Fault.business_code(1102), times=2)
        for _ in range(2):
            with pytest.raises(AccountError):
                await client.submit(SQUISH)
            with pytest.raises(AccountError):
                await client.submit(SQUISH)
            await asyncio.sleep(61)
        emulator.fail_next(Fault.late(5))
        submits = [client.submit(SQUISH) for _ in range(3)]
        outcomes = await asyncio.gather(*submits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(EffectTask) == 1
        assert (await client.submit(SQUISH)).task_id
    assert emulator.requests["submit"] == 4


async def test_a_task_found_by_a_lookup_does_not_say_that_the_account_can_pay() -> None:
    bench = Bench()
    bench.service.accept("a")
    await bench.store.add(a_job("a"))
    await bench.store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    bench.service.script.append(Failure(error=AccountError("nothing left", code=1102)))
    with pytest.raises(AccountError):
        await bench.submit("unpaid")
    await bench.submit("a")
    with pytest.raises(AccountError):
        await bench.submit("b")
    assert bench.service.posts == ["unpaid"]


@pytest.mark.looptime
async def test_what_stopped_the_account_is_not_waited_for_again() -> None:
    """Fault 18: a token rejected for its times may pass, but stops every submit at once."""
    retry = RetryPolicy(attempts=6, base_s=1.0)
    bench = Bench(retry=retry)
    expired = AuthenticationError("Authorization expired", code=1004, retryable=True)
    bench.service.script.append(Failure(error=expired))
    submit = asyncio.ensure_future(bench.submit("a"))
    taken_s = await seconds_taken(asyncio.wait([submit]))
    assert isinstance(submit.exception(), AuthenticationError)
    assert taken_s == pytest.approx(retry.pause_s(1, None, lambda: 0.5))
    assert bench.service.posts == ["a"]


@pytest.mark.looptime
async def test_moderation_fails_this_job_alone(client: EffectsClient, emulator: Emulator) -> None:
    """Fault 20: content rejected."""
    emulator.fail_next(Fault.business_code(1301))
    submits = [client.submit(SQUISH) for _ in range(5)]
    outcomes = await asyncio.gather(*submits, return_exceptions=True)
    rejected = [outcome for outcome in outcomes if not isinstance(outcome, EffectTask)]
    assert [type(error) for error in rejected] == [ContentRejectedError]
    assert "risk control" in str(rejected[0])
    assert emulator.requests["submit"] == 5


@pytest.mark.looptime
async def test_a_job_rejected_for_its_content_can_be_submitted_again(
    client: EffectsClient, emulator: Emulator
) -> None:
    emulator.fail_next(Fault.business_code(1301))
    with pytest.raises(ContentRejectedError):
        await client.submit(SQUISH, external_task_id="order-42")
    await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.ledger.accepted("order-42") == 1


async def test_a_full_account_is_no_error_and_its_size_is_remembered(tmp_path: Path) -> None:
    """Fault 15: too many parallel tasks."""
    options = QUICK | {"journal": tmp_path / "jobs.db"}
    # Tasks of 0.3 s: long beside a submit on a busy machine, or the slots are never all taken.
    async with Emulator(clips=Clips.STOCK, speed=600, slots=3, task_seconds=180.0) as emulator:
        async with emulator.client(**options) as client:
            results = await asyncio.gather(*(client.run(SQUISH) for _ in range(20)))
        assert len({result.task_id for result in results}) == emulator.ledger.total == 20
        async with SqliteStore(tmp_path / "jobs.db", read_only=True) as journal:
            assert await journal.memo("slots", ACCOUNT) in ("3", "4")
        asked = emulator.requests["submit"]
        async with emulator.client(**options) as client:
            await asyncio.gather(*(client.run(SQUISH) for _ in range(3)))
        assert emulator.requests["submit"] - asked <= 4


@pytest.mark.looptime
async def test_slots_that_others_hold_are_waited_for_however_long() -> None:
    """Fault 15: the account's tasks are not all ours."""
    bench = Bench()
    bench.service.limit = 1
    bench.service.unfinished.add("another process's")
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(24 * 3600)
    assert not submit.done()
    assert len(bench.service.posts) < 24 * 3600 / 30 + 50
    bench.service.unfinished.clear()
    assert (await submit).task_id == "t0"


@pytest.mark.looptime
@pytest.mark.parametrize("retry_after_s", [30, None])
async def test_a_pace_that_is_too_fast_pauses_every_submit(
    client: EffectsClient, emulator: Emulator, retry_after_s: int | None
) -> None:
    """Fault 13: 429 Retry-After seconds."""
    emulator.fail_next(Fault.rate_limited(retry_after_s))
    first = asyncio.ensure_future(client.submit(SQUISH))
    await asyncio.sleep(0.5)
    others = [asyncio.ensure_future(client.submit(SQUISH)) for _ in range(5)]
    await asyncio.sleep((retry_after_s or 1) - 0.6)
    assert emulator.requests["submit"] == 1
    assert await seconds_taken(asyncio.gather(first, *others)) < 3
    assert emulator.requests["submit"] == 7


@pytest.mark.looptime
async def test_a_pause_longer_than_the_patience_ends_every_submit_at_once(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 14: 10^9: an error at once, with `retry_after` in the error."""
    emulator.fail_next(Fault.rate_limited(10**9))
    for _ in range(3):
        with pytest.raises(RateLimitError) as caught:
            await client.submit(SQUISH)
        assert caught.value.retry_after_s == 10**9
    assert emulator.requests["submit"] == 1
    await asyncio.sleep(61)
    assert (await client.submit(SQUISH)).task_id


@pytest.mark.looptime
@pytest.mark.parametrize("waited_s", [5, 39, 100, 200])
async def test_slots_that_others_give_back_are_not_free_for_long(waited_s: int) -> None:
    """Fault 92: nothing stands still while slots are free."""
    bench = Bench()
    bench.service.limit = 1
    bench.service.unfinished.add("another process's")
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(waited_s)
    bench.service.unfinished.clear()
    assert await seconds_taken(submit) <= max(1, waited_s / 10)


# Surplus slots are given back instead of tried.
MOST_REJECTIONS = {15: 24, 10: 10, 5: 18}


@pytest.mark.looptime
@pytest.mark.parametrize("slots", [15, 10, 5])
@pytest.mark.parametrize("answer_s", [0.0, 0.02, 0.5])
async def test_a_small_account_is_used_all_the_time(slots: int, answer_s: float) -> None:
    """Fault 92: a burst of 1303 counts once; 40 tasks of 10 s end within 1.6 times the ideal."""
    bench = Bench()
    bench.service.limit = slots
    bench.service.answer_s = answer_s
    accepted_at = []
    loop = asyncio.get_running_loop()

    async def run(name: str) -> None:
        job = await bench.submit(name)
        assert job.task_id is not None
        accepted_at.append(loop.time())
        await asyncio.sleep(10)
        bench.end(job.task_id)

    started = loop.time()
    await asyncio.gather(*(run(f"job-{number}") for number in range(40)))
    assert loop.time() - started <= 1.6 * 10 * math.ceil(40 / slots)
    gaps = [later - earlier for earlier, later in pairwise([started, *sorted(accepted_at)])]
    assert max(gaps) <= 10 + 4
    assert len(bench.service.posts) <= 40 + MOST_REJECTIONS[slots]


@pytest.mark.looptime
async def test_rejections_for_pace_without_an_end_are_an_error_after_the_patience(
    emulator: Emulator,
) -> None:
    """Fault 92: 1302 for ever."""
    policy = SubmitPolicy(max_retry_after_s=100)
    async with emulator.client(submit=policy) as client:
        emulator.fail_next(Fault.business_code(1302), times=100)
        loop = asyncio.get_running_loop()
        started = loop.time()
        submits = [asyncio.ensure_future(client.submit(SQUISH)) for _ in range(20)]
        await asyncio.sleep(50)
        assert not any(submit.done() for submit in submits)
        assert client.stats().held_back_by.startswith("request rate is too high")
        assert client.stats().waiting == 20
        outcomes = await asyncio.gather(*submits, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {RateLimitError}
        assert "max_retry_after_s" in str(outcomes[0])
        assert 100 < loop.time() - started < 300
        assert emulator.requests["submit"] < 15
    assert emulator.ledger.total == 0


@pytest.mark.looptime
async def test_slots_that_are_all_taken_are_never_a_matter_of_patience(emulator: Emulator) -> None:
    """Fault 15: also after a rejection for pace."""
    async with emulator.client(submit=SubmitPolicy(max_retry_after_s=0.1)) as client:
        emulator.fail_next(Fault.business_code(1302))
        emulator.fail_next(Fault.business_code(1303), times=3)
        assert (await client.submit(SQUISH)).task_id


def counts(client: EffectsClient) -> tuple[int, int, int, int]:
    stats = client.stats()
    return stats.slots, stats.running, stats.sending, stats.waiting


@pytest.mark.looptime
async def test_the_stats_tell_of_slots_and_submits(emulator: Emulator) -> None:
    client = emulator.client(slots=SlotPolicy(start=2, maximum=2))
    assert client.stats() == ClientStats(slots=2)
    async with client:
        tasks = [await client.submit(SQUISH) for _ in range(2)]
        third = asyncio.ensure_future(client.submit(SQUISH))
        await asyncio.sleep(1)
        assert counts(client) == (2, 2, 0, 1)
        assert client.stats().waiting_by_share == {"": 1}
        await asyncio.gather(*tasks)
        await (await third)
        assert counts(client) == (2, 0, 0, 0)


@pytest.mark.looptime
async def test_a_rate_limit_does_not_use_up_the_tries(emulator: Emulator) -> None:
    """Fault 13: does not use up the attempt count."""
    async with emulator.client(retry=RetryPolicy(attempts=2)) as client:
        emulator.fail_next(Fault.rate_limited(1), times=10)
        assert (await client.submit(SQUISH)).task_id
    assert emulator.requests["submit"] == 11


@pytest.mark.looptime
async def test_what_could_pass_the_budget_is_not_sent(emulator: Emulator) -> None:
    async with emulator.client(budget_units=4) as client:
        outcomes = await asyncio.gather(
            client.submit(SQUISH), client.submit(SQUISH), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [EffectTask, BudgetExceededError]
    assert emulator.requests["submit"] == 1


@pytest.mark.looptime
async def test_a_job_waiting_for_a_slot_does_not_pass_the_budget_when_one_ends(
    emulator: Emulator,
) -> None:
    """What a task cost counts from the moment it ends, not a moment later."""
    async with emulator.client(slots=SlotPolicy(start=1, maximum=1), budget_units=4) as client:
        outcomes = await asyncio.gather(
            *(client.submit(SQUISH) for _ in range(4)), return_exceptions=True
        )
        rejected = [error for error in outcomes if isinstance(error, BudgetExceededError)]
    assert emulator.ledger.total == 2  # two units each
    assert [error.spent_units + error.running_units for error in rejected] == [4, 4]


@pytest.mark.looptime
async def test_a_task_found_after_a_crash_counts_as_running() -> None:
    bench = Bench(budget_units=Decimal(4))
    bench.service.accept("a")
    await bench.store.add(a_job("a"))
    await bench.store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    await bench.submit("a")
    with pytest.raises(BudgetExceededError) as caught:
        await bench.submit("b")
    assert caught.value.running_units == Decimal("3.5")
    assert bench.service.posts == []


async def test_a_rejected_job_gives_its_money_back() -> None:
    bench = Bench(budget_units=Decimal(4))
    bench.service.script.append(Failure(error=ContentRejectedError("risk control", code=1301)))
    with pytest.raises(ContentRejectedError):
        await bench.submit("a")
    assert await bench.state("a") is JobState.REJECTED
    assert (await bench.submit("b")).state is JobState.ACCEPTED


@pytest.mark.looptime
@pytest.mark.parametrize("running", [0, 1])
async def test_a_pause_requested_with_a_full_account_is_kept(
    client: EffectsClient, emulator: Emulator, running: int
) -> None:
    """Faults 13, 15: ``Retry-After`` of a 1303, whoever holds the slots."""
    for _ in range(running):
        await client.submit(SQUISH)
    emulator.fail_next(Fault.rate_limited(40, code=1303))
    assert await seconds_taken(client.submit(SQUISH)) >= 40
    assert emulator.ledger.total == running + 1


@pytest.mark.looptime
async def test_a_task_that_did_not_end_in_time_gives_its_slot_back() -> None:
    """Fault 92: else an account whose tasks hang would never submit again."""
    poll, slots = PollPolicy(deadline_s=60.0), SlotPolicy(start=1, maximum=1)
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=500.0) as emulator,
        emulator.client(poll=poll, slots=slots) as client,
    ):
        await client.submit(SQUISH)
        async with asyncio.timeout(70):
            await client.submit(SQUISH)
        assert emulator.requests["submit"] == 2
