"""What a server may send in place of a whole video, and what the caller is told then."""

from __future__ import annotations

import asyncio
import gzip
import os
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from kling_effects_async import BearerToken, EffectsClient, Service, Video
from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.downloading.reply import NotThereError, TryAgainError, promise_of
from kling_effects_async.errors import (
    DownloadError,
    VideoExpiredError,
)
from tests.support.video_server import (
    VIDEO,
    Behaviour,
    VideoServer,
    answers,
    box,
    cut_after,
)


@pytest.mark.parametrize(
    "wrong",
    [
        answers(200, b""),
        answers(200, b"<html>log in</html>", "text/html; charset=utf-8"),
        answers(200, b'{"code": 1}', "application/json"),
        answers(200, b"<Error/>", "application/xml"),
        answers(200, b"<html>log in</html>"),
        answers(200, VIDEO, Content_Encoding="gzip"),
        answers(200, VIDEO[:-1]),
        answers(200, VIDEO[:100]),
        answers(200, VIDEO[:30]),
        answers(200, box(b"ftyp") + box(b"mdat", b"frames")),
        answers(200, box(b"moov") + box(b"mdat", b"frames")),
        answers(200, box(b"ftyp") + b"\0\0\0\4" + box(b"moov")),
    ],
    ids=[
        *("empty", "html", "json", "xml", "html said to be a video", "packed", "short by one"),
        *("cut in a box", "cut in a head", "no moov", "no ftyp", "impossible size"),
    ],
)
async def test_what_is_no_whole_video_is_fetched_again(
    downloader: Downloader, server: VideoServer, target: Path, wrong: Behaviour
) -> None:
    """Fault 52."""
    server.script = [wrong]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, None]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (answers(200, b""), "it is empty$"),
        (answers(200, b"{}", "application/json"), "application/json instead of a video$"),
        (answers(200, b"no video at all"), "does not begin like an MP4 file$"),
    ],
)
async def test_what_stays_no_video_leaves_nothing_but_an_error(
    downloader: Downloader, server: VideoServer, target: Path, wrong: Behaviour, reason: str
) -> None:
    """Fault 52."""
    server.always = wrong
    with pytest.raises(DownloadError, match=reason):
        await downloader.download(server.url, target)
    assert os.listdir(target.parent) == []


async def test_an_error_page_does_not_cost_the_bytes_that_have_come(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 52."""
    server.script = [cut_after(100_000), answers(200, b"<html>", "text/html")]
    await downloader.download(server.url, target)
    assert server.ranges == [None, "bytes=100000-", "bytes=100000-"]


async def test_a_body_of_unknown_length_that_was_cut_is_noticed(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 52: aiohttp reports no error here."""

    async def cut_unannounced(server: VideoServer, request: web.Request) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.WriteTransport)
        request.transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + VIDEO[:100_000])
        request.transport.close()
        return web.Response()

    server.script = [cut_unannounced]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


@pytest.mark.parametrize(
    "video",
    [
        box(b"ftyp") + box(b"mdat", b"frames") + box(b"moov"),
        box(b"ftyp") + box(b"moov") + b"\0\0\0\1mdat" + (20).to_bytes(8, "big") + b"sixt",
        box(b"ftyp") + box(b"moov") + b"\0\0\0\0mdat" + b"to the end",
        box(b"ftyp") + box(b"free") + box(b"moov") + box(b"moof") + box(b"mdat", b"frames"),
    ],
    ids=["index last", "64-bit size", "open end", "fragmented"],
)
async def test_every_form_of_mp4_is_taken(
    downloader: Downloader, server: VideoServer, target: Path, video: bytes
) -> None:
    server.video = video
    await downloader.download(server.url, target)
    assert target.read_bytes() == video


@pytest.mark.parametrize(
    "coding", ["", "identity", "aws-chunked", "utf-8", "UTF-8", "binary", "identity, aws-chunked"]
)
async def test_a_coding_that_changes_no_byte_does_not_matter(
    downloader: Downloader, server: VideoServer, target: Path, coding: str
) -> None:
    """Fault 85: storages repeat what was said at the upload."""
    server.always = answers(200, VIDEO, Content_Encoding=coding)
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("coding", "reason"),
    [("gzip", "packed"), ("aws-chunked, GZIP", "packed"), ("aws-chunked", "like an MP4 file")],
)
async def test_a_body_that_is_really_packed_is_rejected(
    downloader: Downloader, server: VideoServer, target: Path, coding: str, reason: str
) -> None:
    """Fault 52: whatever it is called, what is no MP4 does not get the name."""
    server.always = answers(200, gzip.compress(VIDEO), Content_Encoding=coding)
    with pytest.raises(DownloadError, match=reason):
        await downloader.download(server.url, target)
    assert os.listdir(target.parent) == []


