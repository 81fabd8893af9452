"""A clip into an open file or an asynchronous writer: how each is written to, what it raises."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import (
    BearerToken,
    ClientClosedError,
    DownloadError,
    EffectsClient,
    PollPolicy,
    Service,
    SingleImageEffect,
    Video,
)
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.video_server import (
    VIDEO,
    HastyClock,
    Reached,
    VideoServer,
    breaks_after,
    held_after,
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[VideoServer]:
    async with VideoServer(tmp_path / "clip.mp4.part") as server:
        yield server


@pytest.fixture
async def client(server: VideoServer) -> AsyncIterator[EffectsClient]:
    service = Service.gateway(server.origin)
    key = BearerToken("sk-writers")
    async with EffectsClient(key, service=service, clock=HastyClock()) as client:
        yield client


@pytest.fixture
def video(server: VideoServer) -> Video:
    return Video(url=server.url)


class Collector:
    """Blocks, and notes in which threads."""

    def __init__(self, answer: object = None, error: BaseException | None = None) -> None:
        self.content = b""
        self.threads: set[int] = set()
        self.answer = answer
        self.error = error

    def take(self, data: bytes) -> object:
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        self.content += data
        return self.answer

    def write(self, data: bytes) -> object:
        return self.take(data)


class AsyncCollector(Collector):
    async def write(self, data: bytes) -> object:
        await asyncio.sleep(0)
        return self.take(data)


class Drained(Collector):
    """As a ``StreamWriter``: takes at once, and asks for patience afterwards."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.drain_error = error
        self.drains = 0

    async def drain(self) -> None:
        self.drains += 1
        if self.drain_error is not None:
            raise self.drain_error


class Short(Collector):
    """As a raw file: takes a part."""

    counted: type = int  # of what it returns

    def write(self, data: bytes) -> object:
        self.take(data[:1000])
        return self.counted(len(data[:1000]))


class Bytes(int):
    """A number of bytes, as some wrap it."""


class Indexed:
    """A number as numpy's are: with ``__index__``, and no ``int``."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number


@pytest.mark.parametrize("kind", [Collector, AsyncCollector, Drained, Short])
async def test_each_kind_of_writer_gets_every_byte(
    client: EffectsClient, video: Video, kind: type[Collector]
) -> None:
    target = kind()
    assert await client.download(video, target) == len(VIDEO)
    assert target.content == VIDEO


async def test_what_blocks_is_called_off_the_loop_and_all_else_in_it(
    client: EffectsClient, video: Video
) -> None:
    blocking, awaited, drained = Collector(), AsyncCollector(), Drained()
    for target in (blocking, awaited, drained):
        await client.download(video, target)
    assert threading.get_ident() not in blocking.threads
    assert {threading.get_ident()} == awaited.threads == drained.threads
    assert drained.drains > 0


@pytest.mark.parametrize("buffering", [0, -1])
async def test_an_open_file_gets_the_clip_and_stays_open(
    client: EffectsClient, video: Video, tmp_path: Path, buffering: int
) -> None:
    path = tmp_path / "clip.bin"
    with await asyncio.to_thread(open, path, "wb", buffering) as file:
        assert await client.download(video, file) == len(VIDEO)
        assert not file.closed
    assert path.read_bytes() == VIDEO


@pytest.mark.parametrize("error", [LookupError, TimeoutError, OSError, ValueError])
@pytest.mark.parametrize("kind", [Collector, AsyncCollector, Drained])
async def test_what_a_writer_raises_reaches_the_caller_unchanged(
    client: EffectsClient,
    server: VideoServer,
    video: Video,
    kind: type[Collector],
    error: type[Exception],
) -> None:
    """Fault 35: with the caller's frames, and without another attempt."""
    target, own = kind(), error("of the caller")
    target.error = own
    with pytest.raises(error) as caught:
        await client.download(video, target)
    assert caught.value is own
    assert [f.name for f in traceback.extract_tb(own.__traceback__)][-1] == "take"
    assert not [f for f in traceback.extract_tb(own.__traceback__) if "/aiohttp/" in f.filename]
    assert len(server.requests) == 1


async def test_what_a_drain_raises_is_the_callers_too(client: EffectsClient, video: Video) -> None:
    """Fault 35: a browser that is gone."""
    own = ConnectionResetError("gone")
    with pytest.raises(ConnectionResetError) as caught:
        await client.download(video, Drained(own))
    assert caught.value is own
    assert traceback.extract_tb(own.__traceback__)[-1].name == "drain"


@pytest.mark.parametrize("answer", [0, -1])
async def test_a_writer_that_takes_nothing_is_an_error_and_no_endless_loop(
    client: EffectsClient, video: Video, answer: int
) -> None:
    """Fault 96: and never a clip with a hole."""
    with pytest.raises(DownloadError, match="took none"):
        await client.download(video, Collector(answer=answer))


@pytest.mark.parametrize("answer", [None, True, "all", 2**40])
async def test_a_writer_that_returns_no_part_of_the_bytes_took_all_of_them(
    client: EffectsClient, video: Video, answer: object
) -> None:
    target = Collector(answer=answer)
    assert await client.download(video, target) == len(VIDEO)
    assert target.content == VIDEO


@pytest.mark.parametrize("counted", [Bytes, Indexed])
async def test_a_part_is_a_part_whatever_whole_number_tells_it(
    client: EffectsClient, video: Video, counted: type
) -> None:
    """Fault 96: a clip with a hole would be told as whole."""
    target = Short()
    target.counted = counted
    assert await client.download(video, target) == len(VIDEO)
    assert target.content == VIDEO


