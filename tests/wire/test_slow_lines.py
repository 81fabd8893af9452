"""Connections that are slow, stand still, repeat themselves, or never come about."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from kling_effects_async import (
    BearerToken,
    EffectsClient,
    KlingEffectsError,
    NetworkError,
    RetryPolicy,
    Service,
    SingleImageEffect,
    SlotPolicy,
    SubmitPolicy,
)
from kling_effects_async.emulator import Emulator
from kling_effects_async.journal.job import JobState
from tests.support.fault_proxy import (
    CARRIED,
    Ending,
    FaultProxy,
    Flow,
    Line,
    client_through,
    cut_answer,
    cut_request,
    positions,
)
from tests.support.submits import SQUISH, seconds_taken, told_about

pytestmark = pytest.mark.looptime

QUICK_TIMEOUTS = RetryPolicy(submit_timeout_s=40, answer_timeout_s=8)


# -- no connection


class FailingResolver(AbstractResolver):
    """Knows no name at first, and then that each is this machine."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        if self.failures > 0:
            self.failures -= 1
            raise OSError(-2, "Name or service not known")
        address = "127.0.0.1"
        return [ResolveResult(hostname=host, host=address, port=port, family=2, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("failures", [3, 1_000])
async def test_a_name_that_is_not_resolved_was_sent_nothing(
    proxy: FaultProxy, emulator: Emulator, failures: int
) -> None:
    """Fault 1: tried again within the deadline; then an error, and the job is planned."""
    resolver = FailingResolver(failures)
    service = Service.gateway(proxy.url.replace("127.0.0.1", "localhost"))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver)) as session,
        EffectsClient(BearerToken(emulator.api_key), service=service, session=session) as client,
    ):
        if failures == 3:
            await client.submit(SQUISH, external_task_id="order-42")
        else:
            with pytest.raises(NetworkError, match="no connection to") as caught:
                await client.submit(SQUISH, external_task_id="order-42")
            assert caught.value.sent is False
            resolver.failures = 0
            await client.submit(SQUISH, external_task_id="order-42")
    assert emulator.ledger.accepted("order-42") == emulator.requests["submit"] == 1


async def test_a_service_that_is_away_for_seconds_is_paid_once(emulator: Emulator) -> None:
    """Fault 2: connection refused, until it is back on the same port."""
    async with FaultProxy(emulator.url) as gone:
        port = int(gone.url[-5:])
    service = Service.gateway(gone_url := f"http://127.0.0.1:{port}")
    async with EffectsClient(BearerToken(emulator.api_key), service=service) as client:
        with pytest.raises(NetworkError) as caught:
            await client.submit(SQUISH, external_task_id="order-42")
        assert caught.value.sent is False
        running = asyncio.ensure_future(client.submit(SQUISH, external_task_id="order-42"))
        await asyncio.sleep(2)
        async with FaultProxy(emulator.url, port=port) as back:
            await running
            assert back.url == gone_url
    assert emulator.ledger.accepted("order-42") == 1


async def test_the_wait_for_a_connection_of_ours_is_no_failure(
    proxy: FaultProxy, emulator: Emulator
) -> None:
    """Fault 5: of 200 submits of 30 s each some wait for a connection, beside their own limit."""
    proxy.always = Line(answer=Flow(delay_s=30))
    async with client_through(
        proxy, emulator, retry=QUICK_TIMEOUTS, slots=SlotPolicy(start=500)
    ) as client:
        names = [f"order-{number}" for number in range(200)]
        await asyncio.gather(*[client.submit(SQUISH, external_task_id=name) for name in names])
    assert len(proxy.connections) < 100
    assert emulator.ledger.total == emulator.requests["submit"] == 200


# -- slow


@pytest.mark.parametrize(
    "slow",
    [
        Line(answer=Flow(delay_s=1e6)),
        Line(answer=Flow(piece_bytes=1, every_s=1)),
        Line(answer=Flow(passes_bytes=0, ending=Ending.STALL)),
        Line(answer=Flow(passes_bytes=100, ending=Ending.STALL)),
        Line(request=Flow(passes_bytes=100, ending=Ending.STALL)),
        Line(request=Flow(piece_bytes=1, every_s=1)),
    ],
    ids=["late", "dripping", "silent", "half", "half sent", "request dripping"],
)
async def test_a_submit_on_a_slow_line_ends_in_time_and_is_paid_once(
    proxy: FaultProxy, emulator: Emulator, slow: Line
) -> None:
    """Fault 45: one byte a second keeps no limit off."""
    async with client_through(proxy, emulator, retry=QUICK_TIMEOUTS) as client:
        await client.submit(SQUISH, external_task_id="known")
        await proxy.hang_up()
        proxy.next(slow)
        began_at = asyncio.get_running_loop().time()
        told = await told_about(client, "order-42")
        # The limit of the try, and a second lookup that comes as much later as the answer was lost.
        assert 40 <= asyncio.get_running_loop().time() - began_at < 40 + 40 + 10
        is_paid = emulator.ledger.accepted("order-42") == 1
        assert told is (JobState.ACCEPTED if is_paid else JobState.PLANNED)
        assert await told_about(client, "order-42") is JobState.ACCEPTED
    assert emulator.ledger.accepted("order-42") == 1


