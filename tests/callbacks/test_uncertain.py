"""A signed message about a job whose submit had no answer: it is looked up, and paid once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from kling_effects_async import (
    CallbackReceiver,
    EffectsClient,
    Event,
    JobAccepted,
    Journal,
    RetryPolicy,
    SingleImageEffect,
    SubmissionUncertainError,
    SubmitPolicy,
)
from kling_effects_async.emulator import Emulator, Fault, RepeatedId
from kling_effects_async.journal.job import JobState
from tests.support.callbacks import SECRET, a_receiver, body_of, signed
from tests.support.overheard import Overheard, a_desk, emulator_of

SQUISH, OTHER = (
    SingleImageEffect("squish", image=f"https://img.example/{name}.jpg") for name in ("a", "b")
)
ONE_TRY = RetryPolicy(attempts=1)


@frozen
class Office:
    emulator: Emulator
    client: EffectsClient
    receiver: CallbackReceiver

    async def state_of(self, external_task_id: str) -> JobState:
        job = await self.client.job(external_task_id)
        assert job is not None
        return job.state

    async def submit_without_an_answer(self, **options: Any) -> None:
        """The task is accepted, its answer is lost, and the lookup is not answered either."""
        self.emulator.fail_next(Fault.cut_after_reading(accepted=True))
        self.emulator.fail_next(Fault.html(on="query"))
        with pytest.raises(SubmissionUncertainError):
            await self.client.submit(SQUISH, external_task_id="order-1", **options)


@asynccontextmanager
async def an_office(*secrets: str, **options: Any) -> AsyncIterator[Office]:
    """The emulator's own messages, over HTTP."""
    emulated = {"webhook_secret": SECRET, "lists_tasks": False, "task_seconds": 30.0} | options
    async with (
        a_receiver(*secrets) as receiver,
        emulator_of(**emulated) as emulator,
        emulator.client(callbacks=receiver, retry=ONE_TRY) as client,
    ):
        yield Office(emulator, client, receiver)


@pytest.mark.looptime
async def test_a_signed_message_settles_an_uncertain_job() -> None:
    """Fault 60: the message proves the task, and a lookup says which it is."""
    async with an_office(SECRET) as office:
        await office.submit_without_an_answer()
        assert await office.state_of("order-1") is JobState.UNCERTAIN
        await asyncio.sleep(60)
        assert await office.state_of("order-1") is JobState.SUCCEEDED
        assert office.client.stats().uncertain == 0
        assert office.emulator.ledger.total == 1
        assert (await office.client.submit(SQUISH, external_task_id="order-1")).latest is not None
        assert office.emulator.ledger.total == 1


@pytest.mark.looptime
async def test_a_signed_message_settles_an_uncertain_job_that_is_attached_to() -> None:
    """Fault 60: whoever attached to it by its external id has no id of the task yet."""
    async with an_office(SECRET) as office:
        await office.submit_without_an_answer()
        task = office.client.attach(external_task_id="order-1")
        await asyncio.sleep(60)
        assert await office.state_of("order-1") is JobState.SUCCEEDED
        assert task.latest is not None
        assert task.latest.is_final


@pytest.mark.looptime
async def test_an_unsigned_message_settles_nothing_and_costs_no_request() -> None:
    """Fault 59: it proves nothing, so a stranger cannot make us look up job after job."""
    async with an_office() as office:
        await office.submit_without_an_answer()
        requests = sum(office.emulator.requests.values())
        await asyncio.sleep(60)
        assert office.receiver.stats.unsigned == 2
        assert sum(office.emulator.requests.values()) == requests
        assert await office.state_of("order-1") is JobState.UNCERTAIN


@pytest.mark.looptime
@pytest.mark.parametrize("on_uncertain", ["raise", "resubmit"])
async def test_a_task_that_a_signed_message_tells_of_is_never_submitted_again(
    on_uncertain: str,
) -> None:
    """Fault 60: lookups that find nothing, which would prove that it is absent, prove nothing."""
    async with (
        a_receiver(SECRET) as receiver,
        emulator_of(
            webhook_secret=SECRET,
            lists_tasks=False,
            repeated_external_id=RepeatedId.ACCEPT,
            task_seconds=30.0,
        ) as emulator,
        emulator.client(
            callbacks=receiver, submit=SubmitPolicy(on_uncertain=on_uncertain, settle_pause_s=20)
        ) as client,
    ):
        await client.run(OTHER)  # which lookups find, so that "unknown" is an answer
        emulator.fail_next(Fault.cut_after_reading(accepted=True))
        emulator.fail_next(Fault.unknown_task(), times=2)
        task = await client.submit(SQUISH, external_task_id="order-1")
        assert receiver.stats.unknown == 1  # its message came between the two lookups
        assert (emulator.ledger.total, emulator.faults_left) == (2, 0)
        assert (await task).external_task_id == "order-1"