@pytest.mark.parametrize("answer", [Bytes(0), Indexed(-1)])
async def test_none_of_the_bytes_is_none_whatever_number_tells_it(
    client: EffectsClient, video: Video, answer: object
) -> None:
    """Fault 96."""
    with pytest.raises(DownloadError, match=r"took none .* returned (0|-1)"):
        await client.download(video, Collector(answer=answer))


@pytest.mark.parametrize("counted", [float, Decimal, Fraction])
async def test_a_number_that_is_not_whole_is_an_error(
    client: EffectsClient, server: VideoServer, video: Video, counted: type
) -> None:
    """Fault 96: nobody knows what was taken."""
    target = Short()
    target.counted = counted
    with pytest.raises(TypeError, match=f"whole number of bytes or None, not {counted.__name__}$"):
        await client.download(video, target)
    assert len(target.content) == 1000
    assert len(server.requests) == 1


async def test_a_pipe_that_does_not_block_loses_nothing_in_silence(
    client: EffectsClient, video: Video
) -> None:
    """Fault 96: a raw file answers ``None`` if it took nothing."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    end, pipe = io.FileIO(reader, "rb"), io.FileIO(writer, "wb")
    with end, pipe, pytest.raises(BlockingIOError):
        await client.download(video, pipe)


async def test_a_write_that_hides_a_coroutine_is_named(client: EffectsClient, video: Video) -> None:
    async def later() -> None: ...

    class Hidden:
        def write(self, _data: bytes) -> object:
            return later()

    with pytest.raises(TypeError, match="must be async def itself"):
        await client.download(video, Hidden())


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (io.StringIO(), "not a text file"),
        (io.BufferedReader(io.BytesIO()), "open for writing"),
        (io.BytesIO, "must be a path"),
        (b"clip.mp4", "must be a path"),
        (None, "must be a path"),
    ],
)
async def test_what_cannot_take_bytes_is_rejected_before_any_request(
    client: EffectsClient, server: VideoServer, video: Video, target: Any, why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        await client.download(video, target)
    assert server.requests == []


async def test_overwrite_is_for_paths_alone(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    with pytest.raises(TypeError, match="overwrite"):
        await client.download(video, io.BytesIO(), overwrite=True)  # type: ignore[call-overload]
    assert server.requests == []


async def test_progress_is_told_of_a_writer_too(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    seen: list[tuple[int, int | None]] = []
    server.script = [breaks_after(100_000, is_reset=False)]
    await client.download(video, io.BytesIO(), on_progress=lambda *told: seen.append(told))
    assert seen == sorted(seen)
    assert seen[-1] == (len(VIDEO), len(VIDEO))


async def test_a_cancelled_write_is_over_before_the_call_is(
    client: EffectsClient, video: Video
) -> None:
    """Fault 33: the caller may close its file at once."""
    begun, go_on = threading.Event(), threading.Event()
    ended: list[datetime] = []

    class Slow:
        def write(self, _data: bytes) -> None:
            begun.set()
            go_on.wait()
            ended.append(datetime.now(UTC))

    task = asyncio.create_task(client.download(video, Slow()))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(ended) == 1


async def test_a_client_that_is_closed_ends_a_write(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    """Fault 33: not as a line that broke, also where the rest could be requested."""
    server.etag, server.script = None, [held_after(100_000)]
    target = AsyncCollector()
    reached = Reached(100_000)
    task = asyncio.create_task(client.download(video, target, on_progress=reached))
    await reached.event.wait()
    await client.aclose()
    with pytest.raises(ClientClosedError, match="fresh target"):
        await task


@pytest.mark.looptime
@pytest.mark.usefixtures("unguarded")
async def test_an_expired_address_is_renewed_before_the_first_byte(cat: Path) -> None:
    """Fault 51: for a stream and for a file of the caller's."""
    async with (
        Emulator(speed=600, clips=Clips.STOCK) as emulator,
        emulator.client(poll=PollPolicy(shortest_s=0.05)) as client,
    ):
        result = await client.run(SingleImageEffect("squish", image=cat))
        target = io.BytesIO()
        emulator.fail_next(Fault.expired())
        await client.download(result.video, target)
        emulator.fail_next(Fault.expired())
        async with client.open_video(result.video) as stream:
            assert b"".join([c async for c in stream]) == target.getvalue()


@pytest.mark.looptime
@pytest.mark.usefixtures("unguarded")
async def test_an_address_that_expires_in_the_middle_is_renewed_for_the_rest(cat: Path) -> None:
    """Faults 50 and 51: its server vouches for the rest with a strong ETag."""
    async with (
        Emulator(speed=600, clips=Clips.STOCK) as emulator,
        emulator.client(poll=PollPolicy(shortest_s=0.05)) as client,
    ):
        result = await client.run(SingleImageEffect("squish", image=cat))
        whole, broken = io.BytesIO(), io.BytesIO()
        await client.download(result.video, whole)
        emulator.fail_next(Fault.cut_answer(5_000, on="download"))
        emulator.fail_next(Fault.expired())
        written_bytes: list[int] = []
        await client.download(
            result.video, broken, on_progress=lambda so_far, _total: written_bytes.append(so_far)
        )
    assert written_bytes[0] == 5_000
    assert broken.getvalue() == whole.getvalue()
