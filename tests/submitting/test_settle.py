"""What becomes of an uncertain job: it is found, submitted again, or abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    EffectsClient,
    Job,
    JobState,
    JobStateError,
    Journal,
    JournalError,
    PollPolicy,
    SingleImageEffect,
    SubmissionUncertainError,
    SubmitPolicy,
    TaskFailedError,
)
from kling_effects_async.emulator import Clips, Emulator, Fault, RepeatedId
from kling_effects_async.journal.job import JobUpdate
from kling_effects_async.submitting.decision import steps_to_resubmit
from kling_effects_async.submitting.planning import make_job
from tests.support.command_line import acceptance
from tests.support.paid_service import ACCOUNT, Bench, request_for

pytestmark = pytest.mark.looptime

SQUISH = SingleImageEffect("squish", image="https://img.example/cat.jpg")


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, repeated_external_id=RepeatedId.ACCEPT) as emulator:
        yield emulator


@pytest.fixture
async def slow_emulator() -> AsyncIterator[Emulator]:
    """Its tasks run for a day, so that none ends while a journal's thread is waited for."""
    async with Emulator(clips=Clips.STOCK, task_seconds=86_400) as emulator:
        yield emulator


async def left_uncertain(emulator: Emulator, client: EffectsClient) -> None:
    """Cancel a submit that was accepted, before its answer came."""
    emulator.fail_next(Fault.silence(on="submit", accepted=True))
    submit = asyncio.ensure_future(client.submit(SQUISH, external_task_id="order-1"))
    await acceptance(emulator)
    submit.cancel()
    await asyncio.wait([submit])


async def the_job(journal: Path) -> Job:
    async with Journal(journal, read_only=True) as opened:
        (job,) = await opened.find("order-1")
    return job


@pytest.mark.parametrize("has_journal", [True, False])
async def test_a_task_that_exists_is_found(
    emulator: Emulator, has_journal: bool, tmp_path: Path
) -> None:
    """Fault 20: by a lookup, and it can be waited for."""
    journal = tmp_path / "jobs.db" if has_journal else None
    async with emulator.client(journal=journal) as client:
        await left_uncertain(emulator, client)
        job = await client.settle("order-1")
        assert job.state is JobState.ACCEPTED
        assert job.task_id == emulator.ledger.entries[0].task_id
        result = await client.attach(external_task_id="order-1")
        assert result.task_id == job.task_id
        assert await client.settle("order-1") == await client.settle("order-1")
    assert emulator.ledger.total == 1


async def test_where_nothing_can_be_found_a_person_decides(tmp_path: Path) -> None:
    """Fault 20: submitted again is paid again, and that was said."""
    journal = tmp_path / "jobs.db"
    async with (
        Emulator(
            clips=Clips.STOCK,
            repeated_external_id=RepeatedId.ACCEPT,
            finds_external_ids=False,
            lists_tasks=False,
        ) as emulator,
        emulator.client(journal=journal) as client,
    ):
        await left_uncertain(emulator, client)
        with pytest.raises(SubmissionUncertainError):
            await client.settle("order-1")
        assert (await client.settle("order-1", resubmit=True)).state is JobState.PLANNED
        await client.submit(SQUISH, external_task_id="order-1")
        assert emulator.ledger.total == 2
        with pytest.raises(JobStateError, match="cannot be submitted again"):
            await client.settle("order-1", resubmit=True)


async def test_one_lookup_accepts_a_job_whose_task_is_found(
    slow_emulator: Emulator, tmp_path: Path
) -> None:
    async with slow_emulator.client(journal=tmp_path / "jobs.db") as client:
        await left_uncertain(slow_emulator, client)
        finding = await client.look_up("order-1")
        assert finding.snapshot is not None
        assert finding.snapshot.task_id == slow_emulator.ledger.entries[0].task_id
        with pytest.raises(JobStateError, match="is accepted and cannot be looked up"):
            await client.look_up("order-1")
    assert (await the_job(tmp_path / "jobs.db")).state is JobState.ACCEPTED


