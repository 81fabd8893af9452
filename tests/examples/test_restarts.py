"""The aiohttp service of ``docs/examples`` is restarted: nothing is lost or paid twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from examples.aiohttp_service import store

from kling_effects_async.emulator import Clips, Emulator
from tests.conftest import PHOTOS
from tests.examples.conftest import Place, fast_forwarded
from tests.support.callbacks import SECRET
from tests.support.web_process import environment, service_process
from tests.support.web_users import photo_of, upload, watch

CAT = (PHOTOS / "cat.jpg").read_bytes()


async def last_state(http: aiohttp.ClientSession, url: str, name: str) -> str:
    """The last state that a page is told while the service runs."""
    return [str(state["state"]) async for state in watch(http, url, name)][-1]


@fast_forwarded
@pytest.mark.parametrize("pause_s", [0, 20, 400], ids="{} s".format)
async def test_after_a_restart_every_photo_becomes_one_clip(place: Place, pause_s: int) -> None:
    """Stopped with photos in every state: sent, running, waiting for a slot; and started later."""
    async with place.started() as url:
        photos = [photo_of(CAT, number) for number in range(5)]
        names = [await upload(place.http, url, "ann", photo) for photo in photos]
        await asyncio.sleep(pause_s / 5)
    await asyncio.sleep(pause_s)
    async with place.started() as url:
        states = await asyncio.gather(*(last_state(place.http, url, name) for name in names))
        assert states == ["succeeded"] * 5
        for name in names:
            await place.clip(url, name)
    assert (place.emulator.ledger.total, place.emulator.ledger.repeated()) == (5, ())
    submits = place.emulator.requests["submit"]
    async with place.started() as url:  # nothing is left to do
        assert await last_state(place.http, url, names[0]) == "succeeded"
    assert place.emulator.requests["submit"] == submits


@fast_forwarded
async def test_a_photo_that_the_journal_does_not_know_yet_is_not_lost(place: Place) -> None:
    """The process died between the answer to the upload and the first line in the journal."""
    name = store(place.folder, "ann", CAT).stem
    (place.folder / "uploads" / "ann" / f"{name}.0badf00d").write_bytes(CAT[:1000])  # cut off
    async with place.started() as url:
        assert await last_state(place.http, url, name) == "succeeded"
    assert [entry.external_task_id for entry in place.emulator.ledger.entries] == [name]


async def test_a_service_that_is_killed_pays_nothing_twice_and_loses_nothing(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    """A real SIGKILL, with tasks that run, tasks that wait, and a photo that was just promised."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with (
        Emulator(
            clips=Clips.STOCK, webhook_secret=SECRET, task_seconds=60.0, speed=120, slots=2
        ) as emulator,
        aiohttp.ClientSession() as http,
    ):
        environ = environment(emulator, tmp_path, unused_tcp_port)
        names = []
        for number in range(2):
            async with service_process(environ):
                photos = [photo_of(CAT, 10 * number + each) for each in range(3)]
                names += [await upload(http, url, "ann", photo) for photo in photos]
                async for state in watch(http, url, names[-3]):
                    if state["state"] == "accepted":
                        break
                names.append(await upload(http, url, "ben", photos[0]))
        async with service_process(environ):
            states = await asyncio.gather(*(last_state(http, url, name) for name in names))
            assert states == ["succeeded"] * 8
            async with http.get(f"{url}/jobs/{names[0]}/clip") as answer:
                assert (await answer.read())[4:8] == b"ftyp"
    assert (emulator.ledger.total, emulator.ledger.repeated()) == (8, ())
    assert {entry.external_task_id for entry in emulator.ledger.entries} == set(names)
