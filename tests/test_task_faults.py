"""A task whose service answers oddly, or whose waiter breaks: one end, told to everybody else."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from kling_effects_async import (
    EffectTask,
    PollPolicy,
    ReplyError,
    RetryPolicy,
    SingleImageEffect,
    TaskFailedError,
    TaskStatus,
    TaskTimeoutError,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.journal.job import JobState
from tests.support.submits import QUICK, state_in

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")


def a_service(seconds: float = 60.0) -> Emulator:
    """Every poll is a single query, so each scripted fault meets one."""
    return Emulator(clips=Clips.STOCK, task_seconds=seconds, lists_tasks=False, seed=1)


# -- waiters


async def failing_waiter(task: EffectTask) -> None:
    async for snapshot in task:
        raise ZeroDivisionError(snapshot.status)


@pytest.mark.looptime
async def test_a_waiter_that_raises_leaves_the_others_their_results() -> None:
    """Fault 35: of the same task, and of another one."""
    async with a_service() as emulator, emulator.client() as client:
        task, other = [await client.submit(SQUISH) for _ in range(2)]
        failed, *results = await asyncio.gather(
            failing_waiter(task), task, other, task, return_exceptions=True
        )
        assert isinstance(failed, ZeroDivisionError)
        assert [getattr(result, "task_id", result) for result in results] == [
            task.task_id,
            other.task_id,
            task.task_id,
        ]
        assert emulator.ledger.total == 2


# -- words and statuses


@pytest.mark.looptime
async def test_a_word_that_stays_unknown_is_waited_for_until_the_deadline(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault 36: never an end, warned of once, and the word is in the error."""
    policy = PollPolicy(deadline_s=100)
    async with a_service() as emulator, emulator.client(poll=policy) as client:
        task = await client.submit(SQUISH)
        emulator.fail_next(Fault.status_word("paused"), times=1000)
        with (
            caplog.at_level(logging.WARNING, "kling_effects_async"),
            pytest.raises(TaskTimeoutError, match="last status: paused") as caught,
        ):
            await task
        assert caught.value.latest is not None
        assert caught.value.latest.status is TaskStatus.UNKNOWN
        assert len([line for line in caplog.messages if "'paused'" in line]) == 1
        assert emulator.faults_left < 1000 - 5


@pytest.mark.looptime
async def test_a_waiter_never_sees_a_status_go_back() -> None:
    """Fault 37: a replica that is late answers some of the polls."""
    seen = []
    async with a_service() as emulator, emulator.client() as client:
        async for snapshot in await client.submit(SQUISH):
            seen.append(snapshot.status)
            if snapshot.status is TaskStatus.PROCESSING:
                emulator.fail_next(Fault.stale(), times=3)
        assert emulator.faults_left == 0
    assert seen == [TaskStatus.SUBMITTED, TaskStatus.PROCESSING, TaskStatus.SUCCEEDED]


async def test_an_end_stays_the_end_in_the_journal_too(tmp_path: Path) -> None:
    """Fault 37: whatever a late replica says of the task afterwards."""
    path = tmp_path / "jobs.db"
    async with (
        Emulator(clips=Clips.STOCK, speed=600, task_seconds=30.0) as emulator,
        emulator.client(journal=path, **QUICK) as client,
    ):
        task = await client.submit(SQUISH, external_task_id="order-42")
        result = await task
        emulator.fail_next(Fault.stale(), times=2)
        assert (await task.refresh()).status is TaskStatus.SUCCEEDED
        again = client.attach(external_task_id="order-42")
        await again.refresh()
        assert await again == await task == result
        assert emulator.faults_left == 0
    assert await state_in(path, "order-42") is JobState.SUCCEEDED


@pytest.mark.looptime
async def test_a_failure_without_words_keeps_the_id_of_the_request() -> None:
    """Fault 39: it is what the service's support asks for."""
    async with a_service() as emulator, emulator.client() as client:
        emulator.fail_next(Fault.task_failed(""))
        with pytest.raises(TaskFailedError, match="the service gave no reason") as caught:
            await client.run(SQUISH)
    request_id = caught.value.snapshot.request_id
    assert request_id
    assert str(caught.value).endswith(f"(request {request_id})")


# -- deadlines


async def test_a_task_without_an_end_is_resumed_after_its_deadline(tmp_path: Path) -> None:
    """Fault 41: the job stays accepted, and the next client finishes it."""
    path = tmp_path / "jobs.db"
    hurried = {**QUICK, "poll": PollPolicy(shortest_s=0.05, deadline_s=0.2)}
    async with Emulator(clips=Clips.STOCK, task_seconds=1.0) as emulator:
        async with emulator.client(journal=path, **hurried) as client:
            task = await client.submit(SQUISH, external_task_id="order-42")
            with pytest.raises(TaskTimeoutError, match=r"within 0\.2 s"):
                await task
        assert await state_in(path, "order-42") is JobState.ACCEPTED
        async with emulator.client(journal=path, **QUICK) as client:
            (outcome,) = [outcome async for outcome in client.resume()]
        assert outcome.external_task_id == "order-42"
        assert emulator.requests["submit"] == emulator.ledger.total == 1
    assert await state_in(path, "order-42") is JobState.SUCCEEDED


# -- another task's answer


@pytest.mark.looptime
async def test_results_are_never_mixed_up() -> None:
    """Fault 42: polls of two tasks are answered about others, also after both have ended."""
    async with a_service(seconds=5.0) as emulator, emulator.client() as client:
        tasks = [await client.submit(SQUISH, external_task_id=name) for name in ("a", "b")]
        emulator.fail_next(Fault.other_task(), times=20)
        await asyncio.sleep(5)
        assert 0 < emulator.faults_left < 18
        results = await asyncio.gather(*tasks)
        assert emulator.faults_left == 0
    assert [result.external_task_id for result in results] == ["a", "b"]
    assert [result.task_id for result in results] == [task.task_id for task in tasks]


@pytest.mark.looptime
async def test_an_answer_about_another_task_alone_is_an_error() -> None:
    """Fault 42: to a caller that asked for one answer; the task is as it was."""
    policy = RetryPolicy(attempts=2)
    async with a_service() as emulator, emulator.client(retry=policy) as client:
        task = await client.submit(SQUISH)
        emulator.fail_next(Fault.other_task(), times=2)
        with pytest.raises(ReplyError, match=f"queried task {task.task_id}"):
            await task.refresh()
        assert emulator.faults_left == 0
        assert (await task).task_id == task.task_id
