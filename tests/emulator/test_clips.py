"""Videos made from the caller's picture, in processes that are gone afterwards."""

from __future__ import annotations

import base64
import io
import os
import signal
import sys
import tempfile
from pathlib import Path

import av
import pytest

from kling_effects_async import SingleImageEffect, TaskFailedError
from kling_effects_async.emulator import Clips, Emulator
from tests.support.child_processes import child_processes
from tests.support.emulator_caller import calling, single, with_input


async def test_a_clip_is_rendered_from_the_picture_and_no_process_stays() -> None:
    before = child_processes()
    async with (
        Emulator(clips=Clips.TEST, speed=1e9, slots=1) as emulator,
        calling(emulator) as caller,
    ):
        task_id = await caller.new_task_id()
        # The time is over, the clip is not ready: the task runs on and holds its slot.
        assert (await caller.query(task_id)).task["task_status"] == "processing"
        assert (await caller.submit()).json["code"] == 1303
        seen: set[str] = set()
        while (task := (await caller.query(task_id)).task)["task_status"] == "processing":
            seen |= child_processes()
        assert task["task_status"] == "succeed"
        assert seen > before
        video = await caller.send("GET", task["task_result"]["videos"][0]["url"])
        assert (await caller.submit()).status == 200
    with av.open(io.BytesIO(video.body)) as opened:
        stream = opened.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.width > stream.height > 0
    assert child_processes() == before


async def test_rendered_clips_are_files_that_are_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 95: memory does not grow with every clip."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with Emulator(clips=Clips.TEST, speed=1e9) as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        while (task := (await caller.query(task_id)).task)["task_status"] == "processing":
            pass
        video = await caller.send("GET", task["task_result"]["videos"][0]["url"])
        [kept] = tmp_path.glob("kling-emulator-*/*.mp4")
        assert kept.read_bytes() == video.body != b""
        assert kept.parent.stat().st_mode & 0o077 == 0
        kept.write_bytes(b"another")
        again = await caller.send("GET", task["task_result"]["videos"][0]["url"])
        assert again.body == b"another"  # nothing else holds it
    assert list(tmp_path.glob("kling-emulator-*")) == []


async def test_nothing_is_rendered_for_an_unusable_picture() -> None:
    before = child_processes()
    async with Emulator(clips=Clips.TEST, speed=1e9) as emulator, calling(emulator) as caller:
        order = with_input(single(), image="AAAA")
        task_id = (await caller.submit(order)).task["task_id"]
        assert (await caller.query(task_id)).task["task_status"] == "failed"
        assert child_processes() == before


def cut_short(photo: Path) -> bytes:
    """A photograph whose head is whole, and whose pixels end somewhere."""
    content = photo.read_bytes()
    return content[: len(content) // 3]


async def test_a_picture_that_cannot_be_rendered_fails_the_task_in_kling_s_words(cat: Path) -> None:
    """Fault 70: as at the real API: accepted, then failed, and not charged."""
    async with Emulator(clips=Clips.TEST, speed=1e9) as emulator, calling(emulator) as caller:
        image = base64.b64encode(cut_short(cat)).decode()
        accepted = await caller.submit(with_input(single(), image=image))
        assert accepted.json["code"] == 0
        task_id = accepted.task["task_id"]
        while (answer := await caller.query(task_id)).task["task_status"] == "processing":
            continue
    assert (answer.status, answer.json["code"], answer.json["message"]) == (200, 0, "SUCCEED")
    assert answer.task["task_status"] == "failed"
    assert answer.task["task_status_msg"] == "Image pixel is invalid"
    assert answer.task["task_result"] == {}


@pytest.mark.skipif(sys.platform != "linux", reason="finds the render process in /proc")
async def test_a_render_that_is_killed_fails_its_task_and_no_other(cat: Path) -> None:
    """Fault 70: the client sees a failed task; the next one is rendered as ever."""
    before = child_processes()
    effect = SingleImageEffect("squish", image=cat)
    async with (
        Emulator(clips=Clips.TEST, speed=1e9, balance_units=4) as emulator,
        emulator.client() as client,
    ):
        task = await client.submit(effect)
        while not (started := child_processes() - before):
            await task.refresh()
        for pid in started:
            os.kill(int(pid), signal.SIGKILL)
        with pytest.raises(TaskFailedError, match="internal error"):
            await task
        assert (await client.run(effect)).video.url
        assert (await client.submit(effect)).task_id  # the failed one gave its units back
    assert child_processes() == before
