"""Where spans belong: below the caller's at the submit, linked with a run, apart from others."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, get_current_span

from kling_effects_async import EffectsClient, EffectTask, SingleImageEffect
from kling_effects_async.emulator import Emulator, Fault
from tests.conftest import PHOTOS
from tests.support.recorded import Recorded

pytestmark = pytest.mark.looptime

SQUISH = SingleImageEffect("squish", image=PHOTOS / "cat.jpg")
TWO = [SingleImageEffect("disco_paws", image=PHOTOS / "cat.jpg"), SQUISH]


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


async def test_a_task_is_a_child_of_the_span_that_is_current_at_its_submit(
    client: EffectsClient, recorded: Recorded
) -> None:
    with recorded.tracer.start_as_current_span("first request") as first:
        task = await client.submit(SQUISH)
    with recorded.tracer.start_as_current_span("second request") as second:
        await client.run(SQUISH)
        await task
    parents = [parent_of(span) for span in recorded.tasks]
    assert parents == [each.get_span_context().span_id for each in (first, second)]


async def test_nothing_of_ours_is_current_in_the_callers_context(
    client: EffectsClient,
) -> None:
    await client.submit(SQUISH)
    async for _ in client.run_many([SQUISH]):
        assert not get_current_span().get_span_context().is_valid


async def test_a_run_is_a_span_and_its_tasks_are_linked_with_it(
    client: EffectsClient, recorded: Recorded
) -> None:
    with recorded.tracer.start_as_current_span("a batch") as batch:
        assert [outcome async for outcome in client.run_many(TWO)]
    (run,) = [span for span in recorded.spans if span.name == "kling run_many"]
    assert (parent_of(run), run.kind) == (batch.get_span_context().span_id, SpanKind.INTERNAL)
    first, second = recorded.tasks
    assert {trace_of(first), trace_of(second), trace_of(run)} == {
        trace_of(first),
        trace_of(second),
        batch.get_span_context().trace_id,
    }
    assert len({trace_of(first), trace_of(second), trace_of(run)}) == 3
    for task in (first, second):
        assert parent_of(task) is None
        assert [link.context for link in task.links] == [run.context]
    linked = {link.context.span_id for link in run.links}
    assert linked == {task.context.span_id for task in (first, second) if task.context}
    ends = [span.end_time or 0 for span in (first, second, run)]
    assert max(ends) == ends[2]


async def test_a_failed_task_of_a_run_is_an_error_of_its_own_span(
    client: EffectsClient, emulator: Emulator, recorded: Recorded
) -> None:
    emulator.fail_next(Fault.task_failed())
    assert [outcome async for outcome in client.run_many(TWO)]
    assert sorted(span.status.is_ok for span in recorded.tasks) == [False, True]
    (run,) = [span for span in recorded.spans if span.name == "kling run_many"]
    assert run.status.is_ok


async def test_submit_many_is_a_run_too(client: EffectsClient, recorded: Recorded) -> None:
    async for task in client.submit_many([SQUISH]):
        assert isinstance(task, EffectTask)
        await task
    task_span, run = recorded.spans
    assert run.name == "kling submit_many"
    assert [link.context for link in task_span.links] == [run.context]


async def test_a_run_that_is_left_ends_its_span(client: EffectsClient, recorded: Recorded) -> None:
    run = client.run_many(TWO)
    async for _outcome in run:
        break
    await run.aclose()
    assert [span.name for span in recorded.spans].count("kling run_many") == 1


async def test_a_submit_within_a_run_of_another_is_no_part_of_it(
    client: EffectsClient, recorded: Recorded
) -> None:
    async for _outcome in client.run_many([SQUISH]):
        await client.run(SQUISH)
    assert sorted(len(span.links) for span in recorded.tasks) == [0, 1]


async def test_two_clients_report_apart_and_may_share_their_telemetry(
    emulator: Emulator, recorded: Recorded
) -> None:
    other = Recorded()
    async with (
        emulator.client(telemetry=recorded.telemetry, account="a") as one,
        emulator.client(telemetry=recorded.telemetry, account="b") as two,
        emulator.client(telemetry=other.telemetry, account="c") as three,
    ):
        await asyncio.gather(*(client.run(SQUISH) for client in (one, two, three)))
    accounts = [(span.attributes or {})["kling.account"] for span in recorded.tasks]
    assert sorted(map(str, accounts)) == ["a", "b"]
    tasks = [given for name, _, given, _ in recorded.all() if name == "kling.tasks"]
    assert sorted(str(given["kling.account"]) for given in tasks) == ["a", "b"]
    assert [(span.attributes or {})["kling.account"] for span in other.tasks] == ["c"]
