"""What an earlier process left in the journal is finished and never paid again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kling_effects_async import (
    ClientClosedError,
    Done,
    EffectRejectedError,
    Failed,
    ImageRejectedError,
    SingleImageEffect,
    SlotPolicy,
    SubmissionUncertainError,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.planning import make_job
from tests.support.command_line import acceptance
from tests.support.paid_service import ACCOUNT
from tests.support.submits import QUICK, state_in


class Left:
    """A journal as a dead process left it, and a service that goes on."""

    def __init__(self, emulator: Emulator, journal: Path, image: Path) -> None:
        self.emulator = emulator
        self.journal = journal
        self.image = image
        self.effect = SingleImageEffect("squish", image=image)
        self.digest = image_hash(image)

    async def accepted(self, name: str) -> str:
        """A task that the service has."""
        async with self.emulator.client(poll=QUICK["poll"]) as dead:
            task_id = (await dead.submit(self.effect, external_task_id=name)).task_id
        assert task_id is not None
        return task_id

    async def job(self, name: str, *states: JobState, task_id: str | None = None) -> None:
        """A job that came through these states."""
        job = make_job(
            self.effect,
            account=ACCOUNT,
            external_task_id=name,
            image_hashes=[self.digest],
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        async with SqliteStore(self.journal) as journal:
            await journal.add(job)
            for state in states:
                has_task = state in (JobState.ACCEPTED, JobState.SUCCEEDED)
                given = task_id if has_task else None
                await journal.move(ACCOUNT, name, JobUpdate(state, task_id=given))

    async def resumed(self, folder: Path | None = None) -> list[Done | Failed]:
        async with self.emulator.client(journal=self.journal, **QUICK) as client:
            return [outcome async for outcome in client.resume(download_to=folder)]


@pytest.fixture
async def left(cat: Path, tmp_path: Path) -> AsyncIterator[Left]:
    image = tmp_path / "cat.jpg"
    image.write_bytes(cat.read_bytes())
    async with Emulator(clips=Clips.STOCK, speed=600, task_seconds=30.0) as emulator:
        yield Left(emulator, tmp_path / "jobs.db", image)


async def test_an_image_given_as_bytes_is_submitted_again_under_its_id(left: Left) -> None:
    """Fault 24: the journal keeps no images, so the caller brings the same bytes."""
    given = SingleImageEffect("squish", image=await asyncio.to_thread(left.image.read_bytes))
    left.effect = given
    await left.job("order-42")
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Failed)
    with pytest.raises(ImageRejectedError, match="under the same external_task_id"):
        raise outcome.error
    assert await state_in(left.journal, "order-42") is JobState.PLANNED
    async with left.emulator.client(journal=left.journal, **QUICK) as client:
        result = await client.run(given, external_task_id="order-42")
    assert result.external_task_id == "order-42"


async def test_an_id_whose_job_was_abandoned_is_used_up(left: Left) -> None:
    await left.job("order-42")
    async with left.emulator.client(journal=left.journal, **QUICK) as client:
        await client.settle("order-42", abandon=True)
        with pytest.raises(EffectRejectedError, match="another external_task_id"):
            await client.submit(left.effect, external_task_id="order-42")
    assert left.emulator.requests["submit"] == 0


async def test_a_job_that_was_only_planned_is_submitted(left: Left) -> None:
    """Fault 24: SIGKILL before the POST."""
    await left.job("order-42")
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Done)
    assert left.emulator.ledger.accepted("order-42") == 1
    assert await state_in(left.journal, "order-42") is JobState.SUCCEEDED


@pytest.mark.parametrize("state", ["submitting", "uncertain"])
async def test_an_uncertain_job_whose_task_is_found_is_not_paid_again(
    left: Left, state: str
) -> None:
    """Fault 23: accepted, but the SIGKILL came before the journal write."""
    task_id = await left.accepted("order-42")
    await left.job("order-42", JobState.SUBMITTING, JobState(state))
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Done)
    assert outcome.result.task_id == task_id
    assert left.emulator.requests["submit"] == 1


@pytest.mark.parametrize("state", ["submitting", "uncertain"])
async def test_an_uncertain_job_that_is_proved_absent_is_submitted(left: Left, state: str) -> None:
    """Fault 24: SIGKILL between journal write and POST."""
    known = await left.accepted("known")
    steps = (JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED)
    await left.job("known", *steps, task_id=known)
    await left.job("order-42", JobState.SUBMITTING, JobState(state))
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Done)
    assert left.emulator.ledger.accepted("order-42") == 1


async def test_an_uncertain_job_that_cannot_be_settled_is_reported_and_not_sent(left: Left) -> None:
    """Fault 24: in any other case a person decides."""
    await left.job("order-42", JobState.SUBMITTING)
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, SubmissionUncertainError)
    assert left.emulator.requests["submit"] == 0
    assert await state_in(left.journal, "order-42") is JobState.UNCERTAIN


async def test_an_accepted_task_is_waited_for(left: Left) -> None:
    """Faults 25, 33: SIGKILL, or a cancel, while polling."""
    task_id = await left.accepted("order-42")
    await left.job("order-42", JobState.SUBMITTING, JobState.ACCEPTED, task_id=task_id)
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Done)
    assert outcome.result.task_id == task_id
    assert left.emulator.requests["submit"] == 1
    assert await state_in(left.journal, "order-42") is JobState.SUCCEEDED


async def test_a_succeeded_task_is_downloaded(left: Left, tmp_path: Path) -> None:
    """Fault 25: SIGKILL while downloading."""
    task_id = await left.accepted("order-42")
    steps = (JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED)
    await left.job("order-42", *steps, task_id=task_id)
    assert await left.resumed() == []
    (outcome,) = await left.resumed(tmp_path)
    assert isinstance(outcome, Done)
    assert outcome.path is not None
    assert outcome.path.read_bytes()[4:8] == b"ftyp"
    assert await state_in(left.journal, "order-42") is JobState.DOWNLOADED
    assert await left.resumed(tmp_path) == []


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_an_image_that_is_not_the_planned_one_is_not_submitted(
    left: Left, coffee: Path, is_deleted: bool
) -> None:
    """Fault 56: image changed or deleted between plan and upload."""
    await left.job("order-42")
    image = left.effect.image
    assert isinstance(image, Path)
    if is_deleted:
        image.unlink()
    else:
        image.write_bytes(coffee.read_bytes())
    (outcome,) = await left.resumed()
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ImageRejectedError)
    assert left.emulator.requests["submit"] == 0


async def test_one_failure_does_not_keep_the_others_from_their_end(left: Left) -> None:
    """Fault 20: this job fails for good, others go on."""
    for number in range(5):
        await left.job(f"order-{number}")
    left.emulator.fail_next(Fault.business_code(1301))
    outcomes = await left.resumed()
    assert [type(outcome) for outcome in outcomes].count(Done) == 4
    assert left.emulator.ledger.total == 4
    assert left.emulator.ledger.repeated() == ()


async def test_a_task_of_an_earlier_process_is_followed_once_it_is_asked_for_again(
    left: Left,
) -> None:
    task_id = await left.accepted("order-42")
    await left.job("order-42", JobState.SUBMITTING, JobState.ACCEPTED, task_id=task_id)
    async with left.emulator.client(journal=left.journal, **QUICK) as client:
        tasks = [client.submit(left.effect, external_task_id="order-42") for _ in range(3)]
        for task in await asyncio.gather(*tasks):
            assert (await task).task_id == task_id
    assert left.emulator.requests["submit"] == 1
    assert await state_in(left.journal, "order-42") is JobState.SUCCEEDED


@pytest.mark.parametrize("was_accepted", [False, True])
async def test_what_a_task_took_is_learned_where_it_was_submitted_here(
    cat: Path, tmp_path: Path, was_accepted: bool
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=120, task_seconds=60.0) as emulator:
        left = Left(emulator, tmp_path / "jobs.db", cat)
        for number in range(8):
            name = str(number)
            accepted = (JobState.SUBMITTING, JobState.ACCEPTED) if was_accepted else ()
            task_id = await left.accepted(name) if was_accepted else None
            await left.job(name, *accepted, task_id=task_id)
        async with emulator.client(journal=left.journal, **QUICK) as client:
            assert len([outcome async for outcome in client.resume()]) == 8
            task = await client.submit(left.effect)
            assert (task.expected_end is None) == was_accepted


async def test_a_client_that_is_closed_while_it_resumes_says_so(left: Left) -> None:
    """Fault 68: not that some journal is closed, which the caller never opened."""
    for number in range(6):
        await left.job(str(number))

    async def resume() -> None:
        async for _outcome in client.resume():
            pass

    one = SlotPolicy(start=1, maximum=1)  # so that the others are not read yet
    client = left.emulator.client(journal=left.journal, slots=one, **QUICK)
    async with client:
        resuming = asyncio.create_task(resume())
        await acceptance(left.emulator)
        await client.aclose()
        with pytest.raises(ClientClosedError, match="open it again"):
            await resuming
