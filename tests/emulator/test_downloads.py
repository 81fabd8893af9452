"""Serving a video: whole, in part, or not at all."""

from __future__ import annotations

import pytest

from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.emulator.downloads import serve_clip
from tests.support.emulator_caller import Caller, calling

CLIP = bytes(range(100))
ETAG = '"one"'


async def address_of_a_video(caller: Caller) -> str:
    answer = await caller.query(await caller.new_task_id())
    url: str = answer.task["task_result"]["videos"][0]["url"]
    return url


async def test_a_video_is_h264_in_an_mp4_and_needs_no_key() -> None:
    async with (
        Emulator(clips=Clips.STOCK, speed=1e9) as emulator,
        calling(emulator) as caller,
        calling(emulator, authorization=None) as stranger,
    ):
        answer = await stranger.send("GET", await address_of_a_video(caller))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "video/mp4")
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.body[4:8] == b"ftyp"
    assert b"moov" in answer.body
    assert b"avc1" in answer.body


@pytest.mark.parametrize("change", [lambda url: url[:-1], lambda url: url.partition("?")[0]])
async def test_a_wrong_or_missing_sign_is_403(change: object) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e9) as emulator, calling(emulator) as caller:
        assert callable(change)
        url = change(await address_of_a_video(caller))
        assert (await caller.send("GET", url)).status == 403


async def test_a_sign_opens_no_other_task() -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e9) as emulator, calling(emulator) as caller:
        first, second = [await address_of_a_video(caller) for _ in range(2)]
        mixed = first.partition("?")[0] + "?" + second.partition("?")[2]
        assert (await caller.send("GET", mixed)).status == 403


@pytest.mark.parametrize(
    ("range_header", "part", "content_range"),
    [
        ("bytes=10-", CLIP[10:], "bytes 10-99/100"),
        ("bytes=10-19", CLIP[10:20], "bytes 10-19/100"),
        ("bytes=90-500", CLIP[90:], "bytes 90-99/100"),
        ("bytes=-5", CLIP[-5:], "bytes 95-99/100"),
        ("bytes=-500", CLIP, "bytes 0-99/100"),
        ("bytes=0-0", CLIP[:1], "bytes 0-0/100"),
    ],
)
def test_a_range_is_served_with_its_position(
    range_header: str, part: bytes, content_range: str
) -> None:
    reply = serve_clip(CLIP, ETAG, range_header, None)
    assert (reply.status, reply.body) == (206, part)
    assert reply.headers["Content-Range"] == content_range


@pytest.mark.parametrize("range_header", ["bytes=100-", "bytes=20-10", "bytes=-0"])
def test_a_range_outside_the_file_is_416(range_header: str) -> None:
    reply = serve_clip(CLIP, ETAG, range_header, None)
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */100")


@pytest.mark.parametrize(
    "range_header", [None, "bytes=-", "bytes=1-2,5-6", "lines=1-2", "bytes=x-"]
)
def test_no_range_or_an_odd_one_gives_the_whole_file(range_header: str | None) -> None:
    reply = serve_clip(CLIP, ETAG, range_header, None)
    assert (reply.status, reply.body, reply.headers["ETag"]) == (200, CLIP, ETAG)


@pytest.mark.parametrize(("if_range", "status"), [(ETAG, 206), ('"two"', 200)])
def test_a_range_counts_only_while_the_file_is_the_same(if_range: str, status: int) -> None:
    assert serve_clip(CLIP, ETAG, "bytes=1-", if_range).status == status
