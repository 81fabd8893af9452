"""Attaching to a task that the journal knows, or that nobody knows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    EffectResult,
    EffectsClient,
    EffectTask,
    Job,
    JobState,
    PollPolicy,
    SingleImageEffect,
    TaskStatus,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.errors import TaskFailedError, TaskNotFoundError
from kling_effects_async.journal.job import JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore

EFFECT = SingleImageEffect("squish", image="https://img.example/1.jpg")
STRANGER = "866889456698785799"
ORDER = "order-1001"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=5.0, seed=1) as running:
        yield running


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def finished(emulator: Emulator, journal: Path) -> str:
    """The task id of a job that succeeded in another process."""
    async with emulator.client(journal=journal) as client:
        return (await client.run(EFFECT, external_task_id=ORDER)).task_id


def attached(client: EffectsClient, by: str, task_id: str) -> EffectTask:
    return client.attach(task_id) if by == "task id" else client.attach(external_task_id=ORDER)


@pytest.mark.looptime
@pytest.mark.parametrize("by", ["task id", "external id"])
async def test_an_end_that_the_journal_knows_needs_no_request(
    emulator: Emulator, journal: Path, by: str
) -> None:
    task_id = await finished(emulator, journal)
    before = emulator.requests.total()
    async with emulator.client(journal=journal) as client:
        task = attached(client, by, task_id)
        result = await task
        changes = [snapshot.status async for snapshot in task]
    assert (task.task_id, task.external_task_id) == (task_id, ORDER)
    assert (result.task_id, result.external_task_id, str(result.units)) == (task_id, ORDER, "2")
    assert changes == [TaskStatus.SUCCEEDED]
    assert emulator.requests.total() == before


@pytest.mark.looptime
async def test_a_refresh_gets_fresh_addresses_for_what_the_journal_knows(
    emulator: Emulator, journal: Path
) -> None:
    task_id = await finished(emulator, journal)
    async with emulator.client(journal=journal) as client:
        task = client.attach(task_id)
        remembered = await task
        fresh = await task.refresh()
    assert remembered.video.id is None
    assert fresh.videos[0].id is not None
    assert task.latest is fresh


async def rewritten(journal: Path, **members: Any) -> None:
    """Another task with the members given, made from the one in the journal."""
    async with SqliteStore(journal) as opened:
        (job,) = await opened.find(ORDER)
        await opened.move(job.account, job.external_task_id, JobUpdate(job.state, **members))


@pytest.mark.looptime
async def test_an_address_that_expired_in_the_journal_is_renewed_by_the_download(
    emulator: Emulator, journal: Path, tmp_path: Path
) -> None:
    task_id = await finished(emulator, journal)
    expired = json.dumps({"videos": [f"{emulator.url}/media/{task_id}.mp4?sign=old"]})
    await rewritten(journal, result=expired)
    async with emulator.client(journal=journal) as client:
        result = await client.attach(task_id)
        path = await client.download(result.video, tmp_path / "clip.mp4")
    assert path.stat().st_size > 0
    assert emulator.requests["query"] >= 1


@pytest.mark.looptime
@pytest.mark.parametrize("result", ["", "{}", "[]", '{"videos": []}', '{"videos": [7]}', "null"])
async def test_a_success_without_an_address_in_the_journal_is_asked_about(
    emulator: Emulator, journal: Path, result: str
) -> None:
    task_id = await finished(emulator, journal)
    await rewritten(journal, result=result)
    async with emulator.client(journal=journal) as client:
        assert (await client.attach(task_id)).video.id is not None


@pytest.fixture
async def slow() -> AsyncIterator[Emulator]:
    """Tasks that surely run when the process that submitted them ends."""
    async with Emulator(clips=Clips.STOCK, task_seconds=1e5, seed=1) as running:
        yield running


PATIENT = PollPolicy(deadline_s=1e7, max_interval_s=2000.0)  # waits long, for few questions


@pytest.mark.looptime
async def test_a_failure_that_the_journal_knows_needs_no_request(
    slow: Emulator, journal: Path
) -> None:
    async with slow.client(journal=journal) as client:
        task = await client.submit(EFFECT, external_task_id=ORDER)
    async with SqliteStore(journal) as opened:
        await opened.move(client.account, ORDER, JobUpdate(JobState.FAILED, message="risk control"))
    before = slow.requests.total()
    async with slow.client(journal=journal) as client:
        with pytest.raises(TaskFailedError, match="risk control"):
            await client.attach(task.task_id)
    assert slow.requests.total() == before


@pytest.mark.looptime
async def test_the_end_of_an_accepted_job_that_was_attached_to_is_written_down(
    slow: Emulator, journal: Path
) -> None:
    async with slow.client(journal=journal) as client:
        submitted = await client.submit(EFFECT, external_task_id=ORDER)
    async with slow.client(journal=journal, poll=PATIENT) as client:
        changes = [snapshot.status async for snapshot in client.attach(submitted.task_id)]
    assert changes[0] is TaskStatus.SUBMITTED
    assert changes[-1] is TaskStatus.SUCCEEDED
    async with SqliteStore(journal) as opened:
        (job,) = await opened.find(ORDER)
    assert job.state is JobState.SUCCEEDED


@pytest.mark.looptime
async def test_a_task_in_the_journal_may_be_unknown_for_as_long_as_replicas_are_late(
    slow: Emulator, journal: Path
) -> None:
    async with slow.client(journal=journal) as client:
        submitted = await client.submit(EFFECT, external_task_id=ORDER)
    slow.fail_next(Fault.unknown_task(), times=5)
    async with slow.client(journal=journal, poll=PATIENT) as client:
        assert isinstance(await client.attach(submitted.task_id), EffectResult)
    assert slow.faults_left == 0


@pytest.mark.looptime
async def test_an_uncertain_job_may_be_unknown_as_long_as_an_accepted_one(
    emulator: Emulator, journal: Path
) -> None:
    async with emulator.client(journal=journal) as client:
        account = client.account
    async with SqliteStore(journal) as opened:
        await opened.add(
            Job(
                account=account,
                external_task_id=ORDER,
                scene="squish",
                fingerprint="0" * 64,
                effect="{}",
                created_at=datetime(2026, 9, 1, tzinfo=UTC),
            )
        )
        for state in (JobState.SUBMITTING, JobState.UNCERTAIN):
            await opened.move(account, ORDER, JobUpdate(state))
    async with emulator.client(journal=journal) as client:
        with pytest.raises(TaskNotFoundError) as caught:
            await client.attach(external_task_id=ORDER)
    assert 29 <= caught.value.polled_s <= 31


@pytest.mark.looptime
async def test_a_job_of_another_account_or_id_is_not_taken_for_the_task(
    emulator: Emulator, journal: Path
) -> None:
    task_id = await finished(emulator, journal)
    async with emulator.client(journal=journal, account="another") as client:
        asked = emulator.requests["query"]
        assert (await client.attach(task_id)).video.id is not None
        assert emulator.requests["query"] == asked + 1
    async with emulator.client(journal=journal) as client:
        await client.attach(ORDER)  # to us that is no task id
        assert emulator.requests["query"] == asked + 2


@pytest.mark.looptime
@pytest.mark.parametrize("by", ["task id", "external id"])
@pytest.mark.parametrize("has_journal", [True, False])
async def test_a_task_that_nobody_knows_is_given_up_within_ten_seconds(
    emulator: Emulator, journal: Path, by: str, has_journal: bool
) -> None:
    """Fault 40: later: TaskNotFound."""
    async with emulator.client(journal=journal if has_journal else None) as client:
        with pytest.raises(TaskNotFoundError) as caught:
            await attached(client, by, STRANGER)
    assert 7 <= caught.value.polled_s <= 9
    assert (STRANGER if by == "task id" else ORDER) in str(caught.value)
    assert f"polled {emulator.requests['query']} times in 8 s" in str(caught.value)
    assert caught.value.message in str(caught.value)


@pytest.mark.looptime
async def test_the_grace_for_a_stranger_is_never_longer_than_that_for_ours() -> None:
    async with (
        Emulator(clips=Clips.STOCK) as emulator,
        emulator.client(poll=PollPolicy(not_found_grace_s=2)) as client,
    ):
        began = asyncio.get_running_loop().time()
        with pytest.raises(TaskNotFoundError):
            await client.attach(STRANGER)
        assert asyncio.get_running_loop().time() - began <= 3
