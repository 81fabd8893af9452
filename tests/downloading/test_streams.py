"""A clip that is handed on as it comes: what is checked, what is resumed, and what ends it."""

from __future__ import annotations

import asyncio
import io
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from kling_effects_async.downloading.downloader import CHUNK_BYTES, Downloader
from kling_effects_async.downloading.passing_sink import PassingSink
from kling_effects_async.downloading.stream import ClipStream, opened_stream
from kling_effects_async.downloading.writers import check_writer, write_of
from kling_effects_async.errors import ClientClosedError, DownloadError, VideoExpiredError
from tests.support.video_server import (
    VIDEO,
    WINDOW_S,
    Behaviour,
    HastyClock,
    VideoServer,
    answers,
    breaks_after,
    held_after,
    mp4,
    redirects,
    well,
)


def stream_of(
    downloader: Downloader, url: str, *, max_bytes: int = 2**30
) -> AbstractAsyncContextManager[ClipStream]:
    return opened_stream(partial(downloader.transfer, url, max_bytes=max_bytes))


async def read(downloader: Downloader, server: VideoServer, **options: int) -> bytes:
    async with stream_of(downloader, server.url, **options) as stream:
        return b"".join([chunk async for chunk in stream])


def without_length(size_bytes: int | None = None) -> Behaviour:
    """The connection's end is the body's end, after so many bytes."""

    async def send(server: VideoServer, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(server.video[:size_bytes])
        return response

    return send


async def test_a_stream_is_the_whole_clip_and_tells_its_size(
    downloader: Downloader, server: VideoServer
) -> None:
    async with stream_of(downloader, server.url) as stream:
        assert (stream.size_bytes, stream.content_type) == (len(VIDEO), "video/mp4")
        assert b"".join([chunk async for chunk in stream]) == VIDEO
        assert [chunk async for chunk in stream] == []  # an end that stays


async def test_what_the_server_does_not_say_is_not_told(
    downloader: Downloader, server: VideoServer
) -> None:
    server.script = [without_length()]
    async with stream_of(downloader, server.url) as stream:
        assert stream.size_bytes is None
        assert b"".join([chunk async for chunk in stream]) == VIDEO


@pytest.mark.parametrize("is_reset", [True, False])
async def test_a_cut_stream_goes_on_where_it_broke(
    is_reset: bool, downloader: Downloader, server: VideoServer
) -> None:
    """Fault 50: the reader sees one stream."""
    server.script = [breaks_after(1000, is_reset=is_reset)] * 2
    assert await read(downloader, server) == VIDEO
    assert server.ranges[0] is None
    assert all(part is not None or count == 0 for count, part in enumerate(server.ranges[1:-1], 1))


async def test_a_cut_stream_of_unnamed_content_cannot_go_on(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 50: without an ETag nobody knows whether the rest belongs to what was handed on."""
    server.etag, server.script = None, [breaks_after(1000, is_reset=False)]
    with pytest.raises(DownloadError, match="1000 bytes of it were handed on") as caught:
        await read(downloader, server)
    assert "topsecret" not in str(caught.value)
    assert len(server.requests) == 1


async def test_a_clip_that_changed_meanwhile_is_not_glued_to_the_first_one(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 50: RFC 9110: If-Range."""

    async def changed(server: VideoServer, request: web.Request) -> web.StreamResponse:
        server.video, server.etag = mp4(filling=b"other"), '"v2"'
        return await well(server, request)

    server.script = [breaks_after(1000, is_reset=False), changed]
    with pytest.raises(DownloadError, match="began anew, or has another clip"):
        await read(downloader, server)


BEFORE_THE_FIRST_BYTE = {
    "html": answers(200, b"<html>", "text/html"),
    "busy": answers(503),
    "no MP4": answers(200, b"GIF89a" * 100),
    "empty": answers(200, b""),
    "a box that is too short": answers(200, mp4(2000) + b"\0\0\0\4oops"),
}


@pytest.mark.parametrize("name", BEFORE_THE_FIRST_BYTE)
async def test_what_fails_before_the_first_byte_is_tried_again(
    name: str, downloader: Downloader, server: VideoServer
) -> None:
    """Fault 52."""
    server.script = [BEFORE_THE_FIRST_BYTE[name]]
    assert await read(downloader, server) == VIDEO


@pytest.mark.parametrize("name", BEFORE_THE_FIRST_BYTE)
async def test_what_keeps_failing_ends_where_the_stream_is_opened(
    name: str, downloader: Downloader, server: VideoServer
) -> None:
    """Fault 52."""
    server.always = BEFORE_THE_FIRST_BYTE[name]
    with pytest.raises(DownloadError):
        async with stream_of(downloader, server.url):
            pytest.fail("it was opened")


FLAWS = {
    "it ends within a box": without_length(200_000),
    r"its index \(moov\) is missing": answers(200, b"\0\0\0\x10ftypisommp42"),
}


@pytest.mark.parametrize("flaw", FLAWS)
async def test_a_stream_of_what_is_no_whole_video_ends_with_an_error(
    flaw: str, downloader: Downloader, server: VideoServer
) -> None:
    """Fault 52: after its bytes, as nobody can take them back."""
    server.always = FLAWS[flaw]
    with pytest.raises(DownloadError, match=flaw):
        await read(downloader, server)
    assert len(server.requests) == 1


async def test_a_clip_that_is_announced_too_large_is_not_begun(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 96."""
    with pytest.raises(DownloadError, match="more than 1000 bytes"):
        async with stream_of(downloader, server.url, max_bytes=1000):
            pytest.fail("it was opened")


async def test_a_clip_without_an_end_is_cut_at_the_limit(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 96."""
    server.script = [without_length()]
    with pytest.raises(DownloadError, match="more than 299000 bytes"):
        await read(downloader, server, max_bytes=299_000)


async def test_a_server_that_stands_still_is_left(
    downloader: Downloader, server: VideoServer, clock: HastyClock
) -> None:
    """Fault 45: here once the first bytes have come."""
    server.script = [held_after(1000)]
    async with stream_of(downloader, server.url) as stream:
        got = await anext(stream)
        await clock.advance(2 * WINDOW_S)
        assert got + b"".join([chunk async for chunk in stream]) == VIDEO
    assert server.ranges == [None, "bytes=1000-"]


async def test_redirects_lead_to_allowed_addresses_alone(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 47."""
    server.script = [redirects("http://169.254.169.254/clip.mp4")]
    with pytest.raises(DownloadError, match="not https"):
        async with stream_of(downloader, server.url):
            pytest.fail("it was opened")


async def test_an_expired_address_is_told_before_the_first_byte(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 49: the client renews it."""
    server.always = answers(403, b"Request has expired")
    with pytest.raises(VideoExpiredError):
        async with stream_of(downloader, server.url):
            pytest.fail("it was opened")


async def test_a_reader_who_leaves_early_ends_the_transfer(
    downloader: Downloader, server: VideoServer
) -> None:
    server.script = [held_after(1000)]
    async with stream_of(downloader, server.url) as stream:
        assert await anext(stream) == VIDEO[:1000]
    assert [task.get_name() for task in asyncio.all_tasks() if "stream" in task.get_name()] == []


async def test_a_reader_s_own_error_is_its_own(downloader: Downloader, server: VideoServer) -> None:
    mine = RuntimeError("mine")

    async def read_a_little() -> None:
        async with stream_of(downloader, server.url) as stream:
            await anext(stream)
            raise mine

    with pytest.raises(RuntimeError) as caught:
        await read_a_little()
    assert caught.value is mine
    assert caught.value.__context__ is None


async def test_a_cancelled_reader_is_cancelled(downloader: Downloader, server: VideoServer) -> None:
    """Fault 33."""
    server.script = [held_after(1000)]
    reading = asyncio.create_task(read(downloader, server))
    await server.held.acquire()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_downloader_that_is_closed_ends_the_stream(
    downloader: Downloader, server: VideoServer
) -> None:
    """At once: aiohttp does not wake who reads from a connection that it closes."""
    server.script = [held_after(1000)]

    async def read_and_close() -> None:
        async with stream_of(downloader, server.url) as stream:
            async for _chunk in stream:
                await downloader.aclose()

    with pytest.raises(ClientClosedError, match="from its first byte"):
        await read_and_close()


async def test_nothing_is_read_far_ahead_of_the_reader(
    downloader: Downloader, server: VideoServer
) -> None:
    """50 MB pass in the memory of a few chunks."""
    sent_bytes = taken_bytes = furthest_bytes = 0
    part = b"\0" * 2**17
    size_bytes = 50 * 2**20 // len(part) * len(part)

    async def endless(_server: VideoServer, request: web.Request) -> web.StreamResponse:
        nonlocal sent_bytes
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        await response.prepare(request)
        await response.write(mp4(1000))
        await response.write((8 + size_bytes).to_bytes(4, "big") + b"free")
        while sent_bytes < size_bytes:
            await response.write(part)
            sent_bytes += len(part)
        return response

    server.script = [endless]
    async with stream_of(downloader, server.url) as stream:
        async for chunk in stream:
            assert len(chunk) <= CHUNK_BYTES
            taken_bytes += len(chunk)
            furthest_bytes = max(furthest_bytes, sent_bytes - taken_bytes)
    assert taken_bytes == size_bytes + 1000 + 8
    # Two chunks here, aiohttp's two buffers, and the sockets' on both sides.
    assert furthest_bytes < 16 * 2**20


# -- writers


class AsyncFile(io.BytesIO):
    async def write(self, chunk: bytes) -> int:  # type: ignore[override]  # that is the point
        await asyncio.sleep(0)
        return super().write(chunk)


class Drained(io.BytesIO):
    drains = 0

    async def drain(self) -> None:
        self.drains += 1


class Partial(io.BytesIO):
    """As an unbuffered file may: it takes a few bytes at a time."""

    def write(self, chunk: bytes) -> int:  # type: ignore[override]  # of bytes alone
        return super().write(chunk[:50_000])


@pytest.mark.parametrize("kind", [io.BytesIO, AsyncFile, Drained, Partial])
async def test_every_kind_of_writer_gets_the_whole_clip(
    kind: type[io.BytesIO], downloader: Downloader, server: VideoServer
) -> None:
    writer = kind()
    sink = PassingSink(write_of(writer))
    await downloader.transfer(server.url, sink, max_bytes=2**30)
    assert (writer.getvalue(), sink.length_bytes) == (VIDEO, len(VIDEO))
    if isinstance(writer, Drained):
        assert writer.drains > 0


async def test_a_blocking_writer_does_not_block_the_loop(
    downloader: Downloader, server: VideoServer, tmp_path: Path
) -> None:
    """The session's guard against blocking calls would raise."""
    path = tmp_path / "clip.mp4"
    with await asyncio.to_thread(path.open, "wb", buffering=0) as file:
        await downloader.transfer(server.url, PassingSink(write_of(file)), max_bytes=2**30)
    assert await asyncio.to_thread(path.read_bytes) == VIDEO


async def test_a_writer_s_own_error_ends_the_transfer_at_once(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 53: it is not tried again, and the error is the writer's own."""
    full = OSError(28, "No space left on device")

    class Full(io.BytesIO):
        def write(self, _chunk: bytes) -> int:  # type: ignore[override]  # of bytes alone
            raise full

    with pytest.raises(OSError, match="No space left") as caught:
        await downloader.transfer(server.url, PassingSink(write_of(Full())), max_bytes=2**30)
    assert caught.value is full
    assert len(server.requests) == 1


def test_a_text_file_is_rejected_before_anything_is_sent() -> None:
    with pytest.raises(TypeError, match="wb"):
        check_writer(io.StringIO())
