"""Something on the way sends other bytes in place of a clip: only the clip is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import frozen

from kling_effects_async import DownloadError, EffectsClient, Video
from kling_effects_async.emulator import Emulator
from tests.support.fault_proxy import (
    FaultProxy,
    answer_instead,
    client_through,
    cut_answer,
    whole_answer,
)
from tests.support.submits import SQUISH
from tests.support.video_server import mp4

pytestmark = pytest.mark.looptime

MP4 = "video/mp4"
OTHER = mp4(20_000)
PAGE = b"<html><body>Sign in</body></html>"


@frozen
class Clip:
    video: Video
    content: bytes


async def clip_of(client: EffectsClient, proxy: FaultProxy, folder: Path) -> Clip:
    """A clip of a task that has just ended; the next request needs a new connection."""
    video = (await client.run(SQUISH)).video
    path = await client.download(video, folder / "first.mp4")
    content = path.read_bytes()
    path.unlink()
    await proxy.hang_up()
    return Clip(video, content)


def no_length(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n" + body


NO_CLIP = {
    "44 no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "50 nothing": b"",
    "52 no bytes": whole_answer(200, b"", MP4),
    "52 a page": whole_answer(200, PAGE, "text/html"),
    "52 a page that is called a video": whole_answer(200, PAGE, MP4),
    "52 more than was announced": whole_answer(200, OTHER, MP4).replace(b": 20000", b": 19000"),
    "52 less than was announced": whole_answer(200, OTHER, MP4).replace(b": 20000", b": 21000"),
    "52 no length, and cut": no_length(OTHER[:15_000]),
    "52 no index of its frames": whole_answer(200, OTHER.replace(b"moov", b"free"), MP4),
    "13 429": whole_answer(429, b"", Retry_After="7"),
    "11 503": whole_answer(503, PAGE, "text/html"),
}


@pytest.mark.parametrize("answer", NO_CLIP.values(), ids=NO_CLIP)
async def test_what_is_no_clip_is_not_kept_and_the_clip_comes(
    proxy: FaultProxy, emulator: Emulator, tmp_path: Path, answer: bytes
) -> None:
    """Faults 11, 13, 44, 49, 50, 52: once, and twice in a row."""
    async with client_through(proxy, emulator) as client:
        clip = await clip_of(client, proxy, tmp_path)
        for times in (1, 2):
            proxy.next(*[answer_instead(answer)] * times)
            path = await client.download(clip.video, tmp_path / f"{times}.mp4")
            assert path.read_bytes() == clip.content
            assert not proxy.script
            await proxy.hang_up()
    assert sorted(left.name for left in tmp_path.iterdir()) == ["1.mp4", "2.mp4"]


@pytest.mark.parametrize("answer", NO_CLIP.values(), ids=NO_CLIP)
async def test_what_is_never_a_clip_is_an_error_and_no_file(
    proxy: FaultProxy, emulator: Emulator, tmp_path: Path, answer: bytes
) -> None:
    """Faults 44, 49, 50, 52: the error does not show the signature, and nothing has the name."""
    async with client_through(proxy, emulator) as client:
        clip = await clip_of(client, proxy, tmp_path)
        proxy.always = answer_instead(answer)
        with pytest.raises(DownloadError) as caught:
            await client.download(clip.video, tmp_path / "clip.mp4")
    assert clip.video.url.rpartition("=")[2] not in str(caught.value)
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_rejected_address_is_asked_for_anew(
    proxy: FaultProxy, emulator: Emulator, tmp_path: Path, status: int
) -> None:
    """Fault 49: the task is queried once more, and the clip comes from the address it has then."""
    async with client_through(proxy, emulator) as client:
        clip = await clip_of(client, proxy, tmp_path)
        queries = emulator.requests["query"]
        proxy.next(answer_instead(whole_answer(status, b"gone", "text/plain")))
        path = await client.download(clip.video, tmp_path / "clip.mp4")
        assert path.read_bytes() == clip.content
        assert emulator.requests["query"] == queries + 1


# A rest of the clip comes after a cut; each is told apart from the clip's own.
OTHER_RESTS = {
    "51 200": whole_answer(200, OTHER, MP4),
    "51 416": whole_answer(416, b"", MP4, Content_Range="bytes */100"),
    "51 another tag": whole_answer(
        206, OTHER[1_000:], MP4, ETag='"other"', Content_Range="bytes 1000-19999/20000"
    ),
    "50 another place": whole_answer(
        206, OTHER[5:], MP4, ETag='"other"', Content_Range="bytes 5-19999/20000"
    ),
    "50 no place": whole_answer(206, OTHER[1_000:], MP4),
    "50 another size": whole_answer(
        206, OTHER[1_000:], MP4, Content_Range="bytes 1000-19999/999999"
    ),
}


@pytest.mark.parametrize("answer", OTHER_RESTS.values(), ids=OTHER_RESTS)
@pytest.mark.parametrize("at", [0.3, 0.9])
async def test_two_files_are_never_joined(
    proxy: FaultProxy, emulator: Emulator, tmp_path: Path, answer: bytes, at: float
) -> None:
    """Faults 50, 51: after a cut comes the rest of something else."""
    async with client_through(proxy, emulator) as client:
        clip = await clip_of(client, proxy, tmp_path)
        proxy.next(cut_answer(int(len(clip.content) * at)), answer_instead(answer))
        path = await client.download(clip.video, tmp_path / "clip.mp4")
        assert path.read_bytes() in (clip.content, OTHER)
        assert not proxy.script
    assert [left.name for left in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    "there",
    [
        "http://127.0.0.1:1/inside",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "https://127.0.0.1/",
        "https://10.0.0.1/clip.mp4",
        "https://0x7f.1/",
        "file:///etc/passwd",
        "ftp://files.example/clip.mp4",
        "//127.0.0.1:2/clip.mp4",
    ],
)
async def test_a_clip_that_leads_inside_is_not_followed(
    proxy: FaultProxy, emulator: Emulator, tmp_path: Path, there: str
) -> None:
    """Fault 47: each hop is checked; the test of names that resolve inside is with the resolver."""
    async with client_through(proxy, emulator) as client:
        clip = await clip_of(client, proxy, tmp_path)
        proxy.next(answer_instead(whole_answer(302, Location=there)))
        with pytest.raises(DownloadError):
            await client.download(clip.video, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


async def test_hops_without_an_end_are_an_error(
    proxy: FaultProxy, emulator: Emulator, tmp_path: Path
) -> None:
    """Fault 47: five of them are followed."""
    async with client_through(proxy, emulator) as client:
        clip = await clip_of(client, proxy, tmp_path)
        hop = whole_answer(302, Location=clip.video.url)
        proxy.next(*[answer_instead(hop)] * 5)
        await client.download(clip.video, tmp_path / "clip.mp4")
        await proxy.hang_up()
        before = len(proxy.connections)
        proxy.always = answer_instead(hop)
        with pytest.raises(DownloadError):
            await client.download(clip.video, tmp_path / "other.mp4")
        assert len(proxy.connections) - before == 6
    assert [left.name for left in tmp_path.iterdir()] == ["clip.mp4"]
