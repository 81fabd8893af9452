"""What an emulator holds is bounded in number, in bytes and in time."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from kling_effects_async.emulator import Clips, Emulator, Ledger, LedgerEntry
from tests.support.callback_inbox import a_silent_receiver
from tests.support.emulator_caller import GATEWAY, Caller, calling


@asynccontextmanager
async def connected(
    emulator: Emulator,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = emulator.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


def head(emulator: Emulator, method: str = "GET", *lines: str) -> bytes:
    own = (f"{method} {GATEWAY} HTTP/1.1", "Host: 127.0.0.1")
    key = f"Authorization: Bearer {emulator.api_key}"
    return "\r\n".join([*own, key, *lines, "", ""]).encode()


async def test_the_oldest_finished_tasks_make_room_for_new_ones() -> None:
    """Fault 95: ten tasks where three are kept; the ledger counts all ten."""
    emulator = Emulator(clips=Clips.STOCK, speed=1e9, max_tasks=3)
    async with emulator, calling(emulator) as caller:
        ids = [await caller.new_task_id(external_task_id=f"order-{n}") for n in range(10)]
        listed = (await caller.list()).task
        assert [task["task_id"] for task in listed] == ids[:6:-1]
        assert (await caller.query(ids[0])).json["code"] == 1201
        assert (await caller.query("order-0")).json["code"] == 1201
        assert (await caller.query("order-9")).task["task_id"] == ids[9]
    assert emulator.ledger.total == 10
    assert [entry.task_id for entry in emulator.ledger.entries] == ids[7:]
    assert (emulator.ledger.accepted("order-0"), emulator.ledger.accepted("order-9")) == (0, 1)


@pytest.mark.looptime
async def test_an_unfinished_task_never_makes_room() -> None:
    """Fault 95: what is under way was paid and is kept; one more is rejected and not charged."""
    async with (
        Emulator(clips=Clips.STOCK, max_tasks=2, task_seconds=lambda scene: 60.0) as emulator,
        calling(emulator) as caller,
    ):
        first = await caller.new_task_id()
        await asyncio.sleep(30)
        second = await caller.new_task_id()
        rejected = await caller.submit()
        assert (rejected.status, rejected.json["code"]) == (429, 1303)
        await asyncio.sleep(40)
        third = await caller.new_task_id()
        assert [task["task_id"] for task in (await caller.list()).task] == [third, second]
        assert (await caller.query(first)).json["code"] == 1201
        assert emulator.ledger.total == 3


def test_a_ledger_counts_tasks_whose_entries_are_gone() -> None:
    """Fault 95: bounded, and exact about what was paid twice all the same."""
    ledger = Ledger(10)
    for number in range(1000):
        for name in (f"order-{number}", "order-0"):
            ledger.enter(
                LedgerEntry(
                    task_id=str(number), external_task_id=name, effect_scene="hug", accepted_at_ms=0
                )
            )
    assert (ledger.total, len(ledger.entries)) == (2000, 10)
    assert ledger.repeated() == ("order-0",)
    assert (ledger.accepted("order-0"), ledger.accepted("order-999")) == (1001, 1)
    twice = Ledger(10)
    for number in range(1000):
        for name in (f"order-{number}",) * 2:
            twice.enter(
                LedgerEntry(
                    task_id=str(number), external_task_id=name, effect_scene="hug", accepted_at_ms=0
                )
            )
    assert len(twice.repeated()) == 20


async def test_the_oldest_rendered_clips_make_room_for_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 95: a folder of one byte has the newest clip, and the others' addresses are 404."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    emulator = Emulator(clips=Clips.TEST, speed=1e9, max_clip_bytes=1)
    async with emulator, calling(emulator) as caller:
        urls = [await _rendered(caller) for _ in range(3)]
        assert len(list(tmp_path.glob("kling-emulator-*/*.mp4"))) == 1
        assert [(await caller.send("GET", url)).status for url in urls] == [404, 404, 200]


async def test_pictures_that_wait_to_be_rendered_are_bounded() -> None:
    """Fault 95: the pictures of every request under way are in memory."""
    emulator = Emulator(clips=Clips.TEST, speed=1e9, max_clip_bytes=1)
    async with emulator, calling(emulator) as caller:
        assert (await caller.submit()).status == 200
        assert (await caller.submit()).json["code"] == 1303
        assert emulator.ledger.total == 1


async def _rendered(caller: Caller) -> str:
    task_id = await caller.new_task_id()
    while (task := (await caller.query(task_id)).task)["task_status"] == "processing":
        pass
    url: str = task["task_result"]["videos"][0]["url"]
    return url


@pytest.mark.looptime
async def test_callbacks_to_a_receiver_that_never_answers_do_not_pile_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Faults 62, 95: those of two tasks wait, and the log names each of the others."""
    async with (
        a_silent_receiver() as (url, _held),
        Emulator(clips=Clips.STOCK, speed=1e9, max_tasks=1) as emulator,
        calling(emulator) as caller,
    ):
        for _ in range(6):
            await caller.submit(callback_url=url)
            await asyncio.sleep(0.1)  # at this speed it is finished
        logged = [record for record in caplog.records if "too many callbacks" in record.message]
        assert (emulator.ledger.total, len(logged)) == (6, 4)


