"""Downloads against a real server on loopback that fails in every way a server can."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import os
import socket
import stat
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_effects_async import BearerToken, EffectsClient, Service, Video
from kling_effects_async.downloading.downloader import Downloader, safe_name
from kling_effects_async.downloading.part_file import PartFile, _reserve
from kling_effects_async.downloading.replaceable import irreplaceable_kind
from kling_effects_async.downloading.reply import NotThereError, TryAgainError, promise_of
from kling_effects_async.errors import (
    ClientClosedError,
    DownloadError,
    SettingsError,
    VideoExpiredError,
)
from kling_effects_async.models import without_query
from tests.support.video_server import (
    VIDEO,
    WINDOW_S,
    Behaviour,
    HastyClock,
    Reached,
    VideoServer,
    answers,
    box,
    cut_after,
    downloader_for,
    held_after,
    mp4,
    nonsense,
    part_of,
    redirects,
    reset_at_once,
    well,
)

NOTE = json.dumps({"address": "https://videos.example/clip.mp4", "etag": '"v1"', "total": 9})
MAY_MAKE_DEVICES = sys.platform == "linux" and os.geteuid() == 0


@pytest.fixture
async def server(target: Path) -> AsyncIterator[VideoServer]:
    async with VideoServer(part_of(target)) as server:
        yield server


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


@pytest.fixture
async def downloader(server: VideoServer, clock: HastyClock) -> AsyncIterator[Downloader]:
    async with downloader_for(server, clock) as downloader:
        yield downloader


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


# -- the good case


async def test_a_video_is_stored_whole_under_its_name_and_nothing_is_left_beside_it(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    assert await downloader.download(server.url, target) == target
    assert target.read_bytes() == VIDEO
    assert os.listdir(target.parent) == ["clip.mp4"]


async def test_missing_folders_are_made(
    downloader: Downloader, server: VideoServer, tmp_path: Path
) -> None:
    target = tmp_path / "a" / "b" / "clip.mp4"
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


async def test_progress_tells_the_bytes_so_far_and_the_size_of_the_whole(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    seen: list[tuple[int, int | None]] = []
    server.script = [cut_after(100_000)]
    await downloader.download(
        server.url, target, on_progress=lambda so_far, total: seen.append((so_far, total))
    )
    assert seen == sorted(seen)
    assert seen[-1] == (len(VIDEO), len(VIDEO))


async def test_the_signature_is_sent_letter_for_letter(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    path = "/a%2Fb.mp4?Signature=x%2Fy%3D&Expires=1"
    await downloader.download(server.origin + path, target)
    assert server.requests[0].raw_path == path


async def test_no_more_downloads_move_at_once_than_allowed(
    server: VideoServer, clock: HastyClock, tmp_path: Path
) -> None:
    server.always = held_after(1000)
    async with (
        downloader_for(server, clock, parallel=2) as downloader,
        asyncio.TaskGroup() as group,
    ):
        for number in range(5):
            group.create_task(downloader.download(server.url, tmp_path / f"{number}.mp4"))
        for _ in range(2):
            await server.held.acquire()
        await clock.hands.settle()
        assert len(server.requests) == 2
        server.release.set()
    assert len(list(tmp_path.glob("?.mp4"))) == 5


async def test_a_downloader_that_could_never_fetch_is_a_settings_error(clock: HastyClock) -> None:
    with pytest.raises(SettingsError, match="parallel"):
        Downloader(clock=clock, allowed_origin=None, parallel=0)


async def test_a_closed_downloader_says_so(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    await downloader.aclose()
    with pytest.raises(ClientClosedError, match="closed"):
        await downloader.download(server.url, target)


# -- going on where it broke


async def test_a_cut_download_goes_on_where_it_broke(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 50."""
    server.script = [cut_after(100_000)]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, "bytes=100000-"]


