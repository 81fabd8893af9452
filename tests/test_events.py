"""What a client reports of its jobs while they happen: each in order, and the end of each once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any

import pytest

from kling_effects_async import (
    BudgetExceededError,
    ClientClosedError,
    ContentRejectedError,
    Event,
    ExternalIdTakenError,
    JobAccepted,
    JobQueued,
    JobRejected,
    JobSubmitted,
    JobUncertain,
    SingleImageEffect,
    SlotPolicy,
    SlotsChanged,
    SubmissionUncertainError,
    SubmitPolicy,
    TaskChanged,
    TaskEnded,
    TaskFailedError,
    TaskStatus,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.command_line import acceptance
from tests.support.submits import QUICK, SQUISH

pytestmark = pytest.mark.looptime


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=30.0, seed=1) as running:
        yield running


class Heard:
    """A listener that keeps all events."""

    def __init__(self) -> None:
        self.all: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.all.append(event)

    def of(self, name: str) -> list[Event]:
        return [
            event
            for event in self.all
            if not isinstance(event, SlotsChanged) and event.external_task_id == name
        ]

    def kinds(self, name: str) -> list[str]:
        return [type(event).__name__ for event in self.of(name)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def test_a_job_that_succeeds_is_reported_from_the_queue_to_its_end(
    emulator: Emulator, heard: Heard
) -> None:
    async with emulator.client(on_event=heard) as client:
        result = await client.run(SQUISH, external_task_id="order-1")
    first, sent, accepted, *changes, ended = heard.of("order-1")
    assert isinstance(first, JobQueued)
    assert first.reason == ""
    assert isinstance(sent, JobSubmitted)
    assert (sent.attempt, sent.task_id) == (1, None)
    assert isinstance(accepted, JobAccepted)
    assert accepted.task_id == result.task_id
    shown = [change.snapshot.status for change in changes if isinstance(change, TaskChanged)]
    assert shown == [TaskStatus.SUBMITTED, TaskStatus.PROCESSING]
    assert isinstance(ended, TaskEnded)
    assert ended.snapshot.status is TaskStatus.SUCCEEDED
    assert ended.units == result.units
    assert {event.scene for event in heard.all if not isinstance(event, SlotsChanged)} == {"squish"}
    assert {event.at.tzinfo for event in heard.all} == {UTC}
    assert [event.at for event in heard.all] == sorted(event.at for event in heard.all)


async def test_the_end_of_a_task_says_how_long_it_took(emulator: Emulator, heard: Heard) -> None:
    async with emulator.client(on_event=heard) as client:
        await client.run(SQUISH, external_task_id="order-1")
    (ended,) = (event for event in heard.all if isinstance(event, TaskEnded))
    assert ended.duration_s is not None
    assert 30 <= ended.duration_s <= 40


async def test_a_task_that_fails_ends_with_its_reason(emulator: Emulator, heard: Heard) -> None:
    emulator.fail_next(Fault.task_failed("no face was found"))
    async with emulator.client(on_event=heard) as client:
        with pytest.raises(TaskFailedError):
            await client.run(SQUISH, external_task_id="order-1")
    ended = heard.of("order-1")[-1]
    assert isinstance(ended, TaskEnded)
    assert (ended.snapshot.status, ended.snapshot.message) == (
        TaskStatus.FAILED,
        "no face was found",
    )


async def test_a_rejected_job_ends_with_the_error_its_caller_gets(
    emulator: Emulator, heard: Heard
) -> None:
    emulator.fail_next(Fault.rejected(1301))
    async with emulator.client(on_event=heard) as client:
        with pytest.raises(ContentRejectedError) as raised:
            await client.submit(SQUISH, external_task_id="order-1")
    assert heard.kinds("order-1") == ["JobQueued", "JobSubmitted", "JobRejected"]
    rejected = heard.of("order-1")[-1]
    assert isinstance(rejected, JobRejected)
    assert isinstance(rejected.error, ContentRejectedError)
    assert str(rejected.error) == str(raised.value)
    assert rejected.error.__traceback__ is None  # its frames hold the image


async def test_a_job_that_is_rejected_for_now_is_queued_again_with_the_reason(
    emulator: Emulator, heard: Heard
) -> None:
    emulator.fail_next(Fault.rejected(1303))
    async with emulator.client(on_event=heard) as client:
        await client.submit(SQUISH, external_task_id="order-1")
    queued, sent, again, sent_again, accepted, *_ = heard.of("order-1")
    assert isinstance(queued, JobQueued)
    assert isinstance(sent, JobSubmitted)
    assert isinstance(again, JobQueued)
    assert "1303" in again.reason
    assert isinstance(sent_again, JobSubmitted)
    assert (sent.attempt, sent_again.attempt) == (1, 2)
    assert isinstance(accepted, JobAccepted)


async def test_a_job_beyond_the_budget_is_rejected_before_it_is_sent(
    emulator: Emulator, heard: Heard
) -> None:
    async with emulator.client(on_event=heard, budget_units=1) as client:
        with pytest.raises(BudgetExceededError):
            await client.submit(SQUISH, external_task_id="order-1")
    assert heard.kinds("order-1") == ["JobQueued", "JobRejected"]


async def test_a_job_whose_answer_is_lost_ends_uncertain_with_the_reason(
    emulator: Emulator, heard: Heard
) -> None:
    emulator.fail_next(Fault.cut_after_reading(on="submit", accepted=True))
    for operation in ("query", "list"):
        emulator.fail_next(Fault.answer(503, on=operation), times=10)
    async with emulator.client(on_event=heard, **QUICK) as client:
        with pytest.raises(SubmissionUncertainError) as raised:
            await client.submit(SQUISH, external_task_id="order-1")
    assert heard.kinds("order-1") == ["JobQueued", "JobSubmitted", "JobUncertain"]
    uncertain = heard.of("order-1")[-1]
    assert isinstance(uncertain, JobUncertain)
    assert uncertain.reason == raised.value.reason != ""


async def test_a_job_whose_caller_is_cancelled_in_the_queue_is_cancelled(
    emulator: Emulator, heard: Heard
) -> None:
    """Fault 31: cancel before the request."""
    slots = SlotPolicy(start=1, maximum=1)
    async with emulator.client(on_event=heard, slots=slots) as client:
        await client.submit(SQUISH, external_task_id="order-1")
        waiting = asyncio.ensure_future(client.submit(SQUISH, external_task_id="order-2"))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert heard.kinds("order-2") == ["JobQueued", "JobCancelled"]


async def test_a_job_whose_caller_is_cancelled_in_mid_post_is_accepted_all_the_same(
    emulator: Emulator, heard: Heard
) -> None:
    """Fault 32: cancel in mid-POST."""
    emulator.fail_next(Fault.late(5))
    async with emulator.client(on_event=heard) as client:
        submit = asyncio.ensure_future(client.submit(SQUISH, external_task_id="order-1"))
        await asyncio.sleep(1)
        submit.cancel()
        await asyncio.wait([submit])
        assert heard.kinds("order-1")[:3] == ["JobQueued", "JobSubmitted", "JobAccepted"]
        assert "JobCancelled" not in heard.kinds("order-1")


async def test_a_job_whose_caller_leaves_at_once_is_reported_to_its_outcome(
    emulator: Emulator, heard: Heard
) -> None:
    """Fault 32: cancel in mid-POST, twice; the attempt goes on alone until its time is over."""
    emulator.fail_next(Fault.silence(on="submit", accepted=True))
    async with emulator.client(on_event=heard, submit=SubmitPolicy(cancel_grace_s=5)) as client:
        submit = asyncio.ensure_future(client.submit(SQUISH, external_task_id="order-1"))
        await acceptance(emulator)
        submit.cancel()
        await asyncio.sleep(0)
        submit.cancel()
        await asyncio.wait([submit])
        assert heard.kinds("order-1") == ["JobQueued", "JobSubmitted"]
        await asyncio.sleep(10)
        assert heard.kinds("order-1") == ["JobQueued", "JobSubmitted", "JobUncertain"]


async def test_a_closed_client_ends_what_waits_and_then_its_streams(emulator: Emulator) -> None:
    client = emulator.client(slots=SlotPolicy(start=1, maximum=1))
    async with client:
        stream = client.events()
        reader = asyncio.ensure_future(_all_of(stream))
        await client.submit(SQUISH, external_task_id="order-1")
        waiting = asyncio.ensure_future(client.submit(SQUISH, external_task_id="order-2"))
        await asyncio.sleep(1)
    with pytest.raises(ClientClosedError):
        await waiting
    last = [e for e in await reader if not isinstance(e, SlotsChanged)][-1]
    assert isinstance(last, JobRejected)
    assert (last.external_task_id, type(last.error)) == ("order-2", ClientClosedError)


async def _all_of(stream: Any) -> list[Event]:
    return [event async for event in stream]


async def test_slots_that_change_are_reported_with_the_reason(
    emulator: Emulator, heard: Heard
) -> None:
    emulator.fail_next(Fault.rejected(1303))
    async with emulator.client(on_event=heard, slots=SlotPolicy(start=4)) as client:
        await client.submit(SQUISH, external_task_id="order-1")
    first = next(event for event in heard.all if isinstance(event, SlotsChanged))
    assert first.size < 4
    assert first.running == 0
    assert "rejected" in first.reason


async def test_the_same_job_again_is_no_event(emulator: Emulator, heard: Heard) -> None:
    async with emulator.client(on_event=heard) as client:
        await client.run(SQUISH, external_task_id="order-1")
        before = heard.kinds("order-1")
        await client.run(SQUISH, external_task_id="order-1")
        assert heard.kinds("order-1") == before


async def test_a_task_that_is_attached_to_is_reported_too(emulator: Emulator, heard: Heard) -> None:
    async with emulator.client() as client:
        task = await client.submit(SQUISH, external_task_id="order-1")
    async with emulator.client(on_event=heard) as client:
        await client.attach(task.task_id)
    assert heard.kinds("order-1")[-1] == "TaskEnded"
    ended = heard.of("order-1")[-1]
    assert isinstance(ended, TaskEnded)
    assert ended.duration_s is None  # nobody knows when it began


async def test_a_task_that_somebody_else_submitted_is_a_rejected_job(
    emulator: Emulator, heard: Heard
) -> None:
    async with emulator.client() as client:
        await client.submit(SQUISH, external_task_id="order-1")
    policy = SubmitPolicy(look_up_first=True)
    async with emulator.client(on_event=heard, submit=policy) as client:
        with pytest.raises(ExternalIdTakenError):
            await client.submit(SQUISH, external_task_id="order-1")
    assert heard.kinds("order-1") == ["JobQueued", "JobRejected"]


async def test_a_listener_that_raises_harms_no_job(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    def listener(event: Event) -> None:
        raise RuntimeError(type(event).__name__)

    async with emulator.client(on_event=listener) as client:
        result = await client.run(SQUISH, external_task_id="order-1")
        await client.run(SQUISH, external_task_id="order-2")
    assert result.videos
    errors = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert len(errors) == len(set(errors)) > 3


async def test_no_event_shows_a_signed_address(emulator: Emulator, heard: Heard) -> None:
    signed = SingleImageEffect("squish", image="https://img.example/a.jpg?signature=sk-secret")
    async with emulator.client(on_event=heard) as client:
        result = await client.run(signed, external_task_id="order-1")
    shown = "".join(map(repr, heard.all))
    assert "sk-secret" not in shown
    assert result.video.url not in shown


@pytest.mark.parametrize("wrong", ["print", 7, asyncio.sleep])
async def test_a_listener_that_cannot_be_called_is_rejected_at_once(
    emulator: Emulator, wrong: Any
) -> None:
    with pytest.raises(TypeError, match="on_event"):
        emulator.client(on_event=wrong)


async def test_a_stream_must_be_able_to_hold_an_event(emulator: Emulator) -> None:
    async with emulator.client() as client:
        with pytest.raises(ValueError, match="max_waiting"):
            client.events(max_waiting=0)
        with pytest.raises(TypeError, match="max_waiting"):
            client.events(max_waiting=1.5)  # type: ignore[arg-type]
