"""Where the example services run: a folder, a port and the emulator, which outlive them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
from attrs import frozen
from examples.aiohttp_service import make_app

from kling_effects_async import CallbackReceiver
from kling_effects_async.emulator import Clips, Emulator
from tests.support.callbacks import SECRET
from tests.support.web_users import served

# A write of the journal is waited for by many turns of the loop, and not by hours of its time.
fast_forwarded = pytest.mark.looptime(noop_cycles=1000)
# A fast-forwarded loop may pass any limit while a thread works.
NO_LIMIT = aiohttp.ClientTimeout()


@frozen
class Place:
    """What outlives the application: its folder, its port, and Kling."""

    emulator: Emulator
    folder: Path
    listening: socket.socket
    http: aiohttp.ClientSession

    def started(self) -> AbstractAsyncContextManager[str]:
        address = f"http://127.0.0.1:{self.listening.getsockname()[1]}/kling"
        return served(make_app(self.folder, CallbackReceiver(address, [SECRET])), self.listening)

    async def clip(self, url: str, name: str) -> bytes:
        async with self.http.get(f"{url}/jobs/{name}/clip") as answer:
            assert (answer.status, answer.content_type) == (200, "video/mp4")
            return await answer.read()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def slots() -> int:
    """The limit of the account; a test that is parametrized with another one has that."""
    return 2


@pytest.fixture
def speed() -> float:
    """How much faster than the loop the service is, for tests in real time."""
    return 1.0


@pytest.fixture
async def place(
    slots: int,
    speed: float,
    tmp_path: Path,
    listening: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Place]:
    async with (
        Emulator(
            clips=Clips.STOCK,
            webhook_secret=SECRET,
            task_seconds=(40.0, 90.0),
            slots=slots,
            speed=speed,
            seed=1,
        ) as emulator,
        aiohttp.ClientSession(timeout=NO_LIMIT) as http,
    ):
        monkeypatch.setenv("KLING_API_KEY", emulator.api_key)
        monkeypatch.setenv("KLING_SERVICE", emulator.url)
        yield Place(emulator, tmp_path, listening, http)
