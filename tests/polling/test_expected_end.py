"""When a task is expected to end, by what its scene took."""

from __future__ import annotations

from datetime import timedelta

from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.schedule import DurationHistory
from kling_effects_async.polling.tracked_task import TrackedTask
from tests.support.polled_service import PolledService, QuickClock


async def never(task_id: str) -> TaskSnapshot:
    return running(task_id)


def running(task_id: str) -> TaskSnapshot:
    return TaskSnapshot(task_id=task_id, status=TaskStatus.PROCESSING, raw_status="processing")


def learn(history: DurationHistory, lengths: list[float]) -> None:
    for length in lengths:
        history.learn("squish", seen_s=length, seen_running_s=length, stated_s=None)


def seconds_to_end(poller: Poller, clock: QuickClock, task: TrackedTask) -> tuple[float, float]:
    expected = poller.expected_end(task)
    assert expected is not None
    first, last = ((moment - clock.now()).total_seconds() for moment in expected)
    return round(first), round(last)


async def followed(lengths: list[float]) -> tuple[Poller, QuickClock, TrackedTask]:
    clock = QuickClock()
    poller = Poller(PolledService(never), policy=PollPolicy(), clock=clock, rng=lambda: 0.5)
    learn(poller.history, lengths)
    task = poller.track("t1", None, scene="squish")
    poller.learn(task, running("t1"))
    poller.follow(task, lambda final: None)
    return poller, clock, task


async def test_it_is_not_known_before_eight_tasks_ended() -> None:
    poller, _clock, task = await followed([100.0] * 7)
    assert poller.expected_end(task) is None
    learn(poller.history, [100.0])
    assert poller.expected_end(task) is not None
    await poller.aclose()


async def test_it_is_from_a_tenth_to_nine_tenths_of_what_the_scene_took() -> None:
    poller, clock, task = await followed([100.0 + 10 * number for number in range(11)])
    assert seconds_to_end(poller, clock, task) == (110, 190)
    await clock.advance(60)
    assert seconds_to_end(poller, clock, task) == (50, 130)
    await poller.aclose()


async def test_it_is_never_in_the_past() -> None:
    poller, clock, task = await followed([100.0 + 10 * number for number in range(11)])
    await clock.advance(150)
    assert seconds_to_end(poller, clock, task) == (0, 40)
    await clock.advance(45)  # past nine tenths: until the longest
    assert seconds_to_end(poller, clock, task) == (0, 5)
    await clock.advance(10)  # past all of them
    assert poller.expected_end(task) is None
    await poller.aclose()


async def test_of_a_task_from_before_the_service_tells_when_it_began() -> None:
    clock = QuickClock()
    poller = Poller(PolledService(never), policy=PollPolicy(), clock=clock, rng=lambda: 0.5)
    learn(poller.history, [100.0] * 8)
    task = poller.track("t1", None, scene="squish")
    assert poller.expected_end(task) is None
    created_at = clock.now() - timedelta(seconds=40)
    poller.learn(
        task, TaskSnapshot(task_id="t1", status=TaskStatus.PROCESSING, created_at=created_at)
    )
    assert seconds_to_end(poller, clock, task) == (60, 60)
    await poller.aclose()


def test_of_a_scene_that_was_never_seen_nothing_is_expected() -> None:
    assert DurationHistory().spread("squish") is None