@pytest.mark.looptime
async def test_resubmit_does_not_hold_where_a_signed_message_tells_of_the_task() -> None:
    """Fault 60: at a service whose lookups find nothing, a message is the only proof."""
    async with (
        a_receiver(SECRET) as receiver,
        emulator_of(
            webhook_secret=SECRET,
            lists_tasks=False,
            finds_external_ids=False,
            gateway_task_ids=True,  # and the id in the message is not known there either
            repeated_external_id=RepeatedId.ACCEPT,
        ) as emulator,
        emulator.client(
            callbacks=receiver, submit=SubmitPolicy(on_uncertain="resubmit", settle_pause_s=30)
        ) as client,
    ):
        emulator.fail_next(Fault.cut_after_reading(accepted=True))
        with pytest.raises(SubmissionUncertainError):
            await client.submit(SQUISH, external_task_id="order-1")
        assert receiver.stats.unknown == 1
        assert emulator.ledger.total == 1


@pytest.mark.looptime
@pytest.mark.parametrize("named", ["order-1", "order-2"])
async def test_a_service_that_finds_no_external_ids_is_asked_for_the_id_in_the_message(
    named: str,
) -> None:
    """Fault 60: and what it has under that id must say that it is the job's."""
    async with a_desk(SECRET, finds_external_ids=False, lists_tasks=False) as desk:
        desk.emulator.fail_next(Fault.cut_after_reading(accepted=True))
        with pytest.raises(SubmissionUncertainError):
            await desk.client.submit(SQUISH, external_task_id="order-1")
        await desk.client.submit(OTHER, external_task_id="order-2")
        paid = {entry.external_task_id: entry.task_id for entry in desk.emulator.ledger.entries}
        await desk.receiver.send_signed(body_of(paid[named], "processing", name="order-1"))
        await asyncio.sleep(20)
        job = await desk.client.job("order-1")
        assert job is not None
        if named == "order-1":
            assert (job.state, job.task_id) == (JobState.ACCEPTED, paid["order-1"])
        else:
            assert (job.state, job.task_id) == (JobState.UNCERTAIN, None)
        assert desk.emulator.ledger.total == 2


@pytest.mark.looptime
async def test_a_lookup_that_fails_leaves_the_job_uncertain_until_the_next_message() -> None:
    async with an_office(SECRET) as office:
        await office.submit_without_an_answer()
        office.emulator.fail_next(Fault.html(on="query"), times=2)  # by either id
        await asyncio.sleep(20)  # the first message of two
        assert office.receiver.stats.signed == 1
        assert office.emulator.faults_left == 0
        assert await office.state_of("order-1") is JobState.UNCERTAIN
        await asyncio.sleep(20)
        assert await office.state_of("order-1") is JobState.SUCCEEDED


@pytest.mark.looptime
async def test_a_message_about_nobodys_job_costs_no_request() -> None:
    async with a_desk(SECRET) as desk:
        task = await desk.client.submit(SQUISH, external_task_id="order-1")
        await task
        requests = sum(desk.emulator.requests.values())
        for number, name in enumerate(["order-1", "order-2"]):
            body = body_of("t9", name=name)
            await desk.receiver.send(body, signed(body, message_id=str(number)))
        await asyncio.sleep(30)
        assert sum(desk.emulator.requests.values()) == requests


async def test_one_of_the_clients_of_a_journal_settles_the_job(tmp_path: Path) -> None:
    """Both hear the message; the task takes one slot, and is followed once."""
    receiver, settled = Overheard(SECRET), asyncio.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, JobAccepted) and event.external_task_id == "order-1":
            settled.set()

    async with (
        emulator_of(lists_tasks=False, task_seconds=3600.0) as emulator,
        Journal(tmp_path / "jobs.db") as journal,
        emulator.client(
            callbacks=receiver, journal=journal, retry=ONE_TRY, on_event=on_event
        ) as first,
        emulator.client(
            callbacks=receiver, journal=journal, retry=ONE_TRY, on_event=on_event
        ) as second,
    ):
        running = await second.submit(OTHER)
        emulator.fail_next(Fault.cut_after_reading(accepted=True))
        emulator.fail_next(Fault.html(on="query"))
        with pytest.raises(SubmissionUncertainError):
            await first.submit(SQUISH, external_task_id="order-1")
        await receiver.send_signed(body_of("t1", "processing", name="order-1"))
        await settled.wait()
        job = await first.job("order-1")
        assert job is not None
        assert job.state is JobState.ACCEPTED
        await second.attach(external_task_id="order-1").refresh()
        assert first.stats().running + second.stats().running == 2
        assert running.task_id != job.task_id
        assert emulator.ledger.total == 2


@pytest.mark.looptime
async def test_a_client_that_is_closed_settles_nothing_more() -> None:
    """A message that comes last starts no lookup that the closing would wait for."""
    receiver = Overheard(SECRET)
    async with emulator_of(lists_tasks=False) as emulator:
        client = emulator.client(callbacks=receiver, submit=SubmitPolicy(cancel_grace_s=1))
        async with client:
            emulator.fail_next(Fault.silence(accepted=True))
            submitting = asyncio.ensure_future(client.submit(SQUISH, external_task_id="order-1"))
            await asyncio.sleep(1)
            body = body_of("t1", name="order-1")
            await receiver.send(body, signed(body))
            await asyncio.sleep(0)
        assert emulator.requests["query"] == 0
        with pytest.raises(SubmissionUncertainError):
            await submitting
