"""Callbacks: who gets which message when, and what a receiver can do to the others."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

import pytest
from aiohttp import web

from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.emulator.callback_lanes import Lanes
from kling_effects_async.emulator.callback_sender import CallbackSender
from kling_effects_async.emulator.emulated_clock import EmulatedClock
from kling_effects_async.emulator.emulator_settings import EmulatorSettings
from kling_effects_async.emulator.fault_queues import FaultQueues
from kling_effects_async.emulator.loopback import is_loopback_url
from kling_effects_async.emulator.sent_callbacks import SentCallbacks
from kling_effects_async.emulator.submit_request import SubmitRequest
from kling_effects_async.emulator.tasks import Clip, Life, Task
from tests.support.callback_inbox import a_silent_receiver, an_inbox
from tests.support.emulator_caller import calling, single, stock, with_input


@pytest.mark.looptime
async def test_each_change_of_status_is_one_message_without_envelope() -> None:
    async with (
        an_inbox() as inbox,
        Emulator(clips=Clips.STOCK) as emulator,
        calling(emulator) as caller,
    ):
        task_id = await caller.new_task_id(callback_url=inbox.url, external_task_id="order-42")
        await asyncio.sleep(3600)
        first, last = await inbox.wait_for(2)
        assert len(inbox.bodies) == 2
    assert (first["task_status"], first["task_result"]) == ("processing", {})
    assert (last["task_status"], last["final_unit_deduction"]) == ("succeed", "2")
    assert last["task_result"]["videos"][0]["url"].startswith("http:")
    assert last["task_id"] == first["task_id"] == task_id
    assert last["task_info"] == {"external_task_id": "order-42"}
    assert first["created_at"] < first["updated_at"] < last["updated_at"]


async def test_a_failed_task_is_reported_with_its_reason() -> None:
    async with (
        an_inbox() as inbox,
        Emulator(clips=Clips.STOCK, speed=1e6) as emulator,
        calling(emulator) as caller,
    ):
        await caller.submit(with_input(single(callback_url=inbox.url), image="AAAA"))
        last = (await inbox.wait_for(2))[1]
    assert (last["task_status"], last["task_status_msg"]) == ("failed", "Image pixel is invalid")


@pytest.mark.looptime
async def test_an_address_elsewhere_is_ignored_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault 60: an emulator sends nothing off this machine."""
    with caplog.at_level(logging.WARNING):
        async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
            answer = await caller.submit(callback_url="https://cb.example/secret-path")
            await asyncio.sleep(3600)
    assert answer.status == 200
    assert ["not on this machine" in line for line in caplog.messages] == [True]
    assert "secret-path" not in caplog.text


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1/nobody", "a%3Ab@127.0.0.1:1/", "%E2%82%AC@127.0.0.1:1/"],
    ids=["nobody listens", "a colon in the name", "no latin-1 in the name"],
)
async def test_an_address_that_takes_nothing_does_not_stop_the_next_message(address: str) -> None:
    """Fault 62: a receiver that is gone, or a name that cannot be sent."""
    async with (
        an_inbox() as inbox,
        Emulator(clips=Clips.STOCK, speed=1e6) as emulator,
        calling(emulator) as caller,
    ):
        await caller.submit(callback_url=f"http://{address}")
        await caller.submit(callback_url=inbox.url)
        async with asyncio.timeout(10):
            assert len(await inbox.wait_for(2)) == 2


@pytest.mark.looptime
@pytest.mark.parametrize("status", [302, 307, 429, 500])
async def test_a_message_is_sent_once_whatever_it_is_answered(status: int) -> None:
    """Fault 60: not again after a rejection, and not elsewhere after a redirect."""
    async with (
        an_inbox() as inbox,
        an_inbox() as elsewhere,
        Emulator(clips=Clips.STOCK) as emulator,
        calling(emulator) as caller,
    ):
        moved = {"Location": elsewhere.url, "Retry-After": "1"}
        inbox.answers = [web.Response(status=status, headers=moved) for _ in range(2)]
        await caller.submit(callback_url=inbox.url)
        await asyncio.sleep(3600)
        assert (len(inbox.bodies), elsewhere.bodies) == (2, [])


@pytest.mark.looptime
@pytest.mark.parametrize(("failure", "word"), [("", "succeed"), ("no room", "failed")])
async def test_the_end_is_told_when_the_clip_is_ready(failure: str, word: str) -> None:
    """The planned end is at ten seconds; the clip is rendered, or is not, after a minute."""
    clip = Clip()
    async with an_inbox() as inbox:
        clock = EmulatedClock(1.0, time.time)
        sender = CallbackSender(clock, EmulatorSettings(), FaultQueues(), SentCallbacks())
        now_s = clock.now_s()
        sender.watch(
            Task(
                task_id="1",
                request=SubmitRequest(
                    effect_scene="squish",
                    images=(),
                    duration_s=5,
                    callback_url=inbox.url,
                    external_task_id=None,
                ),
                life=Life(accepted_s=now_s, starts_s=now_s + 1, ends_s=now_s + 10),
                clip=clip,
                units="2",
                video_id="2",
                video_url="http://127.0.0.1:1/media/1.mp4",
            )
        )
        await asyncio.sleep(60)
        assert inbox.statuses == ["processing"]
        clip.finish(clock.now_s(), failure=failure, content=b"" if failure else b"a clip")
        await asyncio.sleep(1)
        assert inbox.statuses == ["processing", word]
        assert sender.waiting == 0
        await sender.close()