async def test_a_later_process_goes_on_where_an_earlier_one_stopped(
    server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 25."""
    server.script = [cut_after(50_000)]
    async with downloader_for(server, clock, attempts=1) as first:
        with pytest.raises(DownloadError):
            await first.download(server.url.replace("topsecret", "expired"), target)
    server.script = []
    async with downloader_for(server, clock) as second:
        await second.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges[-1] == "bytes=50000-"


async def test_bytes_of_another_address_are_not_gone_on_with(
    server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 51."""
    server.script = [cut_after(50_000)]
    async with downloader_for(server, clock, attempts=1) as downloader:
        with pytest.raises(DownloadError):
            await downloader.download(f"{server.origin}/other.mp4", target)
        await downloader.download(server.url, target)
    assert server.ranges == [None, None]


@pytest.mark.parametrize(("etag", "requests"), [('"v1"', 0), (None, 1)])
async def test_a_video_that_was_whole_when_the_process_died_is_not_fetched_again(
    downloader: Downloader, server: VideoServer, target: Path, etag: str | None, requests: int
) -> None:
    """Fault 25: dead between the last byte and the name; without an ETag nobody vouches for it."""
    part_of(target).write_bytes(VIDEO)
    address = server.url.replace("topsecret", "expired")
    sidecar = {"address": without_query(address), "etag": etag, "total": len(VIDEO)}
    target.with_name("clip.mp4.part.json").write_text(json.dumps(sidecar))
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert len(server.requests) == requests


@pytest.mark.parametrize("sidecar", ["", "{", "[]", '{"address": 1}', '{"etag": "x", "odd": 1}'])
async def test_a_note_that_cannot_be_read_means_to_begin_anew(
    downloader: Downloader, server: VideoServer, target: Path, sidecar: str
) -> None:
    """Fault 25: the process died while writing it."""
    part_of(target).write_bytes(b"half")
    target.with_name("clip.mp4.part.json").write_text(sidecar)
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None]


async def test_a_changed_video_is_fetched_from_its_start(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 51: the ETag changed."""

    async def change(server: VideoServer, request: web.Request) -> web.StreamResponse:
        server.video, server.etag = mp4(filling=b"other"), '"v2"'
        return await well(server, request)

    server.script = [cut_after(100_000), change]
    await downloader.download(server.url, target)
    assert target.read_bytes() == mp4(filling=b"other")


async def test_nothing_of_a_longer_video_is_left_in_a_shorter_one(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 51: never two files in one."""
    server.script = [cut_after(100_000), answers(200, mp4(60_000))]
    await downloader.download(server.url, target)
    assert target.read_bytes() == mp4(60_000)
    assert len(server.requests) == 2


async def test_a_rest_that_comes_in_pieces_is_asked_for_piece_by_piece(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 50: a server may answer a range in part."""
    piece = answers(206, VIDEO[100_000:150_000], Content_Range="bytes 100000-149999/300000")
    server.script = [cut_after(100_000), piece]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges[1:] == ["bytes=100000-", "bytes=150000-"]


async def test_a_server_that_ignores_the_range_is_believed_from_its_first_byte(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 51: 200 where 206 was asked for."""
    server.script = [cut_after(100_000), answers(200, VIDEO)]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        answers(416),
        answers(206, VIDEO[5:200_005], Content_Range="bytes 5-200004/300000"),
        answers(206, VIDEO[100_000:]),
        answers(206, VIDEO[100_000:], Content_Range="bytes 100000-/lots"),
        answers(206, VIDEO[100_000:], Content_Range="bytes 100000-299999/999999"),
        answers(206, VIDEO[100_000:], Content_Range="bytes 100000-299999/300000", ETag='"v2"'),
    ],
    ids=["416", "other offset", "no offset", "no size", "other size", "other etag"],
)
async def test_a_rest_that_may_not_fit_means_to_begin_anew(
    downloader: Downloader, server: VideoServer, target: Path, wrong: Behaviour
) -> None:
    """Faults 50 and 51."""
    server.script = [cut_after(100_000), wrong]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, "bytes=100000-", None]


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
async def test_without_a_strong_etag_a_cut_download_begins_anew(
    downloader: Downloader, server: VideoServer, target: Path, etag: str | None
) -> None:
    """Fault 51: nobody vouches that the rest is of the same file."""
    server.etag = etag
    server.script = [cut_after(100_000)]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, None]


# -- trying again


