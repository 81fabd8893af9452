"""Submits that never arrive, and journals that cannot be written."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from kling_effects_async import (
    BearerToken,
    EffectRejectedError,
    EffectsClient,
    JournalBusyError,
    JournalError,
    JournalFullError,
    NetworkError,
    RetryPolicy,
    Service,
    SlotPolicy,
    SubmissionUncertainError,
)
from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.journal.job import JobState, JobUpdate
from kling_effects_async.journal.store import MemoryStore
from tests.support.paid_service import ACCOUNT, Bench, Failure, a_job, lost
from tests.support.submits import QUICK, SQUISH, seconds_taken, state_in

# -- nothing arrived


class NoSuchHost(AbstractResolver):
    """A resolver that knows no name."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        raise OSError(f"no such host: {host}")

    async def close(self) -> None:
        """Nothing to close."""


async def test_without_the_services_address_a_job_is_tried_and_stays_planned(
    tmp_path: Path,
) -> None:
    """Fault 1: DNS failure before submit."""
    resolver = NoSuchHost()
    service = Service.gateway("https://kling.invalid")
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        EffectsClient(
            BearerToken("test-key"),
            service=service,
            session=session,
            journal=tmp_path / "jobs.db",
            **QUICK,
        ) as client,
    ):
        with pytest.raises(NetworkError) as caught:
            await client.submit(SQUISH, external_task_id="order-42")
    assert caught.value.sent is False
    assert resolver.asked == 3
    assert await state_in(tmp_path / "jobs.db", "order-42") is JobState.PLANNED


async def test_a_rejected_connection_leaves_the_job_planned(tmp_path: Path) -> None:
    """Fault 2: connection refused."""
    service = Service.gateway("http://127.0.0.1:1")
    journal = tmp_path / "jobs.db"
    async with EffectsClient(
        BearerToken("test-key"), service=service, journal=journal, **QUICK
    ) as client:
        with pytest.raises(NetworkError) as caught:
            await client.submit(SQUISH, external_task_id="order-42")
    assert caught.value.sent is False
    assert await state_in(journal, "order-42") is JobState.PLANNED


@pytest.mark.looptime
async def test_what_surely_did_not_arrive_is_tried_again_after_growing_pauses() -> None:
    """Faults 1, 2, 4: surely not sent."""
    bench = Bench()
    rejected = Failure(error=NetworkError("rejected", sent=False))
    bench.service.script.extend([rejected] * 4)
    assert await seconds_taken(bench.submit("a")) == pytest.approx(0.75 * (0.5 + 1 + 2 + 4))
    assert bench.service.total == 1


@pytest.mark.looptime
async def test_the_span_of_tries_begins_with_the_first_try_and_not_in_line() -> None:
    bench = Bench(slots=SlotPolicy(start=1, maximum=1), retry=RetryPolicy(max_elapsed_s=60))
    await bench.submit("first")
    submit = asyncio.ensure_future(bench.submit("a"))
    await asyncio.sleep(600)
    bench.service.script.append(Failure(error=NetworkError("rejected", sent=False)))
    bench.end("t0")
    assert (await submit).state is JobState.ACCEPTED


# -- the journal


class FullStore(MemoryStore):
    """A journal whose disk has room for so many more moves."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    async def move(self, *given: Any, **named: Any) -> None:
        self.room -= 1
        if self.room < 0:
            raise JournalFullError("no room")
        await super().move(*given, **named)


async def test_what_cannot_be_written_down_is_not_sent() -> None:
    """Fault 28: journal disk full."""
    bench = Bench(store=FullStore(room=0))
    with pytest.raises(JournalFullError):
        await bench.submit("a")
    assert bench.service.posts == []
    assert bench.slots.held == 0


async def test_a_task_accepted_when_the_disk_is_full_is_known_all_the_same() -> None:
    """Fault 28: go on in memory."""
    bench = Bench(store=FullStore(room=1))
    job = await bench.submit("a")
    assert (job.state, job.task_id) == (JobState.ACCEPTED, "t0")
    assert list(bench.held_slots) == ["t0"]
    assert await bench.state("a") is JobState.SUBMITTING  # a restart looks for it


@pytest.mark.looptime
async def test_a_lost_answer_is_told_also_when_the_disk_is_full() -> None:
    """Fault 28: "nothing was written" must not be read as "nothing was sent"."""
    bench = Bench(store=FullStore(room=1))
    bench.service.script.append(lost(is_accepted=True))
    bench.service.answers_lookups = False
    with pytest.raises(SubmissionUncertainError):
        await bench.submit("a")
    assert await bench.state("a") is JobState.SUBMITTING


@pytest.mark.looptime
async def test_a_lost_answer_is_found_also_when_the_disk_is_full() -> None:
    """Fault 28: go on in memory."""
    bench = Bench(store=FullStore(room=1))
    bench.service.script.append(lost(is_accepted=True))
    assert (await bench.submit("a")).task_id == "t0"
    assert bench.service.posts == ["a"]


async def test_waits_go_on_when_the_journals_disk_is_full(tmp_path: Path) -> None:
    """Fault 28: journal disk full: submit nothing, go on polling."""
    resource = pytest.importorskip("resource")
    async with (
        Emulator(clips=Clips.STOCK, speed=600, task_seconds=30.0) as emulator,
        emulator.client(journal=tmp_path / "jobs.db", **QUICK) as client,
    ):
        task = await client.submit(SQUISH)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
        try:
            with pytest.raises(JournalError):
                await client.submit(SQUISH)
            assert (await task).videos
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert (await client.submit(SQUISH)).task_id
        assert emulator.requests["submit"] == 2


async def test_two_clients_do_not_share_a_journal(tmp_path: Path) -> None:
    """Fault 29: two processes on one journal."""
    options = QUICK | {"journal": tmp_path / "jobs.db"}
    async with (
        Emulator(clips=Clips.STOCK, speed=600) as emulator,
        emulator.client(**options) as first,
    ):
        with pytest.raises(JournalBusyError):
            await emulator.client(**options).__aenter__()
        assert (await first.submit(SQUISH)).task_id


async def test_a_job_that_was_abandoned_is_not_sent() -> None:
    bench = Bench()
    await bench.store.add(a_job("a"))
    await bench.store.move(ACCOUNT, "a", JobUpdate(JobState.ABANDONED))
    with pytest.raises(EffectRejectedError, match="abandoned"):
        await bench.submit("a")
    assert bench.service.posts == []


async def test_a_job_that_was_settled_meanwhile_is_not_settled_again() -> None:
    bench = Bench()
    await bench.store.add(a_job("a"))
    await bench.store.move(ACCOUNT, "a", JobUpdate(JobState.SUBMITTING))
    stale = await bench.store.add(a_job("a"))
    bench.service.accept("a")
    first, second = await asyncio.gather(*(bench.submitter.settle(stale) for _ in range(2)))
    assert first.task_id == second.task_id == "t0"
    assert bench.slots.held == 1
