"""A clip as it comes: to a stream's reader, to an open file, to an asynchronous writer."""

from __future__ import annotations

import asyncio
import io
import traceback
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError, ClientSession, web
from aiohttp.test_utils import TestServer
from yarl import URL

from kling_effects_async import (
    BearerToken,
    ClientClosedError,
    DownloadError,
    EffectResult,
    EffectsClient,
    Service,
    Video,
    VideoExpiredError,
)
from tests.support.video_server import (
    VIDEO,
    WINDOW_S,
    Behaviour,
    HastyClock,
    VideoServer,
    answers,
    box,
    breaks_after,
    held_after,
    mp4,
    redirects,
    well,
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[VideoServer]:
    async with VideoServer(tmp_path / "clip.mp4.part") as server:
        yield server


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


@pytest.fixture
async def client(server: VideoServer, clock: HastyClock) -> AsyncIterator[EffectsClient]:
    service = Service.gateway(server.origin)
    async with EffectsClient(BearerToken("sk-streams"), service=service, clock=clock) as client:
        yield client


@pytest.fixture
def video(server: VideoServer) -> Video:
    return Video(url=server.url)


async def read(client: EffectsClient, video: Video, max_bytes: int = 2**30) -> bytes:
    async with client.open_video(video, max_bytes=max_bytes) as stream:
        return b"".join([chunk async for chunk in stream])


async def written(client: EffectsClient, video: Video, max_bytes: int = 2**30) -> bytes:
    target = io.BytesIO()
    size_bytes = await client.download(video, target, max_bytes=max_bytes)
    assert size_bytes == len(target.getvalue())
    return target.getvalue()


WAYS = pytest.mark.parametrize("get", [read, written])


class Gone:
    """A server's answer that notes when its reader is gone."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.sent_bytes = 0

    async def __call__(self, _server: VideoServer, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        await response.prepare(request)
        await response.write(box(b"ftyp", b"isommp42") + b"\0\0\0\0moov")
        try:
            while True:
                await response.write(bytes(2**16))
                self.sent_bytes += 2**16
        except ConnectionError:
            return response
        finally:
            self.event.set()


# -- whole


@WAYS
async def test_a_clip_comes_byte_for_byte(client: EffectsClient, video: Video, get: object) -> None:
    assert callable(get)
    assert await get(client, video) == VIDEO


async def test_a_stream_tells_its_size_and_type_before_its_first_byte_is_read(
    client: EffectsClient, video: Video
) -> None:
    async with client.open_video(video) as stream:
        assert (stream.size_bytes, stream.content_type) == (len(VIDEO), "video/mp4")
        assert "topsecret" not in repr(stream)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("Video/WebM; codecs=x", "video/webm"),
        ("application/octet-stream", "video/mp4"),
        ("text/javascript", "video/mp4"),
    ],
)
async def test_a_browser_is_told_of_a_video_whatever_the_server_says(
    client: EffectsClient, server: VideoServer, video: Video, told: str, shown: str
) -> None:
    """Fault 52: on the service's own origin a script would be run."""
    server.script = [answers(200, VIDEO, told)]
    async with client.open_video(video) as stream:
        assert stream.content_type == shown


async def test_a_size_that_is_not_announced_is_none(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    async def chunked(_server: VideoServer, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        await response.prepare(request)
        await response.write(VIDEO)
        return response

    server.script = [chunked]
    async with client.open_video(video) as stream:
        assert stream.size_bytes is None
        assert b"".join([chunk async for chunk in stream]) == VIDEO
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_fifty_megabytes_pass_in_bounded_memory(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    """Fault 96: what is not read yet stays at the server."""
    size_bytes, block = 50 * 2**20, bytes(2**18)

    async def large(_server: VideoServer, request: web.Request) -> web.StreamResponse:
        head = box(b"ftyp", b"isommp42") + box(b"moov")
        head += (size_bytes - len(head)).to_bytes(4, "big") + b"mdat"
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        response.content_length = size_bytes
        await response.prepare(request)
        await response.write(head + block[len(head) :])
        for _ in range(size_bytes // len(block) - 1):
            await response.write(block)
        return response

    server.script = [large]
    came_bytes = 0
    async with client.open_video(video) as stream:
        tracemalloc.start()
        async for chunk in stream:
            came_bytes += len(chunk)
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert came_bytes == size_bytes
    assert most < 8 * 2**20


async def test_a_reader_who_takes_its_time_holds_the_server_back(
    client: EffectsClient, server: VideoServer, video: Video, clock: HastyClock
) -> None:
    """Fault 45: and its time does not count as the server's."""
    server.script = [gone := Gone()]
    async with client.open_video(video):
        sent_bytes = -1
        while sent_bytes != gone.sent_bytes:  # until every buffer on the way is full
            sent_bytes = gone.sent_bytes
            await clock.hands.settle()
        await clock.advance(WINDOW_S * 10)
        assert gone.sent_bytes == sent_bytes < 2**24
        assert not gone.event.is_set()


# -- faults


@pytest.mark.parametrize("is_reset", [False, True])
@WAYS
async def test_a_break_leaves_no_gap_where_the_server_vouches_for_the_rest(
    client: EffectsClient, server: VideoServer, video: Video, get: object, is_reset: bool
) -> None:
    """Fault 50."""
    assert callable(get)
    server.always = breaks_after(100_000, is_reset=is_reset)
    assert await get(client, video) == VIDEO
    assert server.ranges == [None, "bytes=100000-", "bytes=200000-"]


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
@WAYS
async def test_without_a_strong_etag_a_break_is_an_error_at_once(
    client: EffectsClient, server: VideoServer, video: Video, get: object, etag: str | None
) -> None:
    """Fault 51: what was handed on cannot be taken back."""
    assert callable(get)
    server.etag, server.script = etag, [breaks_after(100_000, is_reset=False)]
    with pytest.raises(DownloadError, match="100000 bytes are handed on already") as caught:
        await get(client, video)
    assert len(server.requests) == 1
    assert "topsecret" not in "".join(traceback.format_exception(caught.value))


async def changed(server: VideoServer, request: web.Request) -> web.StreamResponse:
    server.video, server.etag = mp4(filling=b"other"), '"v2"'
    return await well(server, request)


@pytest.mark.parametrize(
    "rest",
    [
        changed,
        answers(200, VIDEO),
        answers(416),
        answers(206, VIDEO[5:], Content_Range="bytes 5-299999/300000"),
        answers(206, VIDEO[100_000:], Content_Range="bytes 100000-299999/300000", ETag='"v2"'),
    ],
    ids=["changed", "no range", "416", "other offset", "other etag"],
)
@WAYS
async def test_another_rest_is_never_handed_on(
    client: EffectsClient, server: VideoServer, video: Video, get: object, rest: Behaviour
) -> None:
    """Faults 50 and 51: never two clips in one."""
    assert callable(get)
    server.script = [breaks_after(100_000, is_reset=False), rest]
    with pytest.raises(DownloadError, match="100000 bytes are handed on already"):
        await get(client, video)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "failure",
    [
        answers(503),
        answers(200, b"<html>", "text/html"),
        answers(200, b"<html> of a login page"),
        answers(200, b""),
        breaks_after(7, is_reset=False),
    ],
    ids=["503", "html", "html called video", "empty", "cut before it shows what it is"],
)
@pytest.mark.parametrize("etag", [None, '"v1"'])
@WAYS
async def test_before_the_first_byte_is_handed_on_a_failure_is_retried(
    client: EffectsClient,
    server: VideoServer,
    video: Video,
    get: object,
    failure: Behaviour,
    etag: str | None,
) -> None:
    """Faults 50 and 52."""
    assert callable(get)
    server.etag, server.script = etag, [failure]
    assert await get(client, video) == VIDEO
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (VIDEO[:-1], "it ends within a box"),
        (box(b"ftyp") + box(b"mdat", b"frames"), r"its index \(moov\) is missing"),
        (VIDEO + b"\0\0\0\4free", "shorter than its own head"),
    ],
)
@WAYS
async def test_what_is_no_whole_video_ends_in_an_error(
    client: EffectsClient, server: VideoServer, video: Video, get: object, body: bytes, flaw: str
) -> None:
    """Fault 52: after the bytes, as a stream cannot know before."""
    assert callable(get)
    server.script = [answers(200, body)]
    with pytest.raises(DownloadError, match=flaw):
        await get(client, video)
    assert len(server.requests) == 1


@WAYS
async def test_a_clip_that_is_too_large_is_an_error(
    client: EffectsClient, server: VideoServer, video: Video, get: object
) -> None:
    """Fault 96: announced, or sent without an end."""
    assert callable(get)
    with pytest.raises(DownloadError, match="pass a larger max_bytes"):
        await get(client, video, len(VIDEO) - 1)
    server.script = [Gone()]
    with pytest.raises(DownloadError, match="more than 2000000 bytes"):
        await get(client, video, 2_000_000)


@WAYS
async def test_a_redirect_to_the_inside_is_rejected(
    client: EffectsClient, server: VideoServer, video: Video, get: object
) -> None:
    """Fault 47."""
    assert callable(get)
    server.script = [redirects("https://169.254.169.254/a?Signature=topsecret")]
    with pytest.raises(DownloadError) as caught:
        await get(client, video)
    assert "topsecret" not in "".join(traceback.format_exception(caught.value))


async def test_a_server_that_stands_still_is_asked_for_the_rest(
    client: EffectsClient, server: VideoServer, video: Video, clock: HastyClock
) -> None:
    """Fault 45."""
    server.script = [held_after(100_000)]
    async with client.open_video(video) as stream:
        came = b""
        while len(came) < 100_000:
            came += await anext(stream)
        rest = asyncio.create_task(anext(stream))
        await clock.advance(WINDOW_S * 2)
        came += await rest
        async for chunk in stream:
            came += chunk
    assert came == VIDEO
    assert server.ranges == [None, "bytes=100000-"]


async def test_an_expired_address_is_an_error_before_the_block_begins(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    """Fault 51: so that a service can still answer with a status."""
    server.always = answers(410)
    with pytest.raises(VideoExpiredError):
        async with client.open_video(video):
            pytest.fail("nothing to read")


# -- ends of the reader's


async def test_leaving_early_closes_the_connection(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    """Fault 33."""
    server.script = [gone := Gone()]
    async with client.open_video(video) as stream:
        await anext(stream)
    await gone.event.wait()
    with pytest.raises(RuntimeError, match="inside its `async with`"):
        await anext(stream)


async def test_an_error_of_the_readers_is_its_own_and_closes_the_connection(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    """Fault 35."""
    server.script = [gone := Gone()]
    error = LookupError("of the caller")

    async def read_one() -> None:
        async with client.open_video(video) as stream:
            await anext(stream)
            raise error

    with pytest.raises(LookupError) as caught:
        await read_one()
    assert caught.value is error
    await gone.event.wait()


async def test_a_cancelled_reader_closes_the_connection(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    """Fault 33."""
    server.script = [held_after(100_000)]
    task = asyncio.create_task(read(client, video))
    await server.held.acquire()
    before = asyncio.all_tasks()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) <= len(before) - 2  # the reader's, and the transfer's


async def test_a_client_that_is_closed_ends_its_streams(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    """Fault 33: no stream looks whole that is not."""
    server.script = [gone := Gone()]
    async with client.open_video(video) as stream:
        await anext(stream)
        await client.aclose()
        await gone.event.wait()
        for _ in range(2):
            with pytest.raises(ClientClosedError, match="open the video again"):
                await anext(stream)


async def test_a_client_that_is_closed_before_the_block_begins_opens_nothing(
    client: EffectsClient, server: VideoServer, video: Video
) -> None:
    opening = client.open_video(video)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await opening.__aenter__()
    assert server.requests == []


async def test_many_open_streams_leave_a_download_its_turn(
    client: EffectsClient, server: VideoServer, video: Video, tmp_path: Path
) -> None:
    """Fault 45: slow readers hold nobody up."""
    opened = [client.open_video(video) for _ in range(9)]
    for each in opened:
        await each.__aenter__()
    await client.download(video, tmp_path / "clip.mp4")
    for each in opened:
        await each.__aexit__(None, None, None)
    assert (tmp_path / "clip.mp4").stat().st_size == len(VIDEO)


@pytest.mark.parametrize("max_bytes", [0, -1])
async def test_a_limit_that_means_nothing_is_rejected_at_the_call(
    client: EffectsClient, video: Video, max_bytes: int
) -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        client.open_video(video, max_bytes=max_bytes)


# -- the guide's recipe


@pytest.fixture
async def page(client: EffectsClient, video: Video) -> AsyncIterator[URL]:
    """A service that streams to a browser, with the handler that the guide shows."""
    guide = Path(__file__).parents[2] / "docs" / "guide.md"
    (block,) = [
        block for block in guide.read_text("utf-8").split("```python\n") if "def show_clip" in block
    ]
    result = EffectResult(task_id="1", external_task_id=None, videos=(video,))
    names = {"client": client, "result": result}
    exec(block.partition("```")[0], names)
    app = web.Application()
    app.router.add_get("/clip", names["show_clip"])  # type: ignore[arg-type]
    async with TestServer(app) as service:
        yield service.make_url("/clip")


async def test_the_handler_of_the_guide_streams_to_a_browser(page: URL) -> None:
    async with ClientSession() as browser, browser.get(page) as response:
        assert response.headers["Content-Type"] == "video/mp4"
        assert await response.read() == VIDEO


async def test_a_browser_sees_that_a_clip_broke(page: URL, server: VideoServer) -> None:
    """Fault 50: it never takes half a clip for a whole one."""
    server.etag, server.script = None, [breaks_after(100_000, is_reset=False)]
    async with ClientSession() as browser, browser.get(page) as response:
        with pytest.raises(ClientPayloadError):
            await response.read()


async def test_a_browser_that_leaves_closes_the_connection(page: URL, server: VideoServer) -> None:
    """Fault 33."""
    server.script = [gone := Gone()]
    async with ClientSession() as browser, browser.get(page) as response:
        await response.content.read(10)
    await gone.event.wait()
