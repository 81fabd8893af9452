"""Passing failures are retried, with pauses that are bounded; a lasting one is an error."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.errors import (
    DownloadError,
)
from tests.support.video_server import (
    VIDEO,
    WINDOW_S,
    Behaviour,
    HastyClock,
    Reached,
    VideoServer,
    answers,
    cut_after,
    downloader_for,
    held_after,
    mp4,
    nonsense,
    reset_at_once,
)


@pytest.mark.parametrize(
    "failure",
    [reset_at_once(), nonsense(), answers(500), answers(503), answers(429), answers(408)],
    ids=["reset", "no http", "500", "503", "429", "408"],
)
async def test_passing_failures_are_waited_out(
    downloader: Downloader,
    server: VideoServer,
    clock: HastyClock,
    target: Path,
    failure: Behaviour,
) -> None:
    """Fault 50."""
    server.always = failure

    async def then_well(server: VideoServer, request: web.Request) -> web.StreamResponse:
        server.always = None
        return await failure(server, request)

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