async def test_a_large_upload_that_nobody_reads_ends_in_time(
    proxy: FaultProxy, emulator: Emulator, cat: Path
) -> None:
    """Faults 6, 45: more than the kernel takes without a reader."""
    effect = SingleImageEffect("squish", image=cat.read_bytes() + bytes(9 * 2**20))
    async with client_through(proxy, emulator, retry=QUICK_TIMEOUTS) as client:
        await client.submit(SQUISH, external_task_id="known")
        await proxy.hang_up()
        proxy.next(Line(request=Flow(passes_bytes=10_000, ending=Ending.STALL)))
        assert await told_about(client, "order-42", effect) is JobState.PLANNED
        assert len(proxy.connections[1].request) == 10_000
        assert await told_about(client, "order-42", effect) is JobState.ACCEPTED
    assert emulator.ledger.accepted("order-42") == 1


@pytest.mark.parametrize("at", [0, 100, 400])
async def test_a_wait_goes_on_over_polls_that_stand_still(
    proxy: FaultProxy, emulator: Emulator, at: int
) -> None:
    """Fault 45: each poll has a limit of its own."""
    async with client_through(proxy, emulator, retry=QUICK_TIMEOUTS) as client:
        task = await client.submit(SQUISH)
        await proxy.hang_up()
        proxy.next(*[cut_answer(at, Ending.STALL), cut_request(at // 2, Ending.STALL)] * 2)
        assert (await task).task_id == task.task_id
        assert not proxy.script
    assert emulator.ledger.total == 1


async def test_a_download_that_stands_still_or_drips_is_begun_anew(
    proxy: FaultProxy, emulator: Emulator, tmp_path: Path
) -> None:
    """Fault 45: less than a kilobyte a second for a minute."""
    async with client_through(proxy, emulator) as client:
        video = (await client.run(SQUISH)).video
        whole = await client.download(video, tmp_path / "whole.mp4")
        answer = bytes(proxy.connections[-1].answer)
        drips = Line(answer=Flow(piece_bytes=10, every_s=1))
        stalls = [cut_answer(at, Ending.STALL) for at in positions(answer, 4)[:-1]]
        for number, line in enumerate([drips, *stalls]):
            await proxy.hang_up()
            proxy.next(line)
            path = tmp_path / f"{number}.mp4"
            assert 60 <= await seconds_taken(client.download(video, path)) < 65, line
            assert path.read_bytes() == whole.read_bytes(), line


# -- twice

TWICE = [0.0, 0.5, 20.0]


@pytest.mark.parametrize("again_s", [0.0, 0.5, 20.0])
@pytest.mark.parametrize("flow", ["answer", "request"])
async def test_what_comes_twice_is_paid_once_and_mixes_no_results(
    proxy: FaultProxy, emulator: Emulator, flow: str, again_s: float
) -> None:
    """Faults 21, 42, 89: each answer may be that of a request before, whatever it says."""
    names = [f"order-{number}" for number in range(8)]
    twice = Flow(repeats_after_s=again_s)
    proxy.always = Line(answer=twice) if flow == "answer" else Line(request=twice)
    adopts = SubmitPolicy(on_taken="adopt")
    async with client_through(proxy, emulator, retry=QUICK_TIMEOUTS, submit=adopts) as client:
        for name in names:
            with suppress(KlingEffectsError):  # the lookups may get no answers of their own
                task = await client.submit(SQUISH, external_task_id=name)
                assert task.task_id == task_ids(emulator)[name]
        proxy.always = CARRIED
        await proxy.hang_up()
        tasks = [await client.submit(SQUISH, external_task_id=name) for name in names]
        results = await asyncio.gather(*tasks)
    assert {name: each.task_id for name, each in zip(names, results, strict=True)} == (
        task_ids(emulator)
    )
    assert emulator.ledger.total == len(names)


def task_ids(emulator: Emulator) -> dict[str | None, str]:
    """What the service has accepted, by external id."""
    return {entry.external_task_id: entry.task_id for entry in emulator.ledger.entries}