async def test_one_lookup_that_finds_nothing_decides_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "jobs.db"
    async with (
        Emulator(clips=Clips.STOCK, finds_external_ids=False) as emulator,
        emulator.client(journal=journal) as client,
    ):
        await left_uncertain(emulator, client)
        finding = await client.look_up("order-1")
        assert (finding.snapshot, finding.is_absent) == (None, False)
        assert (await the_job(journal)).state is JobState.UNCERTAIN


async def test_an_abandoned_job_is_never_sent_again(emulator: Emulator, tmp_path: Path) -> None:
    journal = tmp_path / "jobs.db"
    async with emulator.client(journal=journal) as client:
        await left_uncertain(emulator, client)
        assert (await client.settle("order-1", abandon=True)).state is JobState.ABANDONED
        assert [outcome async for outcome in client.resume()] == []
        with pytest.raises(JobStateError, match="is abandoned and cannot be abandoned") as caught:
            await client.settle("order-1", abandon=True)
        assert (caught.value.external_task_id, caught.value.state) == ("order-1", "abandoned")
    assert (await the_job(journal)).state is JobState.ABANDONED
    assert emulator.ledger.total == 1


@pytest.mark.parametrize("has_failed", [False, True])
async def test_what_an_abandoned_task_cost_is_written_down_at_its_end(
    slow_emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, has_failed: bool
) -> None:
    journal = tmp_path / "jobs.db"
    patient = PollPolicy(deadline_s=2 * 86_400, max_interval_s=3_600)
    if has_failed:
        slow_emulator.fail_next(Fault.task_failed())
    async with slow_emulator.client(journal=journal, poll=patient) as client:
        task = await client.submit(SQUISH, external_task_id="order-1")
        await client.settle("order-1", abandon=True)
        with suppress(TaskFailedError):
            assert (await task).units == Decimal(2)
    job = await the_job(journal)
    assert (job.state, job.task_id) == (JobState.ABANDONED, task.task_id)
    assert job.units == (0 if has_failed else Decimal(2))
    assert caplog.messages == []


async def test_a_decision_that_makes_no_sense_is_rejected_before_anything_is_done(
    emulator: Emulator,
) -> None:
    async with emulator.client(submit=SubmitPolicy(cancel_grace_s=1)) as client:
        with pytest.raises(ValueError, match="exclude each other"):
            await client.settle("order-1", resubmit=True, abandon=True)
        with pytest.raises(JournalError, match="no job 'order-1' of the account"):
            await client.settle("order-1")
        with pytest.raises(TypeError, match="external_task_id must be a str, not int"):
            await client.settle(1)  # type: ignore[arg-type]  # what is tested
    assert emulator.requests.total() == 0


@pytest.mark.parametrize("decision", ["resubmit", "abandon"])
async def test_a_decision_is_true_or_false_and_no_text(
    emulator: Emulator, tmp_path: Path, decision: str
) -> None:
    async with emulator.client(journal=tmp_path / "jobs.db") as client:
        await left_uncertain(emulator, client)
        options: dict[str, Any] = {decision: "no"}
        with pytest.raises(TypeError, match=f"{decision} must be True or False, not str"):
            await client.settle("order-1", **options)
    assert (await the_job(tmp_path / "jobs.db")).state is JobState.UNCERTAIN


async def test_a_killed_submit_that_is_resubmitted_gets_the_task_it_paid_for() -> None:
    bench = Bench()
    job = make_job(
        SQUISH,
        account=ACCOUNT,
        external_task_id="order-1",
        image_hashes=[""],
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    await bench.store.add(job)
    await bench.store.move(ACCOUNT, "order-1", JobUpdate(JobState.SUBMITTING))
    bench.service.accept("order-1")  # and the process was killed
    job = await bench.submitter.decide(job, steps_to_resubmit)
    assert (await bench.submitter.submit(job, request_for("order-1"))).task_id == "t0"
    assert bench.service.total == 1


async def test_a_task_found_by_one_lookup_is_followed(
    slow_emulator: Emulator, tmp_path: Path
) -> None:
    async with slow_emulator.client(journal=tmp_path / "jobs.db") as client:
        await left_uncertain(slow_emulator, client)
        await client.look_up("order-1")
        assert client.stats().running == 1
