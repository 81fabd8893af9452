"""``download`` to a writer and ``open_video``, from the client to the emulator."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kling_effects_async import ClipStream, DownloadError, EffectsClient, SingleImageEffect, Video
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.submits import SQUISH

pytestmark = pytest.mark.looptime


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(clips=Clips.STOCK, task_seconds=30.0, seed=1) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[EffectsClient]:
    async with emulator.client() as opened:
        yield opened


async def made(client: EffectsClient, effect: SingleImageEffect = SQUISH) -> Video:
    return (await client.run(effect)).video


async def test_a_file_a_writer_and_a_stream_get_the_same_bytes(
    client: EffectsClient, emulator: Emulator, tmp_path: Path
) -> None:
    video = await made(client)
    path = await client.download(video, tmp_path / "clip.mp4")
    buffer = io.BytesIO()
    length_bytes = await client.download(video, buffer)
    async with client.open_video(video) as stream:
        assert isinstance(stream, ClipStream)
        assert (stream.size_bytes, stream.content_type) == (length_bytes, "video/mp4")
        streamed = b"".join([chunk async for chunk in stream])
    assert path.read_bytes() == buffer.getvalue() == streamed
    assert len(streamed) == length_bytes


async def test_progress_is_told_of_a_writer_too(client: EffectsClient, emulator: Emulator) -> None:
    """Fault 50."""
    video = await made(client)
    emulator.fail_next(Fault.cut_answer(1000, on="download"))
    seen: list[tuple[int, int | None]] = []
    length_bytes = await client.download(
        video, io.BytesIO(), on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (length_bytes, length_bytes)
    assert seen == sorted(seen)


async def test_an_expired_address_is_renewed_before_the_first_byte(
    client: EffectsClient, emulator: Emulator
) -> None:
    """Fault 49."""
    video = await made(client)
    emulator.fail_next(Fault.expired())
    async with client.open_video(video) as stream:
        assert len(b"".join([chunk async for chunk in stream])) == stream.size_bytes


async def test_a_writer_s_error_reaches_the_caller_as_it_is(client: EffectsClient) -> None:
    """Fault 35."""
    video = await made(client)
    mine = LookupError("mine")

    class Broken:
        async def write(self, _data: bytes) -> None:
            raise mine

    with pytest.raises(LookupError) as caught:
        await client.download(video, Broken())
    assert caught.value is mine


async def test_a_clip_that_is_too_large_is_an_error(client: EffectsClient) -> None:
    """Fault 96."""
    video = await made(client)
    with pytest.raises(DownloadError, match="max_bytes"):
        await client.download(video, io.BytesIO(), max_bytes=100)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"path": io.StringIO()}, TypeError, "wb"),
    ({"path": 3}, TypeError, "a binary file or a writer"),
    ({"path": io.BytesIO(), "overwrite": True}, ValueError, "for a path"),
    ({"path": io.BytesIO(), "max_bytes": 0}, ValueError, "1 or more"),
]


@pytest.mark.parametrize(("arguments", "kind", "words"), WRONG)
async def test_what_cannot_be_written_to_is_rejected_before_anything_is_sent(
    client: EffectsClient,
    emulator: Emulator,
    arguments: dict[str, Any],
    kind: type[Exception],
    words: str,
) -> None:
    video = await made(client)
    with pytest.raises(kind, match=words):
        await client.download(video, **arguments)
    assert emulator.requests["download"] == 0


async def test_a_stream_needs_a_video(client: EffectsClient) -> None:
    with pytest.raises(TypeError, match="video must be a Video"):
        client.open_video("https://v.example/clip.mp4")  # type: ignore[arg-type]  # a text
    with pytest.raises(ValueError, match="1 or more"):
        client.open_video(await made(client), max_bytes=0)
