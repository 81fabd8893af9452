"""The client against an emulator that fails: waits go on, and a lost answer is one paid task."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kling_effects_async import (
    AccessKeys,
    BearerToken,
    EffectsClient,
    NetworkError,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
    SubmissionUncertainError,
    TaskNotFoundError,
    TaskTimeoutError,
)
from kling_effects_async.emulator import Clips, Emulator, Fault, RepeatedId
from tests.support.command_line import acceptance

URL = "https://img.example/a.jpg"
SQUISH = SingleImageEffect("squish", image=URL)
ONE_TRY = RetryPolicy(attempts=1)


FAILURES = {
    "503x3": (Fault.answer(503, b"{}", on="query"), 3),
    "500x3": (Fault.business_code(5000, on="query"), 3),
    "503x8": (Fault.html(503, on="query"), 8),
    "reset": (Fault.cut_before_reading(on="query"), 1),
    "reset x4": (Fault.cut_after_reading(on="query"), 8),  # aiohttp repeats each GET once itself
    "429 asking 3 s": (Fault.rate_limited(3, on="query"), 1),
    "early 404": (Fault.unknown_task(), 1),
    "html with 200": (Fault.html(200, on="query"), 1),
    "odd word": (Fault.status_word("paused"), 1),
    "no answer": (Fault.silence(on="query"), 1),
}


@pytest.mark.looptime
@pytest.mark.parametrize("name", FAILURES)
async def test_a_wait_outlives_passing_failures(name: str) -> None:
    fault, times = FAILURES[name]
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=30.0, seed=1) as emulator,
        emulator.client() as client,
    ):
        task = await client.submit(SQUISH)
        emulator.fail_next(fault, times=times)
        assert (await task).task_id == task.task_id
        assert emulator.faults_left == 0
        assert emulator.ledger.total == 1


@pytest.mark.looptime
async def test_the_deadline_holds_against_a_hung_request() -> None:
    loop = asyncio.get_running_loop()
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=3000.0) as emulator,
        emulator.client(poll=PollPolicy(deadline_s=7)) as client,
    ):
        task = await client.submit(SQUISH)
        emulator.fail_next(Fault.silence(on="query"), times=9)
        started = loop.time()
        with pytest.raises(TaskTimeoutError):
            await task
        assert loop.time() - started == pytest.approx(7, abs=0.5)


@pytest.mark.looptime
async def test_the_callers_own_timeout_leaves_the_task_running() -> None:
    """Fault 33: cancel while waiting for a result."""
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=100.0) as emulator,
        emulator.client() as client,
    ):
        task = await client.submit(SQUISH)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await task
        assert (await task).task_id == task.task_id
        assert emulator.ledger.total == 1


@pytest.mark.looptime
async def test_an_unknown_task_is_not_found_after_the_grace() -> None:
    """Fault 40: later: TaskNotFound."""
    async with Emulator(clips=Clips.STOCK) as emulator, emulator.client() as client:
        with pytest.raises(TaskNotFoundError):
            await client.attach("866889456698785799")


SAFE = {
    "429": Fault.rate_limited(1),
    "1303": Fault.business_code(1303),
    "1302": Fault.business_code(1302),
}
LOST = {
    "drop": Fault.cut_after_reading(accepted=True),
    "500": Fault.answer(500, b"{}", accepted=True),
    "502": Fault.html(502, accepted=True),
    "slow": Fault.silence(accepted=True),
    "cut": Fault.cut_answer(20, accepted=True),
    "html": Fault.html(200, accepted=True),
    "garbage": Fault.garbage(accepted=True),
}


@pytest.mark.looptime
@pytest.mark.parametrize("name", SAFE)
async def test_what_was_rejected_for_now_is_submitted_again(name: str) -> None:
    """Faults 13, 15: 429; all slots taken."""
    async with Emulator(clips=Clips.STOCK) as emulator, emulator.client() as client:
        emulator.fail_next(SAFE[name], times=2)
        task = await client.submit(SQUISH)
        assert task.task_id
        assert emulator.ledger.total == 1
        assert emulator.requests["submit"] == 3


@pytest.mark.looptime
@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("rule", RepeatedId)
async def test_a_lost_answer_is_found_again_and_one_task_is_paid(
    name: str, rule: RepeatedId
) -> None:
    """Faults 7, 8, 10, 11, 12: an answer was lost; the server may have the task."""
    async with (
        Emulator(clips=Clips.STOCK, repeated_external_id=rule) as emulator,
        emulator.client() as client,
    ):
        emulator.fail_next(LOST[name])
        task = await client.submit(SQUISH, external_task_id="order-42")
        assert (await task).videos
        assert emulator.ledger.accepted("order-42") == 1
        assert emulator.requests["submit"] == 1


@pytest.mark.looptime
@pytest.mark.parametrize("name", LOST)
async def test_without_a_lookup_a_lost_answer_is_reported_and_never_sent_again(
    name: str,
) -> None:
    """Faults 7, 8, 10, 11, 12, on a service that does not find tasks by external id."""
    async with (
        Emulator(clips=Clips.STOCK, finds_external_ids=False, lists_tasks=False) as emulator,
        emulator.client() as client,
    ):
        await client.submit(SQUISH)
        emulator.fail_next(LOST[name])
        with pytest.raises(SubmissionUncertainError, match="Nothing was sent again") as caught:
            await client.submit(SQUISH, external_task_id="order-42")
        assert caught.value.external_task_id == "order-42"
        assert emulator.ledger.accepted("order-42") == 1


@pytest.mark.looptime
@pytest.mark.parametrize("name", LOST)
async def test_where_the_list_alone_shows_the_task_it_settles_a_lost_answer(name: str) -> None:
    """Fault 90: a service whose list alone finds the task."""
    async with (
        Emulator(clips=Clips.STOCK, finds_external_ids=False) as emulator,
        emulator.client() as client,
    ):
        await client.submit(SQUISH)
        emulator.fail_next(LOST[name])
        task = await client.submit(SQUISH, external_task_id="order-42")
        assert (await task).external_task_id == "order-42"
        assert emulator.ledger.accepted("order-42") == 1


@pytest.mark.looptime
async def test_a_list_that_does_not_show_the_task_proves_nothing() -> None:
    """Fault 90: only a lookup that finds others proves that a task is not there."""
    async with (
        Emulator(clips=Clips.STOCK, finds_external_ids=False) as emulator,
        emulator.client() as client,
    ):
        await client.submit(SQUISH)
        emulator.fail_next(Fault.cut_after_reading(accepted=False))
        with pytest.raises(SubmissionUncertainError):
            await client.submit(SQUISH, external_task_id="order-42")
        assert emulator.requests["submit"] == 2


@pytest.mark.looptime
@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_submit_without_an_answer_names_its_job(times: int) -> None:
    """Fault 33: also one whose id nobody chose, and also to who is cancelled twice."""
    async with Emulator(clips=Clips.STOCK) as emulator, emulator.client() as client:
        emulator.fail_next(Fault.silence(on="submit", accepted=True))
        running = asyncio.ensure_future(client.run(SQUISH))
        await acceptance(emulator)
        for _ in range(times):
            running.cancel()
            await asyncio.sleep(0.1)
        with pytest.raises(asyncio.CancelledError) as caught:
            await running
        (entry,) = emulator.ledger.entries
    assert f"attach(external_task_id={entry.external_task_id!r})" in caught.value.__notes__[0]


@pytest.mark.looptime
async def test_a_rejected_connection_is_tried_again_and_then_surely_not_sent() -> None:
    """Fault 2: connection refused."""
    service = Service.gateway("http://127.0.0.1:1")
    loop = asyncio.get_running_loop()
    async with EffectsClient(BearerToken("test-key"), service=service, rng=lambda: 1.0) as client:
        started = loop.time()
        with pytest.raises(NetworkError) as caught:
            await client.submit(SQUISH)
        assert caught.value.sent is False
        assert loop.time() - started > 5


@pytest.mark.looptime
async def test_a_clock_that_is_off_is_corrected_once(caplog: pytest.LogCaptureFixture) -> None:
    """Fault 17: JWT rejected because of clock skew."""
    async with Emulator(clips=Clips.STOCK, wall=lambda: 1.8e9) as emulator:
        keys = next(iter(emulator.settings.access_keys.items()))
        service = Service.official(base_url=emulator.url)
        async with EffectsClient(AccessKeys(*keys), service=service) as client:
            with caplog.at_level(logging.WARNING, "kling_effects_async"):
                task = await client.submit(SingleImageEffect("disco_paws", image=URL))
            assert task.task_id
            await task
    assert len([r for r in caplog.records if "this clock is" in r.getMessage()]) == 1
    assert emulator.requests["submit"] == 2


@pytest.mark.looptime
@pytest.mark.parametrize("has_list", [True, False])
async def test_an_end_is_known_without_the_callback_that_was_asked_for(has_list: bool) -> None:
    """Fault 61: it never comes, as nobody listens there; polling goes on at its own pace."""
    nowhere = "http://127.0.0.1:1/hook"
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=60.0, lists_tasks=has_list) as emulator,
        emulator.client() as client,
    ):
        task = await client.submit(SQUISH, callback_url=nowhere)
        began_at = asyncio.get_running_loop().time()
        assert (await task).video.url
        assert asyncio.get_running_loop().time() - began_at < 60 + 10
    assert emulator.requests["query"] + emulator.requests["list"] < 40