@pytest.mark.parametrize(
    "trouble",
    [reset_at_once(), nonsense(), answers(500), answers(503), answers(429), answers(408)],
    ids=["reset", "no http", "500", "503", "429", "408"],
)
async def test_passing_trouble_is_waited_out(
    downloader: Downloader,
    server: VideoServer,
    clock: HastyClock,
    target: Path,
    trouble: Behaviour,
) -> None:
    """Fault 50."""
    server.always = trouble

    async def then_well(server: VideoServer, request: web.Request) -> web.StreamResponse:
        server.always = None
        return await trouble(server, request)

    server.always = then_well
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


async def test_pauses_grow_and_stay_bounded(
    server: VideoServer, clock: HastyClock, target: Path
) -> None:
    server.always = answers(503)
    downloader = Downloader(clock=clock, allowed_origin=server.origin, attempts=9, rng=lambda: 1.0)
    with pytest.raises(DownloadError, match="503"):
        await downloader.download(server.url, target)
    await downloader.aclose()
    assert clock.pauses_s == [0.5, 1, 2, 4, 8, 16, 30, 30]


async def test_after_so_many_attempts_in_a_row_without_getting_on_it_fails(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    server.always = answers(503)
    with pytest.raises(DownloadError, match="HTTP 503"):
        await downloader.download(server.url, target)
    assert len(server.requests) == 5


async def test_an_attempt_that_gets_on_does_not_count(
    server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 50."""
    server.script = [cut_after(70_000)] * 4
    async with downloader_for(server, clock, attempts=1) as downloader:
        await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert len(server.requests) == 5


async def test_a_server_that_always_cuts_and_never_resumes_ends_in_an_error(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 50: coming to the same point again and again is no progress."""
    server.etag, server.always = None, cut_after(100_000)
    with pytest.raises(DownloadError, match="did not come whole"):
        await downloader.download(server.url, target)
    assert len(server.requests) == 6


async def test_the_error_names_the_file_that_keeps_the_bytes(
    server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 50."""
    server.always = cut_after(5_000)
    async with downloader_for(server, clock, attempts=1) as downloader:
        with pytest.raises(DownloadError, match=r"clip\.mp4\.part keeps 5000 bytes"):
            await downloader.download(server.url, target)


@pytest.mark.parametrize("wait", ["7", "Thu, 01 Jan 2026 00:00:07 GMT"])
async def test_a_server_is_given_the_time_it_asks_for(
    downloader: Downloader, server: VideoServer, clock: HastyClock, target: Path, wait: str
) -> None:
    """Faults 13 and 14."""
    server.script = [answers(429, Retry_After=wait)]
    await downloader.download(server.url, target)
    assert 7 < clock.pauses_s[0] < 8


async def test_a_server_that_asks_for_ages_ends_it_at_once(
    downloader: Downloader, server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 14."""
    server.script = [answers(503, Retry_After="1000000000")]
    with pytest.raises(DownloadError, match="1000000000 s"):
        await downloader.download(server.url, target)
    assert clock.pauses_s == []


async def test_a_download_that_stands_still_is_asked_for_again_where_it_stopped(
    downloader: Downloader, server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 45."""
    server.script = [held_after(50_000)]
    reached = Reached(50_000)
    task = asyncio.create_task(downloader.download(server.url, target, on_progress=reached))
    await reached.event.wait()
    await clock.advance(WINDOW_S)
    await task
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, "bytes=50000-"]


async def test_a_server_that_never_answers_is_asked_again(
    downloader: Downloader, server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 45."""

    async def silent(server: VideoServer, _request: web.Request) -> web.StreamResponse:
        server.held.release()
        await server.release.wait()
        return web.Response()

    server.script = [silent]
    task = asyncio.create_task(downloader.download(server.url, target))
    await server.held.acquire()
    await clock.advance(WINDOW_S)
    await task
    assert target.read_bytes() == VIDEO


async def test_a_finished_download_leaves_no_timer_behind(
    downloader: Downloader, server: VideoServer, clock: HastyClock, target: Path
) -> None:
    server.video = mp4(10_000)
    await downloader.download(server.url, target)
    await clock.advance(WINDOW_S)  # a timer left behind would find too few bytes, and raise
    assert len(server.requests) == 1


async def test_a_slow_download_that_moves_is_left_alone(
    downloader: Downloader, server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 45: 1,024 bytes a second are enough."""
    server.script = [held_after(70_000)]
    reached = Reached(70_000)
    task = asyncio.create_task(downloader.download(server.url, target, on_progress=reached))
    await reached.event.wait()
    await clock.advance(WINDOW_S)
    server.release.set()
    await task
    assert server.ranges == [None]


# -- what is no video


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


# -- where it may go


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_rule_is_followed(
    downloader: Downloader, server: VideoServer, target: Path, status: int
) -> None:
    server.script = [redirects("/moved.mp4?Signature=x%2Fy", status)]
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.requests[-1].raw_path == "/moved.mp4?Signature=x%2Fy"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{other}/a.mp4",
        "http://localhost:{port}/a.mp4",
        "https://127.0.0.1/a.mp4",
        "https://localhost/a.mp4",
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/a.mp4",
        "https://[::ffff:127.0.0.1]/a.mp4",
        "https://2130706433/a.mp4",
        "https://user@videos.example/a.mp4",
        "https://videos.example:22/a.mp4",
        "file:///etc/passwd",
        "//127.0.0.1/a.mp4",
        "https://[",
        "",
    ],
)
async def test_a_redirect_to_the_inside_is_rejected_at_once(
    downloader: Downloader, server: VideoServer, target: Path, location: str
) -> None:
    """Fault 47."""
    async with VideoServer(part_of(target)) as other:
        ports = {"port": server.origin.split(":")[-1], "other": other.origin.split(":")[-1]}
        server.always = redirects(location.format(**ports))
        with pytest.raises(DownloadError):
            await downloader.download(server.url, target)
        assert other.requests == []
    assert len(server.requests) == 1


async def test_more_than_five_redirects_are_rejected(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 47."""
    server.always = redirects("/again")
    with pytest.raises(DownloadError, match="redirects"):
        await downloader.download(server.url, target)
    assert len(server.requests) == 6


# -- files


SPECIAL = [
    "named pipe",
    "socket",
    pytest.param("device", marks=pytest.mark.skipif(not MAY_MAKE_DEVICES, reason="needs root")),
]


@contextmanager
def made_special(path: Path, what: str) -> Iterator[None]:
    """Something of this kind in a folder of the test's own; a device that drops what it gets."""
    with socket.socket(socket.AF_UNIX) as listening:
        if what == "named pipe":
            os.mkfifo(path)
        elif what == "folder":
            path.mkdir()
        elif what == "socket":
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(path.parent)  # such a path may have 107 bytes
                listening.bind(path.name)
        else:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        yield


@pytest.mark.parametrize("what", ["file", "dangling link", "folder"])
async def test_a_name_that_is_taken_is_rejected_before_anything_is_fetched(
    downloader: Downloader, server: VideoServer, target: Path, what: str
) -> None:
    """Fault 54."""
    if what == "file":
        target.write_bytes(b"mine")
    elif what == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(DownloadError, match=r"clip\.mp4"):
        await downloader.download(server.url, target)
    assert server.requests == []


async def test_a_folder_is_never_overwritten(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 54."""
    target.mkdir()
    with pytest.raises(DownloadError, match="is a folder"):
        await downloader.download(server.url, target, overwrite=True)
    assert server.requests == []


async def test_a_target_without_a_name_is_rejected(
    downloader: Downloader, server: VideoServer
) -> None:
    """Fault 54."""
    with pytest.raises(DownloadError, match="names no file"):
        await downloader.download(server.url, Path())


async def test_the_error_for_a_taken_name_says_what_to_do(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 54."""
    target.write_bytes(b"mine")
    with pytest.raises(DownloadError, match="overwrite=True"):
        await downloader.download(server.url, target)
    assert target.read_bytes() == b"mine"


async def test_a_file_is_replaced_when_asked_to(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 54."""
    target.write_bytes(b"old")
    await downloader.download(server.url, target, overwrite=True)
    assert target.read_bytes() == VIDEO


async def test_a_name_taken_in_the_meantime_is_not_overwritten(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 54."""
    server.script = [held_after(1000)]
    task = asyncio.create_task(downloader.download(server.url, target))
    await server.held.acquire()
    target.write_bytes(b"racer")
    server.release.set()
    with pytest.raises(DownloadError, match=r"exists already.*clip\.mp4\.part"):
        await task
    assert target.read_bytes() == b"racer"
    await downloader.download(server.url, target, overwrite=True)
    assert target.read_bytes() == VIDEO


def test_where_links_are_unknown_a_name_is_reserved_before_it_is_used(target: Path) -> None:
    """Fault 54: exFAT has no hard links."""
    _reserve(target)
    with pytest.raises(DownloadError, match="exists already"):
        _reserve(target)


async def test_a_link_in_place_of_the_target_is_replaced_and_not_followed(
    downloader: Downloader, server: VideoServer, target: Path, tmp_path: Path
) -> None:
    """Fault 55."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target.symlink_to(victim)
    await downloader.download(server.url, target, overwrite=True)
    assert victim.read_bytes() == b"precious"
    assert not target.is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.parametrize("is_link", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
async def test_what_is_no_file_is_never_replaced(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    what: str,
    is_link: bool,
    overwrite: bool,
) -> None:
    """Fault 55: /dev/null stays what it is, and so does /dev/stdout, a link."""
    special = target.with_name("special")
    with made_special(special, what):
        target.symlink_to(special) if is_link else special.rename(target)
        with pytest.raises(DownloadError, match=f"is a {what}, not a file"):
            await downloader.download(server.url, target, overwrite=overwrite)
    assert server.requests == []
    assert target.is_symlink() == is_link
    assert await asyncio.to_thread(irreplaceable_kind, target) == what


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
async def test_a_pipe_that_came_meanwhile_is_not_replaced(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 55."""
    server.script = [held_after(1000)]
    task = asyncio.create_task(downloader.download(server.url, target, overwrite=True))
    await server.held.acquire()
    os.mkfifo(target)
    server.release.set()
    with pytest.raises(DownloadError, match="is a named pipe"):
        await task
    assert target.is_fifo()
    assert part_of(target).read_bytes() == VIDEO


async def test_a_link_to_nothing_is_replaced(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 55."""
    target.symlink_to("nowhere")
    await downloader.download(server.url, target, overwrite=True)
    assert (target.is_symlink(), target.read_bytes()) == (False, VIDEO)


@pytest.mark.skipif(sys.platform == "win32", reason="no O_NOFOLLOW there")
@pytest.mark.parametrize("name", ["clip.mp4.part", "clip.mp4.part.json"])
async def test_a_link_in_place_of_our_own_files_is_not_followed(
    downloader: Downloader, server: VideoServer, target: Path, tmp_path: Path, name: str
) -> None:
    """Fault 55."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target.with_name(name).symlink_to(victim)
    with pytest.raises(DownloadError, match="is a link, not a file"):
        await downloader.download(server.url, target)
    assert victim.read_bytes() == b"precious"


@pytest.mark.skipif(sys.platform == "win32", reason="no O_NOFOLLOW there")
def test_a_link_that_came_meanwhile_is_not_followed(target: Path, tmp_path: Path) -> None:
    """Faults 55 and 96: no file is made at its end, and no note is read there."""
    part = PartFile(target)
    part.prepare(overwrite=False)
    part.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        part.open("https://videos.example/clip.mp4")
    assert not (tmp_path / "elsewhere").exists()
    part.path.unlink()
    (tmp_path / "note").write_text(NOTE)
    target.with_name("clip.mp4.part.json").symlink_to(tmp_path / "note")
    part.open("https://videos.example/clip.mp4")
    part.close()
    assert part.source is None


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
def test_a_note_out_of_a_pipe_is_not_believed(target: Path) -> None:
    """Fault 96."""
    pipe = target.with_name("clip.mp4.part.json")
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # what is written waits in the pipe
    pipe.write_text(NOTE)
    part = PartFile(target)
    part.open("https://videos.example/clip.mp4")
    part.close()
    os.close(held)
    assert part.source is None


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
@pytest.mark.parametrize("name", ["clip.mp4.part", "clip.mp4.part.json"])
@pytest.mark.parametrize("what", [*SPECIAL, "folder"])
async def test_a_side_file_that_is_no_file_is_rejected_before_anything_is_asked(
    downloader: Downloader, server: VideoServer, target: Path, name: str, what: str
) -> None:
    """Faults 55 and 96: nobody writes to a pipe, and the thread that read it would never end."""
    with (
        made_special(target.with_name(name), what),
        pytest.raises(DownloadError, match=f"{name} is a {what}, not a file; remove it"),
    ):
        await downloader.download(server.url, target)
    assert server.requests == []
    assert os.listdir(target.parent) == [name]


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")
@pytest.mark.parametrize("what", SPECIAL)
def test_what_took_the_place_of_our_files_meanwhile_is_not_waited_for(
    target: Path, what: str
) -> None:
    """Fault 96: between the look and the use."""
    part = PartFile(target)
    part.prepare(overwrite=False)
    with (
        made_special(target.with_name("clip.mp4.part.json"), what),
        made_special(part.path, what),
        pytest.raises((DownloadError, OSError)),
    ):
        part.open("https://videos.example/clip.mp4")
    part.close()
    part.path.unlink()
    part.open("https://videos.example/clip.mp4")
    part.close()
    assert part.source is None


async def test_finished_work_that_still_has_its_old_name_is_left_as_it_is(
    downloader: Downloader, server: VideoServer, target: Path, tmp_path: Path
) -> None:
    """Fault 25: dead between giving the new name and dropping the old one."""
    finished = tmp_path / "finished.mp4"
    finished.write_bytes(b"finished")
    os.link(finished, part_of(target))
    await downloader.download(server.url, target)
    assert finished.read_bytes() == b"finished"
    assert target.read_bytes() == VIDEO


@pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
async def test_two_downloads_never_write_to_one_file(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 51: never two files in one."""
    server.script = [held_after(1000)]
    first = asyncio.create_task(downloader.download(server.url, target))
    await server.held.acquire()
    with pytest.raises(DownloadError, match="another download"):
        await downloader.download(server.url, target)
    server.release.set()
    await first
    assert target.read_bytes() == VIDEO


@pytest.mark.parametrize("name", ["file/clip.mp4", "x" * 300 + ".mp4", "nul\0byte.mp4"])
async def test_a_target_that_the_disk_rejects_is_a_download_error(
    downloader: Downloader, server: VideoServer, tmp_path: Path, name: str
) -> None:
    """Faults 54 and 55."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError) as caught:
        await downloader.download(server.url, tmp_path / name)
    assert isinstance(caught.value.__cause__, OSError | ValueError)
    assert server.requests == []


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond so many bytes, as a full disk would."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_a_download_error_and_the_bytes_are_kept(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    full_disk: Callable[[int], None],
) -> None:
    """Fault 53."""
    full_disk(100_000)
    with pytest.raises(DownloadError, match="cannot be stored") as caught:
        await downloader.download(server.url, target)
    assert isinstance(caught.value.__cause__, OSError)
    assert part_of(target).stat().st_size == 100_000


async def test_once_the_disk_has_room_it_goes_on(
    downloader: Downloader, server: VideoServer, target: Path, full_disk: Callable[[int], None]
) -> None:
    """Fault 53."""
    full_disk(100_000)
    with pytest.raises(DownloadError):
        await downloader.download(server.url, target)
    full_disk(10_000_000)
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, "bytes=100000-"]


@pytest.mark.skipif(sys.platform == "win32", reason="no folder is synced there")
@pytest.mark.parametrize(
    "code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EIO]
)
@pytest.mark.parametrize("call", ["open", "fsync"])
async def test_a_folder_that_cannot_be_synced_keeps_the_whole_video(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
) -> None:
    """Fault 85: the file is there, and its own bytes are on disk."""
    real: Callable[..., Any] = getattr(os, call)

    def fail_for_folders(what: Any, *rest: Any, **named: Any) -> Any:
        if call == "open" and rest == (os.O_RDONLY,) and Path(what) == target.parent:
            raise OSError(code, os.strerror(code))
        if call == "fsync" and stat.S_ISDIR(os.fstat(what).st_mode):
            raise OSError(code, os.strerror(code))
        return real(what, *rest, **named)

    monkeypatch.setattr(os, call, fail_for_folders)
    assert await downloader.download(server.url, target) == target
    assert target.read_bytes() == VIDEO


@pytest.mark.parametrize("name", ["clip.mp4.part", "clip.mp4.part.json"])
async def test_what_cannot_be_removed_after_the_naming_does_not_matter(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Fault 85."""
    real = os.unlink

    def keep(path: Any, **named: Any) -> None:
        if os.fspath(path).endswith(name) and target.exists():
            raise PermissionError(errno.EPERM, "kept")
        real(path, **named)

    monkeypatch.setattr(os, "unlink", keep)
    assert await downloader.download(server.url, target) == target
    monkeypatch.undo()
    target.unlink()
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


async def test_a_file_system_without_fsync_stores_the_video(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 85."""

    def unknown(_descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unknown)
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


@pytest.mark.skipif(sys.platform == "win32", reason="no folder is synced there")
async def test_a_video_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 25: after a power cut there is the whole video, or none of that name."""
    synced: list[tuple[str, int, bool]] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        facts = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(facts.st_mode)
        size = 0 if is_folder else facts.st_size
        synced.append(("folder" if is_folder else "video", size, target.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    await downloader.download(server.url, target)
    assert synced == [("video", len(VIDEO), False), ("folder", 0, True)]


async def test_a_disk_that_lost_the_bytes_is_told(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 53."""

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(DownloadError, match="cannot be stored"):
        await downloader.download(server.url, target)
    assert not target.exists()


async def test_a_name_that_cannot_be_given_is_not_left_taken(
    downloader: Downloader, server: VideoServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 54: neither linked nor renamed, so the next call finds the name free."""

    def reject(*_paths: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", reject)
        patch.setattr(os, "replace", reject)
        with pytest.raises(DownloadError, match="cannot be stored"):
            await downloader.download(server.url, target)
    assert not target.exists()
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO


# -- being called off


async def test_a_cancelled_download_keeps_its_bytes_for_the_next_call(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 33."""
    server.script = [held_after(50_000)]
    reached = Reached(50_000)
    task = asyncio.create_task(downloader.download(server.url, target, on_progress=reached))
    await reached.event.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    assert server.ranges == [None, "bytes=50000-"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
async def test_a_cancelled_download_holds_no_file_open(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 33."""
    server.script = [held_after(50_000)]
    task = asyncio.create_task(downloader.download(server.url, target))
    await server.held.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if target.name in str(fd.resolve())]


@settings(max_examples=30, deadline=None)
@given(turns=st.integers(0, 60))
async def test_cancelled_at_any_moment_the_next_call_brings_the_whole_video(
    turns: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fault 33: there is no moment at which a cancellation breaks what comes after."""
    target = tmp_path_factory.mktemp("clips") / "clip.mp4"
    async with (
        VideoServer(part_of(target)) as server,
        downloader_for(server, HastyClock()) as downloader,
    ):
        task = asyncio.create_task(downloader.download(server.url, target))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await downloader.download(server.url, target, overwrite=True)
    assert target.read_bytes() == VIDEO
    assert os.listdir(target.parent) == ["clip.mp4"]


# -- secrets


@pytest.mark.parametrize(
    "behaviour",
    [
        reset_at_once(),
        nonsense(),
        cut_after(10),
        answers(403),
        answers(401),
        answers(503),
        answers(200, b"<html>", "text/html"),
        answers(200, b"no video"),
        redirects("/again?Signature=topsecret"),
        redirects("https://[?Signature=topsecret"),
        redirects("https://localhost/?Signature=topsecret"),
        redirects("ftp://videos.example/?Signature=topsecret"),
    ],
)
async def test_a_signature_is_in_no_error_and_no_log(
    downloader: Downloader,
    server: VideoServer,
    target: Path,
    behaviour: Behaviour,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault 67."""
    caplog.set_level("DEBUG")
    server.always = behaviour
    with pytest.raises(DownloadError) as caught:
        await downloader.download(server.url, target)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    ours = [line.getMessage() for line in caplog.records if line.name != "aiohttp.access"]
    assert "topsecret" not in told + "".join(ours)


async def test_a_signature_is_not_stored_beside_the_bytes(
    server: VideoServer, clock: HastyClock, target: Path
) -> None:
    """Fault 67."""
    server.always = cut_after(1000)
    async with downloader_for(server, clock, attempts=1) as downloader:
        with pytest.raises(DownloadError):
            await downloader.download(server.url, target)
    assert "topsecret" not in target.with_name("clip.mp4.part.json").read_text()


@pytest.mark.parametrize(
    "url",
    [
        "https://[oops/a.mp4?Signature=topsecret",
        "https://h:99999/a.mp4?Signature=topsecret",
        "https://\udc80/a.mp4?Signature=topsecret",
        f"https://{'a' * 300}/a.mp4?Signature=topsecret",
        "https://a..b/a.mp4?Signature=topsecret",
    ],
)
async def test_a_malformed_address_is_a_download_error_and_leaves_no_file(
    downloader: Downloader, target: Path, url: str
) -> None:
    """Fault 80."""
    with pytest.raises(DownloadError) as caught:
        await downloader.download(url, target)
    assert "topsecret" not in "".join(traceback.format_exception(caught.value))
    assert os.listdir(target.parent) == []


@pytest.mark.parametrize(
    "url", ["http://[topsecret?Signature=topsecret", "http://127.0.0.1:{port}/?Signature=topsecret"]
)
async def test_an_address_that_leads_nowhere_is_not_repeated(
    clock: HastyClock, target: Path, url: str
) -> None:
    """Fault 67."""
    port = unused_port()
    downloader = Downloader(clock=clock, allowed_origin=f"http://127.0.0.1:{port}")
    with pytest.raises(DownloadError) as caught:
        await downloader.download(url.format(port=port), target)
    await downloader.aclose()
    assert "topsecret" not in "".join(traceback.format_exception(caught.value))


# -- names


@pytest.mark.parametrize("task_id", ["abc", "cm-1_2", "736478361293"])
def test_a_plain_id_is_its_own_name(task_id: str) -> None:
    assert safe_name(task_id) == f"{task_id}.mp4"


@pytest.mark.parametrize(
    ("task_id", "start"),
    [
        ("../../etc/passwd", "%2E%2E%2F%2E%2E%2Fetc"),
        ("/absolute", "%2F"),
        ("a\\b", "a%5Cb"),
        ("nul\0byte", "nul%00"),
        (".hidden", "%2Ehidden"),
        ("-rf", "_-rf"),
        ("con", "_con."),
        ("COM1", "_COM1."),
        ("", "_."),
        ("x" * 500, "x" * 100 + "."),
    ],
)
def test_an_id_that_could_be_misread_is_spelt_out(task_id: str, start: str) -> None:
    """Faults 54 and 55."""
    assert safe_name(task_id).startswith(start)


@given(st.text(max_size=200))
def test_every_id_becomes_a_short_name_of_harmless_letters(task_id: str) -> None:
    """Faults 54 and 55."""
    name = safe_name(task_id)
    assert len(name) <= 120
    assert set(name.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-%.")
    assert name[0] not in ".-"


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("cat-1", "Cat-1"), ("é", "É")])
def test_ids_that_differ_by_case_alone_have_names_that_do_not(one: str, other: str) -> None:
    """Fault 54: on macOS and Windows they would be one file."""
    assert safe_name(one).casefold() != safe_name(other).casefold()


@given(st.text("aAbB.-_~%/", max_size=4), st.text("aAbB.-_~%/", max_size=4))
def test_two_ids_never_share_a_name_where_case_is_ignored(one: str, other: str) -> None:
    """Fault 54."""
    if one != other:
        assert safe_name(one).casefold() != safe_name(other).casefold()