@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_one_connection_too_many_is_answered_and_the_others_go_on(loops: str) -> None:
    """Fault 95: 503 to the third; the first two are answered, and leave room when they go."""
    new_loop = pytest.importorskip(loops).new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_connect_once_too_often())


async def _connect_once_too_often() -> None:
    async with Emulator(clips=Clips.STOCK, max_connections=2) as emulator:
        async with AsyncExitStack() as exits:
            callers = [await exits.enter_async_context(connected(emulator)) for _ in range(2)]
            async with connected(emulator) as (reader, _writer):
                async with asyncio.timeout(10):  # else a connection without a bound waits for ever
                    assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
            for reader, writer in callers:
                writer.write(head(emulator))
                assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        while True:  # until the emulator has seen that they are gone
            async with connected(emulator) as (reader, writer):
                writer.write(head(emulator, "GET", "Connection: close"))
                # A request on its way to a full emulator may meet a reset before the 503 is read.
                with contextlib.suppress(ConnectionResetError):
                    if (await reader.read()).startswith(b"HTTP/1.1 200 "):
                        break
        assert emulator.ledger.total == 0


@pytest.mark.looptime
@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    """Fault 95: nothing, half a line, half a head."""
    loop = asyncio.get_running_loop()
    async with Emulator(clips=Clips.STOCK) as emulator, connected(emulator) as (reader, writer):
        start_s = loop.time()
        writer.write(sent)
        assert await reader.read() == b""
        assert 70 < loop.time() - start_s < 80


@pytest.mark.looptime
async def test_a_head_that_trickles_in_ends_the_connection_as_soon() -> None:
    """Fault 95: a byte every ten seconds does not put the end off, nor after a first request."""
    loop = asyncio.get_running_loop()
    async with Emulator(clips=Clips.STOCK) as emulator, connected(emulator) as (reader, writer):
        writer.write(head(emulator, "HEAD"))
        await reader.readuntil(b"\r\n\r\n")
        start_s = loop.time()
        reading = asyncio.create_task(reader.read())
        for byte in b"GET / HTTP/1.1":
            if reading.done():
                break
            writer.write(bytes([byte]))
            await asyncio.wait([reading], timeout=10)
        assert reading.done()
        assert loop.time() - start_s < 90


@pytest.mark.looptime
async def test_a_body_that_waits_for_a_slot_is_rejected_in_the_end() -> None:
    """Fault 95: of sixty half-sent large bodies, three times sixteen get a slot for two minutes."""
    loop = asyncio.get_running_loop()
    large = ["Content-Type: application/json", "Content-Length: 20000000"]
    async with Emulator(clips=Clips.STOCK) as emulator, AsyncExitStack() as exits:
        start_s = loop.time()
        callers = [await exits.enter_async_context(connected(emulator)) for _ in range(60)]
        for _, writer in callers:
            writer.write(head(emulator, "POST", *large) + b"{")
        statuses = Counter([(await reader.readline())[9:12] for reader, _ in callers])
        assert statuses == {b"408": 48, b"429": 12}
        assert 350 < loop.time() - start_s < 370
        assert emulator.ledger.total == 0


@pytest.mark.looptime
async def test_an_answer_that_nobody_reads_is_dropped() -> None:
    """Fault 95: more answers than the kernel buffers, requested and never read."""
    loop = asyncio.get_running_loop()
    async with Emulator(clips=Clips.STOCK, speed=1e9) as emulator:
        async with calling(emulator) as caller:
            for number in range(100):
                await caller.new_task_id(external_task_id=f"{number:0200}")
        async with connected(emulator) as (_reader, writer):
            transport = writer.transport
            assert isinstance(transport, asyncio.ReadTransport)
            transport.pause_reading()
            start_s = loop.time()
            with pytest.raises(ConnectionError):
                await _never_read(writer, head(emulator).replace(b" HTTP", b"?pageSize=500 HTTP"))
            assert 115 < loop.time() - start_s < 135


async def _never_read(writer: asyncio.StreamWriter, request: bytes) -> None:
    for _ in range(400):
        writer.write(request * 100)
        await asyncio.wait_for(writer.drain(), 300)
        await asyncio.sleep(1)
