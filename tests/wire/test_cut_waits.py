"""A poll, a page or a download that is cut at any byte ends with the right result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kling_effects_async import EffectResult, EffectsClient, Video
from kling_effects_async.emulator import Emulator
from tests.support.fault_proxy import (
    Ending,
    FaultProxy,
    Line,
    answer_instead,
    client_through,
    cut_answer,
    cut_request,
    positions,
)
from tests.support.submits import SQUISH

pytestmark = pytest.mark.looptime

Cut = Callable[[int, Ending], Line]

CUTS = pytest.mark.parametrize("cut", [cut_request, cut_answer])
ENDINGS = pytest.mark.parametrize("ending", [Ending.FIN, Ending.RST])


@pytest.fixture
async def client(proxy: FaultProxy, emulator: Emulator) -> AsyncIterator[EffectsClient]:
    async with client_through(proxy, emulator) as client:
        yield client


async def finished(client: EffectsClient, proxy: FaultProxy) -> EffectResult:
    """A task at its end; the next request needs a new connection."""
    result = await client.run(SQUISH)  # not in a fixture, whose time is real
    await proxy.hang_up()
    return result


def last_message(proxy: FaultProxy, cut: Cut) -> bytes:
    carried = proxy.connections[-1]
    return bytes(carried.answer if cut is cut_answer else carried.request)


@ENDINGS
@CUTS
async def test_a_wait_whose_polls_are_cut_ends_with_the_result(
    client: EffectsClient,
    proxy: FaultProxy,
    emulator: Emulator,
    cut: Cut,
    ending: Ending,
) -> None:
    """Faults 6, 7, 8, of a poll: it costs nothing, so it is repeated."""
    await client.attach((await finished(client, proxy)).task_id).refresh()
    for at in positions(last_message(proxy, cut), 8):
        task = await client.submit(SQUISH)
        await proxy.hang_up()
        proxy.next(cut(at, ending), cut(at, ending))
        result = await task
        assert (result.task_id, len(result.videos)) == (task.task_id, 1), at
        assert not proxy.script, at  # of the many polls of a wait, two were cut
    assert emulator.requests["submit"] == emulator.ledger.total


@ENDINGS
@CUTS
async def test_a_page_of_the_list_that_is_cut_comes_whole(
    client: EffectsClient,
    proxy: FaultProxy,
    cut: Cut,
    ending: Ending,
) -> None:
    """Faults 6, 7, 8, of a page: never a part of it."""
    ended = await finished(client, proxy)
    page = await client.list_tasks()
    for at in positions(last_message(proxy, cut), 8):
        await proxy.hang_up()
        proxy.next(cut(at, ending), cut(at, ending))
        assert await client.list_tasks() == page, at
        proxy.script.clear()  # where the whole answer passed, one cut was enough
    assert [task.task_id for task in page.tasks] == [ended.task_id]


async def test_an_answer_cut_without_a_length_is_never_taken_for_whole(
    client: EffectsClient, proxy: FaultProxy
) -> None:
    """Fault 8: aiohttp reports no error where a connection's end is the answer's end."""
    ended = await finished(client, proxy)
    fresh = await client.attach(ended.task_id).refresh()
    body = last_message(proxy, cut_answer).partition(b"\r\n\r\n")[2]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    for at in range(0, len(body), 20):
        await proxy.hang_up()
        proxy.next(answer_instead(head + body[:at]))
        assert await client.attach(ended.task_id).refresh() == fresh, at
        assert not proxy.script, at


# -- downloads


async def downloaded(client: EffectsClient, proxy: FaultProxy, folder: Path) -> tuple[Video, bytes]:
    """A clip, and its content where nothing goes wrong; the last message is its answer."""
    video = (await finished(client, proxy)).video
    path = await client.download(video, folder / "whole.mp4")
    await proxy.hang_up()
    return video, path.read_bytes()


@ENDINGS
@CUTS
async def test_a_download_that_is_cut_is_whole_in_the_end(
    client: EffectsClient,
    proxy: FaultProxy,
    tmp_path: Path,
    cut: Cut,
    ending: Ending,
) -> None:
    """Faults 50, 51: what came is kept, and the rest is joined at the right byte."""
    video, content = await downloaded(client, proxy, tmp_path)
    for at in positions(last_message(proxy, cut), 12):
        await proxy.hang_up()
        proxy.next(cut(at, ending), cut(at, ending))
        path = await client.download(video, tmp_path / f"{at}.mp4")
        assert path.read_bytes() == content, at
        path.unlink()
        proxy.script.clear()  # where the whole answer passed, one cut was enough
    assert [left.name for left in tmp_path.iterdir()] == ["whole.mp4"]


async def test_a_cut_download_goes_on_where_it_broke(
    client: EffectsClient, proxy: FaultProxy, tmp_path: Path
) -> None:
    """Fault 50: only the rest is asked for, of the same content."""
    video, content = await downloaded(client, proxy, tmp_path)
    proxy.next(cut_answer(len(content) // 2))
    path = await client.download(video, tmp_path / "cut.mp4")
    assert path.read_bytes() == content
    first, rest = proxy.connections[-2:]
    came = len(bytes(first.answer).partition(b"\r\n\r\n")[2])
    assert f"Range: bytes={came}-\r\nIf-Range: ".encode() in rest.request
    assert f"Content-Range: bytes {came}-".encode() in rest.answer
