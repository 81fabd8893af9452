"""A caller's ``write`` that does not end: what waits for it, for how long, and what does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import looptime
import pytest

from kling_effects_async import BearerToken, ClientClosedError, EffectsClient, Service, Video
from kling_effects_async.downloading.threads import MAX_WAIT_S, in_own_thread
from tests.support.video_server import HastyClock, VideoServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[VideoServer]:
    async with VideoServer(tmp_path / "clip.mp4.part") as server:
        yield server


@pytest.fixture
async def client(server: VideoServer) -> AsyncIterator[EffectsClient]:
    service = Service.gateway(server.origin)
    async with EffectsClient(BearerToken("sk-hang"), service=service, clock=HastyClock()) as client:
        yield client


@pytest.fixture
def video(server: VideoServer) -> Video:
    return Video(url=server.url)


class Hanging:
    """A pipe whose reader stopped; ``go_on`` is the reader."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.threads: list[threading.Thread] = []
        self.ended = 0

    def write(self, _data: bytes) -> None:
        self.threads.append(threading.current_thread())
        self.begun.set()
        self.go_on.wait()
        self.ended += 1


@pytest.fixture
def target() -> Hanging:
    return Hanging()


@pytest.fixture
async def download(
    client: EffectsClient, video: Video, target: Hanging
) -> AsyncIterator[asyncio.Task[int]]:
    """In its first write; the thread has ended after the test."""
    task = asyncio.create_task(client.download(video, target))
    while not target.begun.is_set():  # noqa: ASYNC110 - a thread tells it
        await asyncio.sleep(0.001)
    yield task
    target.go_on.set()
    target.threads[0].join(timeout=10)
    with suppress(asyncio.CancelledError, ClientClosedError):
        await task


def seconds() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
async def test_a_cancelled_download_waits_five_seconds_for_a_write_that_hangs(
    download: asyncio.Task[int], target: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 33: so that a timeout of the caller's ends the call all the same."""
    began_at = seconds()
    download.cancel()
    with pytest.raises(asyncio.CancelledError):
        await download
    assert seconds() - began_at == pytest.approx(MAX_WAIT_S, abs=0.1)
    assert target.ended == 0
    assert [(r.levelname, r.event) for r in caplog.records if hasattr(r, "event")] == [
        ("WARNING", "clip.write_hangs")
    ]


@pytest.mark.looptime
async def test_cancelling_again_makes_the_wait_no_longer(download: asyncio.Task[int]) -> None:
    """Fault 34: a user who presses Ctrl-C again and again."""
    began_at = seconds()
    while not download.done():
        download.cancel()
        await asyncio.sleep(0.5)
    assert seconds() - began_at == pytest.approx(MAX_WAIT_S, abs=0.6)


@pytest.mark.looptime
async def test_a_client_is_closed_five_seconds_after_a_write_hung(
    client: EffectsClient, download: asyncio.Task[int]
) -> None:
    """Fault 33: and the call is over then, with an error that says why."""
    began_at = seconds()
    await client.aclose()
    assert seconds() - began_at == pytest.approx(MAX_WAIT_S, abs=0.1)
    with pytest.raises(ClientClosedError, match="fresh target"):
        await download


@pytest.mark.usefixtures("download")
async def test_a_write_is_over_when_its_client_is_closed(
    client: EffectsClient, target: Hanging
) -> None:
    """Fault 33: the caller may close the file after the client."""
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0.01)
    assert not closing.done()
    target.go_on.set()
    await closing
    assert target.ended == 1


async def test_an_asynchronous_write_ends_at_once_when_the_client_is_closed(
    client: EffectsClient, video: Video
) -> None:
    begun = asyncio.Event()

    class NeverReady:
        async def write(self, _data: bytes) -> None:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(client.download(video, NeverReady()))
    await begun.wait()
    await client.aclose()
    assert task.done()
    with pytest.raises(ClientClosedError, match="fresh target"):
        await task


@pytest.mark.usefixtures("download")
async def test_a_write_that_hangs_holds_no_place_in_the_pool_and_no_process(
    target: Hanging,
) -> None:
    """Images are read, and names of hosts resolved, in the loop's pool."""
    (thread,) = target.threads
    assert thread.name == "kling-effects-write"
    assert thread.daemon


def test_a_write_may_end_after_its_loop() -> None:
    """Its thread has nobody to tell, and raises nothing."""
    target = Hanging()

    async def main() -> None:
        write = asyncio.create_task(in_own_thread(target.write, b""))
        await asyncio.sleep(0)
        write.cancel()
        await asyncio.wait([write])

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(main())
    target.go_on.set()
    target.threads[0].join(timeout=10)
    assert target.ended == 1
