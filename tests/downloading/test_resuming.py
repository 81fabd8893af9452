"""A download that was cut goes on where it broke, and nothing of another video is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import web

from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.errors import (
    DownloadError,
)
from kling_effects_async.models import without_query
from tests.support.video_server import (
    VIDEO,
    Behaviour,
    HastyClock,
    VideoServer,
    answers,
    cut_after,
    downloader_for,
    mp4,
    part_of,
    well,
)


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
