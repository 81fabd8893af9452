"""A video is stored whole: where it may come from, cancellation, and what is never shown."""

from __future__ import annotations

import asyncio
import os
import traceback
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.errors import (
    ClientClosedError,
    DownloadError,
    SettingsError,
)
from tests.support.video_server import (
    VIDEO,
    Behaviour,
    HastyClock,
    Reached,
    VideoServer,
    answers,
    cut_after,
    downloader_for,
    held_after,
    nonsense,
    part_of,
    redirects,
    reset_at_once,
)


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


async def test_a_downloader_that_is_closed_ends_what_waits_for_bytes(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 33: at once, and what came is kept."""
    server.script = [held_after(50_000)]
    reached = Reached(50_000)
    task = asyncio.create_task(downloader.download(server.url, target, on_progress=reached))
    await reached.event.wait()
    await downloader.aclose()
    with pytest.raises(ClientClosedError, match="what came is kept"):
        await task
    assert part_of(target).stat().st_size == 50_000


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