@pytest.mark.parametrize("cut", [False, True])
async def test_a_206_for_the_whole_content_is_the_whole_content(
    downloader: Downloader, server: VideoServer, target: Path, cut: bool
) -> None:
    """Fault 85: asked for or not."""
    whole = answers(206, VIDEO, Content_Range=f"bytes 0-{len(VIDEO) - 1}/{len(VIDEO)}")
    server.script = [cut_after(100_000), whole] if cut else [whole]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert len(server.requests) == 1 + cut


@pytest.mark.parametrize("sizes", ["0-99999/300000", "0-299999/*", "1-299999/300000", "0-299999/9"])
async def test_an_unasked_206_for_less_is_not_taken_for_the_whole(
    downloader: Downloader, server: VideoServer, target: Path, sizes: str
) -> None:
    """Fault 51."""
    server.script = [answers(206, VIDEO[:100_000], Content_Range=f"bytes {sizes}")]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, None]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ETag", '"\u00fc\udcff"'),
        ("Content-Range", "bytes 0-\u0663/\u0664"),
        ("Content-Length", "\u0663"),
        ("Content-Type", "text/\udcff+json"),
        ("Retry-After", "\udcff"),
    ],
)
@pytest.mark.parametrize("status", [200, 206, 503])
def test_odd_headers_bring_no_error_but_ours(status: int, header: str, value: str) -> None:
    """Fault 80: also none that cannot be printed, or sent back."""
    with suppress(DownloadError, TryAgainError):
        promise = promise_of(
            status,
            {header: value},
            address="'https://videos.example/a.mp4'",
            held=None,
            length_bytes=0,
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        assert promise.source.etag is None
        assert promise.source.total is None


async def test_what_a_server_calls_its_page_can_be_printed(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 80."""
    server.always = answers(200, b"{}", "text/\u00fc+json")
    with pytest.raises(DownloadError) as caught:
        await downloader.download(server.url, target)
    assert str(caught.value).isascii()


async def test_an_error_of_the_callers_own_callback_is_the_callers(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    def fail(_so_far: int, _total: int | None) -> None:
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        await downloader.download(server.url, target, on_progress=fail)


@pytest.mark.parametrize("error", [LookupError, TimeoutError])
async def test_a_callback_that_raises_ends_its_own_download_alone(
    downloader: Downloader, server: VideoServer, target: Path, error: type[Exception]
) -> None:
    """Fault 35: another one goes on meanwhile, and the same one does afterwards."""
    other = target.with_name("other.mp4")

    def fail(_so_far: int, _total: int | None) -> None:
        raise error("of the caller")

    failed, path = await asyncio.gather(
        downloader.download(server.url, target, on_progress=fail),
        downloader.download(server.url, other),
        return_exceptions=True,
    )
    assert isinstance(failed, error)
    assert (path, other.read_bytes()) == (other, VIDEO)
    assert not target.exists()
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


async def test_a_fault_in_the_callers_on_progress_shows_where_it_is(
    server: VideoServer, target: Path
) -> None:
    """Fault 67: the caller's frames stay, and those that hold the signed address do not."""

    def inner() -> None:
        raise LookupError("of the caller") from KeyError("why")

    def fail(_so_far: int, _total: int | None) -> None:
        inner()

    service = Service.gateway(server.origin)
    async with EffectsClient(BearerToken("test-key"), service=service) as client:
        with pytest.raises(LookupError) as caught:
            await client.download(Video(url=server.url), target, on_progress=fail)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-3:] == ["frameless", "fail", "inner"]
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_address_that_is_no_longer_valid_is_told_at_once(
    downloader: Downloader, server: VideoServer, target: Path, status: int
) -> None:
    """Fault 49."""
    server.always = answers(status, b"<Error/>", "application/xml")
    with pytest.raises(VideoExpiredError, match=str(status)):
        await downloader.download(server.url, target)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "may_come"),
    [
        (answers(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml"), True),
        (answers(404, b"this link may have expired", "text/html"), True),
        (answers(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml"), True),
        (answers(403, b"<Message>Request has expired</Message>", "application/xml"), False),
        (answers(403, b"URL has expired", "text/plain"), False),
        (answers(410), False),
    ],
)
async def test_not_there_and_expired_are_told_apart(
    downloader: Downloader, server: VideoServer, target: Path, answer: Behaviour, may_come: bool
) -> None:
    """Fault 85."""
    server.always = answer
    with pytest.raises(VideoExpiredError) as caught:
        await downloader.download(server.url, target)
    assert isinstance(caught.value, NotThereError) is may_come


async def test_a_rejection_is_not_argued_with(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    server.always = answers(401)
    with pytest.raises(DownloadError, match="401"):
        await downloader.download(server.url, target)
    assert len(server.requests) == 1
