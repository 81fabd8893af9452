"""When a task's end is reported, and what is said about its time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from kling_effects_async import Event, TaskChanged, TaskEnded
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.poller import Poller
from tests.support.polled_service import PolledService, QuickClock


def snapshot(status: TaskStatus, updated_at: datetime | None = None) -> TaskSnapshot:
    return TaskSnapshot(task_id="t1", status=status, updated_at=updated_at)


async def running(_task_id: str) -> TaskSnapshot:
    return snapshot(TaskStatus.PROCESSING)


class Desk:
    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.clock = QuickClock()
        self.poller = Poller(
            PolledService(running),
            policy=PollPolicy(),
            clock=self.clock,
            rng=lambda: 0.5,
            on_event=self.heard.append,
        )
        self.task = self.poller.track("t1", "order-1", scene="squish")


async def test_an_end_is_reported_once_it_is_written_down() -> None:
    """Fault 97: an outcome is reported before it is written."""
    desk = Desk()
    written = asyncio.get_running_loop().create_future()
    desk.poller.learn(desk.task, snapshot(TaskStatus.PROCESSING))
    desk.poller.follow(desk.task, lambda final: written)
    desk.poller.learn(desk.task, snapshot(TaskStatus.FAILED))
    await desk.clock.settle()
    assert [type(event) for event in desk.heard] == [TaskChanged]
    written.set_result(None)
    await desk.clock.settle()
    assert [type(event) for event in desk.heard] == [TaskChanged, TaskEnded]
    await desk.poller.aclose()


@pytest.mark.parametrize(("ended_s_ago", "lag_s"), [(3.0, 3.0), (0.0, 0.0), (-5.0, None)])
async def test_the_lag_is_counted_from_the_services_time(
    ended_s_ago: float, lag_s: float | None
) -> None:
    desk = Desk()
    updated_at = desk.clock.now() - timedelta(seconds=ended_s_ago)
    desk.poller.learn(desk.task, snapshot(TaskStatus.FAILED, updated_at))
    (ended,) = desk.heard
    assert isinstance(ended, TaskEnded)
    assert ended.lag_s == desk.poller.last_lag_s == lag_s
    await desk.poller.aclose()


async def test_the_lag_of_an_end_without_a_time_is_not_known() -> None:
    desk = Desk()
    desk.poller.learn(desk.task, snapshot(TaskStatus.FAILED))
    (ended,) = desk.heard
    assert isinstance(ended, TaskEnded)
    assert (ended.lag_s, ended.duration_s) == (None, None)
    await desk.poller.aclose()


async def test_the_duration_is_counted_from_the_acceptance() -> None:
    desk = Desk()
    desk.poller.learn(desk.task, snapshot(TaskStatus.PROCESSING))
    desk.poller.follow(desk.task, lambda final: None)
    await desk.clock.advance(12)
    desk.poller.learn(desk.task, snapshot(TaskStatus.FAILED))
    ended = desk.heard[-1]
    assert isinstance(ended, TaskEnded)
    assert ended.duration_s == 12
    await desk.poller.aclose()


async def test_a_late_answer_is_no_event() -> None:
    desk = Desk()
    desk.poller.learn(desk.task, snapshot(TaskStatus.FAILED))
    desk.poller.learn(desk.task, snapshot(TaskStatus.PROCESSING))
    desk.poller.learn(desk.task, snapshot(TaskStatus.FAILED))
    assert [type(event) for event in desk.heard] == [TaskEnded]
    await desk.poller.aclose()
