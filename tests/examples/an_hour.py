"""An hour of the aiohttp service of ``docs/examples``: users, restarts, kills and lost answers.

Not part of the suite, as it takes a minute: ``pytest tests/examples/an_hour.py``. Another hour is
``HOUR_SEED=13 pytest tests/examples/an_hour.py``.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import pytest
from attrs import Factory, define

from kling_effects_async.emulator import Fault
from tests.conftest import PHOTOS
from tests.examples.conftest import Place
from tests.support.web_process import environment, service_process
from tests.support.web_users import photo_of, upload, watch

CAT = (PHOTOS / "cat.jpg").read_bytes()
HOUR_S, UPLOADS, RESTARTS = 3600.0, 100, 8

T = TypeVar("T")


@define
class Seen:
    """What one user had: the ids he was told, the last states of his page, and his clips."""

    names: set[str] = Factory(set)
    ends: list[str] = Factory(list)
    clips: list[bytes] = Factory(list)


async def until_it_works(act: Callable[[], Awaitable[T]]) -> T:
    """As a browser or its user does while the service is away."""
    while True:
        try:
            return await act()
        except aiohttp.ClientError:
            await asyncio.sleep(3)


async def use(place: Place, url: str, number: int, at_s: float) -> Seen:
    """Upload a photo, watch its page to the end, and take the clip."""
    seen = Seen()
    await asyncio.sleep(at_s)

    async def send() -> None:
        photo = photo_of(CAT, number)
        seen.names.add(await upload(place.http, url, f"user{number % 7}", photo))

    async def look() -> None:
        (name,) = seen.names
        async for state in watch(place.http, url, name):
            if state["is_last"]:
                seen.ends.append(state["state"])

    async def take() -> None:
        (name,) = seen.names
        seen.clips.append(await place.clip(url, name))

    await until_it_works(send)
    while not seen.ends:  # a stream that ends early: the service stops
        await until_it_works(look)
        await asyncio.sleep(1)
    await until_it_works(take)
    return seen


async def serve(place: Place, rng: random.Random) -> None:
    """The hour, in parts of random length with pauses between them; then until it is cancelled."""
    for _ in range(RESTARTS):
        async with place.started():
            await asyncio.sleep(rng.uniform(0.5, 1.5) * HOUR_S / (RESTARTS + 1))
        await asyncio.sleep(rng.uniform(0, 60))
    async with place.started():
        await asyncio.Event().wait()


@pytest.mark.looptime
@pytest.mark.parametrize("slots", [4])
async def test_an_hour_with_restarts_loses_nothing_and_pays_nothing_twice(place: Place) -> None:
    rng = random.Random(os.environ.get("HOUR_SEED", "12"))
    serving = asyncio.create_task(serve(place, rng))
    seen = await all_used(place, address_of(place), rng, HOUR_S)
    serving.cancel()
    await asyncio.wait({serving})
    check(place, seen)
    assert place.emulator.requests["download"] == UPLOADS


@pytest.mark.parametrize(("slots", "speed"), [(4, 60.0)])
async def test_an_hour_with_kills_loses_nothing_and_pays_nothing_twice(
    place: Place, unused_tcp_port: int
) -> None:
    """The hour takes a minute, and the service is a process: every other restart is a SIGKILL."""
    rng = random.Random(os.environ.get("HOUR_SEED", "12"))
    environ = environment(place.emulator, place.folder, unused_tcp_port)
    serving = asyncio.create_task(serve_and_kill(environ, rng, HOUR_S / 60))
    seen = await all_used(place, f"http://127.0.0.1:{unused_tcp_port}", rng, HOUR_S / 60)
    serving.cancel()
    await asyncio.wait({serving})
    check(place, seen)


async def serve_and_kill(environ: dict[str, str], rng: random.Random, hour_s: float) -> None:
    for number in range(RESTARTS):
        ending = signal.SIGKILL if number % 2 else signal.SIGTERM
        async with service_process(environ, ending):
            await asyncio.sleep(rng.uniform(0.5, 1.5) * hour_s / (RESTARTS + 1))
    async with service_process(environ):
        await asyncio.Event().wait()


def address_of(place: Place) -> str:
    return f"http://127.0.0.1:{place.listening.getsockname()[1]}"


async def all_used(place: Place, url: str, rng: random.Random, hour_s: float) -> list[Seen]:
    """What the users had, who come within the hour; some answers to submits are lost."""
    for _ in range(6):  # with and without a task
        place.emulator.fail_next(Fault.cut_after_reading(accepted=rng.random() < 0.5))
    starts = [rng.uniform(0, hour_s) for _ in range(UPLOADS)]
    return await asyncio.gather(
        *(use(place, url, number, at_s) for number, at_s in enumerate(starts))
    )


def check(place: Place, seen: list[Seen]) -> None:
    ledger, names = place.emulator.ledger, {name for each in seen for name in each.names}
    assert (len(names), ledger.total, ledger.repeated()) == (UPLOADS, UPLOADS, ())
    assert [each.ends for each in seen] == [["succeeded"]] * UPLOADS
    assert {len(each.clips) for each in seen} == {1}
    assert {clip[4:8] for each in seen for clip in each.clips} == {b"ftyp"}
