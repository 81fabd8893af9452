"""Spans of tasks that were not submitted here, and what an observer keeps of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kling_effects_async import EffectsClient, SingleImageEffect, TaskChanged, TaskEnded
from kling_effects_async.models import TaskSnapshot, TaskStatus, Video
from kling_effects_async.observer import Observer
from kling_effects_async.transport.clock import SystemClock
from tests.conftest import PHOTOS
from tests.support.recorded import Recorded

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
RUNNING = TaskSnapshot(task_id="t1", status=TaskStatus.PROCESSING, raw_status="processing")
DONE = TaskSnapshot(
    task_id="t1",
    status=TaskStatus.SUCCEEDED,
    raw_status="succeed",
    videos=(Video(url="https://v.example/o.mp4?sign=1"),),
)


@pytest.fixture
def observer(recorded: Recorded) -> Observer:
    return recorded.telemetry.observer("an account", SystemClock())


def changed(task_id: str | None, external_task_id: str | None = None) -> TaskChanged:
    return TaskChanged(at=NOW, task_id=task_id, external_task_id=external_task_id, snapshot=RUNNING)


def test_a_task_that_is_attached_to_has_one_span_by_either_id(
    observer: Observer, recorded: Recorded
) -> None:
    observer.on_event(changed("t1"))
    observer.on_event(changed("t1", "order-1"))
    later = NOW + timedelta(seconds=9)
    observer.on_event(TaskEnded(at=later, task_id="t1", external_task_id="order-1", snapshot=DONE))
    (span,) = recorded.tasks
    assert span.name == "generate_content"  # its scene is not known
    assert (span.end_time or 0) - (span.start_time or 0) == 9 * 10**9
    assert recorded.metric("kling.tasks.running") == {(): 0}


def test_an_end_that_is_all_that_is_seen_is_a_span_too(
    observer: Observer, recorded: Recorded
) -> None:
    observer.on_event(TaskEnded(at=NOW, task_id="t1", external_task_id=None, snapshot=DONE))
    assert [span.start_time for span in recorded.tasks] == [recorded.tasks[0].end_time]


def test_of_tasks_that_are_never_seen_to_end_a_thousand_spans_are_kept(
    observer: Observer, recorded: Recorded
) -> None:
    for number in range(1_003):
        observer.on_event(changed(f"t{number}"))
    dropped = [(span.attributes or {})["gen_ai.response.id"] for span in recorded.tasks]
    assert dropped == ["t0", "t1", "t2"]
    assert recorded.metric("kling.tasks.running") == {(): 1_000}
    assert recorded.metric("kling.tasks") == {}


@pytest.mark.looptime
async def test_what_is_submitted_after_a_run_is_no_part_of_it(
    client: EffectsClient, observer: Observer, recorded: Recorded
) -> None:
    with observer.run("run_many") as run, run.member():
        pass
    await client.run(SingleImageEffect("squish", image=PHOTOS / "cat.jpg"))
    assert [list(span.links) for span in recorded.tasks] == [[]]