@pytest.mark.looptime
async def test_a_receiver_that_never_answers_holds_its_own_messages_for_five_seconds() -> None:
    """Fault 62: a slow receiver; a task's end comes after its start, and nobody else waits."""
    loop = asyncio.get_running_loop()
    async with (
        an_inbox() as inbox,
        a_silent_receiver() as (silent_url, held),
        stock(task_seconds=1.0) as emulator,
        calling(emulator) as caller,
    ):
        began_at = loop.time()
        for _ in range(40):
            await caller.submit(callback_url=silent_url)
        await caller.submit(callback_url=inbox.url)
        await inbox.wait_for(2)
        assert loop.time() - began_at < 1.5
        await asyncio.sleep(100)
        assert len(held) == 80
        silenced = [sent for sent in emulator.callbacks.entries if sent.http_status is None]
    assert {sent.failure for sent in silenced} == {"TimeoutError"}
    # Sixteen at a time for five seconds each: 80 messages in five rounds.
    assert 24 < max(sent.lag_s for sent in silenced) < 26


@pytest.mark.looptime
async def test_an_emulator_that_ends_leaves_no_message_under_way() -> None:
    async with a_silent_receiver() as (silent_url, held):
        before = asyncio.all_tasks()
        async with stock(task_seconds=1.0) as emulator, calling(emulator) as caller:
            await caller.submit(callback_url=silent_url)
            await asyncio.sleep(2)
            assert len(held) == 1
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert emulator.callbacks.total == 0  # nothing is sent, or has failed, after the end


@pytest.mark.looptime
async def test_a_receiver_gets_sixteen_messages_at_a_time_and_every_task_in_order() -> None:
    """Fault 62: a receiver that takes a second for each."""
    async with (
        an_inbox() as inbox,
        stock(task_seconds=5.0) as emulator,
        calling(emulator) as caller,
    ):
        inbox.pause_s = 1.0
        for _ in range(48):
            await caller.submit(callback_url=inbox.url)
        await asyncio.sleep(100)
        assert (inbox.max_busy, len(inbox.bodies), emulator.callbacks.delivered) == (16, 96, 96)
    words: dict[str, list[str]] = {}
    for body in inbox.messages:
        words.setdefault(body["task_id"], []).append(body["task_status"])
    assert list(words.values()) == [["processing", "succeed"]] * 48


async def test_the_senders_of_all_receivers_together_are_bounded() -> None:
    """Fault 62: many receivers that hang; the connections of a process are not endless."""
    busy = most = 0
    ended: list[int] = []
    all_ended = asyncio.Event()

    async def send(number: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1
        ended.append(number)
        if len(ended) == 600:
            all_ended.set()

    lanes = Lanes(send)
    for number in range(600):
        lanes.add(number % 20, number, number)
    await all_ended.wait()
    assert (most, lanes.waiting) == (64, 0)
    await lanes.close()


async def test_an_answer_without_an_end_is_not_read() -> None:
    """Fault 62: a huge body. What no kernel buffers is refused, and the next message is sent."""
    sent_mib: list[int] = []
    ended = asyncio.Semaphore(0)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        sent_mib.append(0)
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(2**20))
                await writer.drain()
                sent_mib[-1] += 1
        ended.release()

    async with (
        an_inbox() as inbox,
        await asyncio.start_server(flood, "127.0.0.1") as flooding,
        Emulator(clips=Clips.STOCK, speed=1e6) as emulator,
        calling(emulator) as caller,
    ):
        port = flooding.sockets[0].getsockname()[1]
        await caller.submit(callback_url=f"http://127.0.0.1:{port}/")
        await caller.submit(callback_url=inbox.url)
        await inbox.wait_for(2)
        for _ in range(2):
            await ended.acquire()
    assert len(sent_mib) == 2
    assert max(sent_mib) < 64


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080/hook", True),
        ("http://localhost/hook", True),
        ("http://[::1]:8080/hook", True),
        ("https://127.0.0.1/hook", False),
        ("http://192.168.0.1/hook", False),
        ("http://cb.example/hook", False),
        ("file:///etc/passwd", False),
        ("nonsense", False),
        ("http://[", False),
    ],
)
def test_only_plain_http_on_this_machine_is_called_back(url: str, expected: bool) -> None:
    assert is_loopback_url(url) is expected
