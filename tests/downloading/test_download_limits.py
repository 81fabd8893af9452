"""Downloads from lines that break, servers without an end, and addresses that mean nothing."""

from __future__ import annotations

import os
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_effects_async import (
    BearerToken,
    DownloadError,
    EffectResult,
    EffectsClient,
    Failed,
    KlingEffectsError,
    SingleImageEffect,
    TaskSnapshot,
    TaskStatus,
    Video,
    VideoExpiredError,
)
from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.downloading.renewal import Renewed
from tests.support.video_server import (
    VIDEO,
    HastyClock,
    VideoServer,
    answers,
    box,
    breaks_after,
    downloader_for,
    part_of,
    redirects,
)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


@pytest.fixture
async def server(target: Path) -> AsyncIterator[VideoServer]:
    async with VideoServer(part_of(target)) as server:
        yield server


@pytest.fixture
async def downloader(server: VideoServer) -> AsyncIterator[Downloader]:
    async with downloader_for(server, HastyClock(), attempts=2) as downloader:
        yield downloader


async def endless(_server: VideoServer, request: web.Request) -> web.StreamResponse:
    """A video that begins well, and goes on until nobody listens any more."""
    response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
    await response.prepare(request)
    await response.write(box(b"ftyp", b"isommp42") + box(b"moov"))
    while True:
        await response.write(bytes(100_000))


# -- lines that break


@pytest.mark.parametrize("is_reset", [False, True])
@pytest.mark.parametrize("size_bytes", [61_440, 150_000])
async def test_what_came_before_a_break_is_kept(
    downloader: Downloader, server: VideoServer, target: Path, size_bytes: int, is_reset: bool
) -> None:
    """Fault 96: it is all there when the line breaks, and nobody has stored it yet."""
    server.always = breaks_after(size_bytes, is_reset=is_reset)
    await downloader.download(server.url, target)
    assert target.read_bytes() == VIDEO
    ranges = [f"bytes={start}-" for start in range(size_bytes, len(VIDEO), size_bytes)]
    assert server.ranges == [None, *ranges]


