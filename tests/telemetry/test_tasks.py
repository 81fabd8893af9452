"""The span and the metrics of a task, by how it goes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from kling_effects_async import (
    AccountError,
    EffectsClient,
    Event,
    InvalidRequestError,
    PollPolicy,
    ResultMissingError,
    RetryPolicy,
    SingleImageEffect,
    SlotPolicy,
    SlotsChanged,
    SubmissionUncertainError,
    SubmitPolicy,
    TaskEnded,
    TaskFailedError,
    TaskTimeoutError,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.conftest import PHOTOS
from tests.support.recorded import Recorded

pytestmark = pytest.mark.looptime

SQUISH = SingleImageEffect("squish", image=PHOTOS / "cat.jpg")


def the_task(recorded: Recorded) -> ReadableSpan:
    (span,) = recorded.tasks
    return span


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


def story(span: ReadableSpan) -> list[str]:
    """The events of a span, with what they say."""
    return [" ".join([e.name, *map(str, (e.attributes or {}).values())]) for e in span.events]


async def test_a_task_is_one_span_from_its_submit_to_its_end(
    client: EffectsClient, recorded: Recorded
) -> None:
    result = await client.run(SQUISH, external_task_id="order-1")
    span = the_task(recorded)
    assert (span.name, span.kind) == ("generate_content squish", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "kling",
        "gen_ai.output.type": "video",
        "gen_ai.response.id": result.task_id,
        "kling.account": client.account,
        "kling.effect_scene": "squish",
        "kling.external_task_id": "order-1",
        "kling.resumed": False,
        "kling.outcome": "succeeded",
    }
    assert story(span) == [
        "kling.job.queued",
        "kling.job.submitted 1",
        "kling.job.accepted",
        "kling.task.changed submitted",
        "kling.task.changed processing",
        "kling.task.ended succeeded",
    ]


async def test_a_span_has_the_times_of_the_events(emulator: Emulator, recorded: Recorded) -> None:
    heard: list[Event] = []
    async with emulator.client(telemetry=recorded.telemetry, on_event=heard.append) as client:
        await client.run(SQUISH)
    span = the_task(recorded)
    at = [int(each.at.timestamp() * 1e9) for each in heard if not isinstance(each, SlotsChanged)]
    assert (span.start_time, span.end_time) == (at[0], at[-1])
    assert [each.timestamp for each in span.events] == at


async def test_a_task_counts_once_with_its_outcome_length_and_lag(
    emulator: Emulator, recorded: Recorded
) -> None:
    heard: list[Event] = []
    async with emulator.client(telemetry=recorded.telemetry, on_event=heard.append) as client:
        await client.run(SQUISH)
    ended = heard[-1]
    assert isinstance(ended, TaskEnded)
    assert recorded.metric("kling.tasks") == {("succeeded",): 1}
    ((count, sum_s),) = recorded.metric("gen_ai.client.operation.duration").values()
    assert (count, 30 <= sum_s < 45) == (1, True)
    assert ended.lag_s is not None
    assert recorded.metric("kling.task.detection_lag") == {(): (1, ended.lag_s)}
    assert recorded.metric("kling.tasks.running") == {(): 0}


async def test_polls_are_counted_by_kind(
    client: EffectsClient, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kling_effects_async.emulator.requests")
    await asyncio.gather(*(client.run(SQUISH) for _ in range(6)))
    polls = recorded.metric("kling.polls")
    assert set(polls) == {("page",), ("query",)}
    sent = [record for record in caplog.records if "GET" in vars(record).values()]
    assert sum(polls.values()) == len(sent)


async def test_slots_are_a_gauge_from_the_beginning_on(
    emulator: Emulator, recorded: Recorded
) -> None:
    fixed = SlotPolicy(start=3, maximum=3)
    async with emulator.client(telemetry=recorded.telemetry, slots=fixed) as client:
        await client.submit(SQUISH)
        assert recorded.metric("kling.slots") == {(): 3}
        assert recorded.metric("kling.tasks.running") == {(): 1}


async def test_a_failed_task_is_an_error_with_the_services_words(
    client: EffectsClient, emulator: Emulator, recorded: Recorded
) -> None:
    emulator.fail_next(Fault.task_failed("Risk control, see https://kling.example/why?id=7"))
    with pytest.raises(TaskFailedError):
        await client.run(SQUISH)
    span = the_task(recorded)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "Risk control, see ..."
    assert attribute(span, "error.type") == "TaskFailedError"
    assert story(span)[-1] == "kling.task.ended failed"
    assert recorded.metric("kling.tasks") == {("TaskFailedError", "failed"): 1}


async def test_a_success_without_a_video_is_an_error(
    client: EffectsClient, emulator: Emulator, recorded: Recorded
) -> None:
    emulator.fail_next(Fault.no_videos(), times=99)
    emulator.fail_next(Fault.no_videos(on="list"), times=99)
    with pytest.raises(ResultMissingError):
        await client.run(SQUISH)
    assert attribute(the_task(recorded), "error.type") == "ResultMissingError"


async def test_a_rejected_submit_is_an_error_with_its_code(
    client: EffectsClient, emulator: Emulator, recorded: Recorded
) -> None:
    emulator.fail_next(Fault.rejected(1201))
    with pytest.raises(InvalidRequestError):
        await client.run(SQUISH)
    span = the_task(recorded)
    assert span.status.status_code is StatusCode.ERROR
    assert attribute(span, "error.type") == "InvalidRequestError"
    assert attribute(span, "kling.code") == "1201"
    assert attribute(span, "kling.outcome") == "rejected"
    assert recorded.metric("kling.rejections") == {("InvalidRequestError", "1201"): 1}
    assert recorded.metric("kling.tasks") == {("InvalidRequestError", "rejected"): 1}


async def test_what_was_not_sent_was_not_rejected_by_the_service(
    client: EffectsClient, emulator: Emulator, recorded: Recorded
) -> None:
    """Fault 19: all submits fail with the error of the one that was sent."""
    emulator.fail_next(Fault.rejected(1102))
    for _ in range(3):
        with pytest.raises(AccountError):
            await client.run(SQUISH)
    assert recorded.metric("kling.rejections") == {("AccountError", "1102"): 1}
    assert recorded.metric("kling.tasks") == {("AccountError", "rejected"): 3}


async def test_a_passing_rejection_is_an_event_of_the_span_and_a_retry(
    client: EffectsClient, emulator: Emulator, recorded: Recorded
) -> None:
    emulator.fail_next(Fault.rejected(1302))
    await client.run(SQUISH)
    assert story(the_task(recorded))[:5] == [
        "kling.job.queued",
        "kling.job.submitted 1",
        "kling.job.queued RateLimitError 1302",
        "kling.job.submitted 2",
        "kling.job.accepted",
    ]
    assert recorded.metric("kling.rejections") == {("RateLimitError", "1302"): 1}
    assert recorded.metric("kling.retries") == {("RateLimitError", "1302"): 1}


async def test_a_request_that_is_sent_again_is_a_retry(
    emulator: Emulator, recorded: Recorded
) -> None:
    retry = RetryPolicy(attempts=3)
    async with emulator.client(telemetry=recorded.telemetry, retry=retry) as client:
        emulator.fail_next(Fault.html(503, on="list"), times=2)
        await client.list_tasks()
    assert recorded.metric("kling.retries") == {("ServiceError",): 2}


async def test_an_uncertain_submit_is_an_error(emulator: Emulator, recorded: Recorded) -> None:
    emulator.fail_next(Fault.cut_after_reading(accepted=True))
    for operation in ("query", "list"):
        emulator.fail_next(Fault.html(502, on=operation), times=99)
    policy = SubmitPolicy(settle_pause_s=1)
    async with emulator.client(telemetry=recorded.telemetry, submit=policy) as client:
        with pytest.raises(SubmissionUncertainError):
            await client.run(SQUISH)
    span = the_task(recorded)
    assert span.status.status_code is StatusCode.ERROR
    assert attribute(span, "error.type") == "SubmissionUncertainError"
    assert recorded.metric("kling.tasks") == {("SubmissionUncertainError", "uncertain"): 1}


async def test_a_cancelled_wait_leaves_the_span_to_the_task(
    client: EffectsClient, recorded: Recorded
) -> None:
    task = await client.submit(SQUISH)
    waiting = asyncio.create_task(task.result())
    await asyncio.sleep(5)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert recorded.spans == []
    await asyncio.sleep(60)  # nobody waits
    assert attribute(the_task(recorded), "kling.outcome") == "succeeded"


async def test_a_submit_that_is_cancelled_while_it_waits_is_no_error(
    emulator: Emulator, recorded: Recorded
) -> None:
    one = SlotPolicy(start=1, maximum=1)
    async with emulator.client(telemetry=recorded.telemetry, slots=one) as client:
        await client.submit(SQUISH)
        waiting = asyncio.create_task(client.submit(SQUISH))
        await asyncio.sleep(5)
        waiting.cancel()
        await asyncio.wait({waiting})
        await asyncio.sleep(0)
        span = the_task(recorded)
    assert span.status.status_code is StatusCode.UNSET
    assert attribute(span, "kling.outcome") == "cancelled"
    assert story(span) == ["kling.job.queued"]


async def test_a_task_that_is_not_seen_to_end_in_time_ends_its_span(
    emulator: Emulator, recorded: Recorded
) -> None:
    short = PollPolicy(deadline_s=10)
    async with emulator.client(telemetry=recorded.telemetry, poll=short) as client:
        with pytest.raises(TaskTimeoutError):
            await client.run(SQUISH)
        await asyncio.sleep(1)
        span = the_task(recorded)
    assert attribute(span, "error.type") == "TaskTimeoutError"
    assert recorded.metric("kling.tasks") == {("TaskTimeoutError", "timed_out"): 1}


async def test_a_restart_begins_a_span_with_the_same_ids(
    recorded: Recorded, tmp_path: Path
) -> None:
    journal = tmp_path / "jobs.db"
    # So long that it cannot end while the first client is closed on a busy machine.
    async with Emulator(clips=Clips.STOCK, task_seconds=1500.0) as emulator:
        async with emulator.client(telemetry=recorded.telemetry, journal=journal) as client:
            await client.submit(SQUISH, external_task_id="order-1")
        async with emulator.client(telemetry=recorded.telemetry, journal=journal) as client:
            assert [outcome async for outcome in client.resume()]
    first, second = recorded.tasks
    for name in ("gen_ai.response.id", "kling.external_task_id", "kling.effect_scene"):
        assert attribute(first, name) == attribute(second, name) is not None
    assert attribute(first, "kling.outcome") == "unfinished"
    assert attribute(second, "kling.outcome") == "succeeded"
    assert [attribute(each, "kling.resumed") for each in (first, second)] == [False, True]
    assert recorded.metric("kling.tasks") == {("succeeded",): 1}
    assert recorded.metric("kling.tasks.running") == {(): 0}


async def test_bytes_of_clips_are_counted(
    client: EffectsClient, recorded: Recorded, tmp_path: Path
) -> None:
    result = await client.run(SQUISH)
    path = await client.download(result.video, tmp_path / "clip.mp4")
    assert recorded.metric("kling.download.bytes") == {(): path.stat().st_size}