async def test_a_line_that_brings_next_to_nothing_uses_up_the_attempts(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 96: otherwise a server with a byte a time would be asked for ever."""
    server.always = breaks_after(100, is_reset=False)
    with pytest.raises(DownloadError, match="part keeps 200 bytes for the next call"):
        await downloader.download(server.url, target)
    assert len(server.requests) == 2


# -- clips without an end


async def test_a_clip_without_an_end_stops_at_the_limit(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 96: with an error of ours, and without a file that fills the disk."""
    server.always = endless
    with pytest.raises(DownloadError, match="more than 2000000 bytes") as caught:
        await downloader.download(server.url, target, max_bytes=2_000_000)
    assert "topsecret" not in str(caught.value)
    assert os.listdir(target.parent) == []
    assert len(server.requests) == 1


async def test_a_clip_that_is_announced_as_too_large_is_not_fetched(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 96."""
    with pytest.raises(DownloadError, match="pass a larger max_bytes"):
        await downloader.download(server.url, target, max_bytes=len(VIDEO) - 1)
    assert os.listdir(target.parent) == []
    await downloader.download(server.url, target, max_bytes=len(VIDEO))
    assert target.read_bytes() == VIDEO


async def test_a_clip_of_heads_alone_is_not_read_for_minutes(
    downloader: Downloader, server: VideoServer, target: Path
) -> None:
    """Fault 96: each head is a read in a thread that cannot be stopped."""
    server.always = answers(200, box(b"ftyp") + box(b"moov") + box(b"free") * 100_000)
    with pytest.raises(DownloadError, match="more than 100000 boxes"):
        await downloader.download(server.url, target)


@pytest.mark.parametrize(
    ("max_bytes", "kind"), [(0, ValueError), (1e9, TypeError), (True, TypeError)]
)
async def test_a_limit_that_means_nothing_is_rejected(
    max_bytes: int, kind: type[Exception]
) -> None:
    async with EffectsClient(BearerToken("sk-limit")) as client:
        with pytest.raises(kind, match="max_bytes"):
            await client.download(Video(url="https://a.example/"), "a.mp4", max_bytes=max_bytes)


# -- addresses that mean nothing

ODD_ADDRESSES = [
    "https://h:99999/x?Signature=topsecret",
    "https://h:x/x?Signature=topsecret",
    "https://[::1/x?Signature=topsecret",
    "https://[v1.x]/x?Signature=topsecret",
    "https://\udc80/x?Signature=topsecret",
    "https://h/\ud800?Signature=topsecret",
    "https://h/x\n?Signature=topsecret",
    "https://h/x\0?Signature=topsecret",
    "https://h/\x9bx?Signature=topsecret",
    "https://?Signature=topsecret",
    "https:///x?Signature=topsecret",
    "?Signature=topsecret",
    "\\\\h\\x?Signature=topsecret",
    "",
]


@pytest.mark.parametrize("url", ODD_ADDRESSES)
async def test_an_address_that_means_nothing_is_an_error_of_ours(
    downloader: Downloader, server: VideoServer, target: Path, url: str
) -> None:
    """Fault 96."""
    with pytest.raises(DownloadError) as caught:
        await downloader.download(url, target)
    told = "".join(traceback.format_exception(caught.value))
    assert "topsecret" not in told
    assert told.isascii()  # a lone surrogate in it could not even be printed
    assert os.listdir(target.parent) == []


MEANINGLESS = ["https://h:99999/x", "https://h/x\n", "https://\udc80/", "", "https:///x"]
MEANINGLESS += ["https://a b/x", "https://exa%mple.com/x"]


@pytest.mark.parametrize("url", MEANINGLESS)
async def test_an_error_about_an_address_says_what_to_do(
    downloader: Downloader, target: Path, url: str
) -> None:
    """Fault 96."""
    with pytest.raises(
        DownloadError, match=r"is malformed: it.*; get another one from its task.*refresh\(\)"
    ):
        await downloader.download(url, target)


@settings(max_examples=200)
@given(st.text(max_size=12).map("https://".__add__) | st.text(max_size=20))
async def test_no_text_brings_another_error_than_ours(text: str) -> None:
    """Fault 96: up to the moment when something would be asked for."""
    from kling_effects_async.downloading.addresses import AddressRule
    from kling_effects_async.downloading.web import parse

    rule = AddressRule("http://127.0.0.1:1")
    told = ""
    try:
        url = parse(text)
        rule.check(url)
        rule.check_unresolved(url)
    except KlingEffectsError as error:
        told = str(error)
    assert told.isprintable()


@settings(max_examples=40)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12))
async def test_no_redirect_brings_another_error_than_ours(
    tmp_path_factory: pytest.TempPathFactory, location: str
) -> None:
    """Fault 96."""
    target = tmp_path_factory.mktemp("clips") / "clip.mp4"
    async with (
        VideoServer(part_of(target)) as server,
        downloader_for(server, HastyClock(), attempts=1) as downloader,
    ):
        server.always = redirects(location)
        with pytest.raises(DownloadError):
            await downloader.download(server.url, target)


@given(st.text(max_size=30) | st.sampled_from(ODD_ADDRESSES))
def test_no_address_breaks_a_repr(url: str) -> None:
    """Fault 96: a good result can be logged, whatever its address is."""
    video = Video(url=url, watermark_url=url)
    effect = SingleImageEffect("squish", image="https://img.example/cat.jpg")
    result = EffectResult(task_id="1", external_task_id=None, videos=(video,))
    snapshot = TaskSnapshot(task_id="1", status=TaskStatus.SUCCEEDED, videos=(video,))
    failed = Failed(effect=effect, external_task_id="1", error=VideoExpiredError(repr(video)))
    for value in (video, result, snapshot, failed, Renewed(url, is_new=True)):
        assert repr(value).isprintable()
        assert "topsecret" not in repr(value)
