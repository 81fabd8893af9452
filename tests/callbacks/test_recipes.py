"""The recipes of ``docs/callbacks.md``, in the frameworks that they are for."""

from __future__ import annotations

import re
import socket
import types
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web

from kling_effects_async import CallbackReceiver
from kling_effects_async.emulator import Clips, Emulator
from tests.conftest import PHOTOS
from tests.support.callbacks import SECRET

PAGE = Path(__file__).parents[2] / "docs" / "callbacks.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
PHOTO = (PHOTOS / "cat.jpg").read_bytes()


@pytest.fixture
async def emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Emulator]:
    """The service that the recipes' clients call, with callbacks that are signed."""
    monkeypatch.chdir(tmp_path)
    # A task of a second, so that a wait that ends by a poll would be seen.
    async with Emulator(
        clips=Clips.STOCK, webhook_secret=SECRET, speed=100, task_seconds=60.0
    ) as emulator:
        monkeypatch.setenv("KLING_API_KEY", emulator.api_key)
        monkeypatch.setenv("KLING_SERVICE", emulator.url)
        monkeypatch.setenv("KLING_CALLBACK_SECRETS", SECRET)
        yield emulator


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where the application is served, as its settings name it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("PUBLIC_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/kling")
        yield listening


def recipes() -> dict[str, Any]:
    """What all blocks of the page define."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in BLOCKS:
        types.FunctionType(compile(block, PAGE.name, "exec"), names)()
    return names


@asynccontextmanager
async def served(app: web.Application, listening: socket.socket) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        await runner.cleanup()


@pytest.mark.usefixtures("emulator", "unguarded")
async def test_the_recipe_for_aiohttp(listening: socket.socket) -> None:
    names = recipes()
    receiver: CallbackReceiver = names["receiver"]
    async with served(names["make_app"](), listening) as url, aiohttp.ClientSession() as http:
        async with http.post(f"{url}/squish", data=PHOTO) as answer:
            told = await answer.json()
        assert (answer.status, receiver.stats.signed) == (200, 2)
        async with http.post(f"{url}/kling/guess", data=b"{}") as answer:
            assert answer.status == 404
    assert told["video"].startswith("http://127.0.0.1:")


@pytest.mark.usefixtures("emulator", "unguarded")
async def test_the_recipe_for_fastapi(listening: socket.socket) -> None:
    """The emulator's messages reach the application through a server that passes them on."""
    names = recipes()
    receiver: CallbackReceiver = names["receiver"]
    api = names["api"]
    transport = httpx.ASGITransport(api)
    async with (
        names["lifespan"](api),
        httpx.AsyncClient(transport=transport, base_url="http://bot.example") as http,
    ):

        async def pass_on(request: web.Request) -> web.Response:
            headers = {name: text for name, text in request.headers.items() if name != "Host"}
            body = await request.read()
            answer = await http.post(request.path, content=body, headers=headers)
            return web.Response(status=answer.status_code, body=answer.content)

        app = web.Application()
        app.router.add_post("/{path:.*}", pass_on)
        async with served(app, listening):
            told = (await http.post("/squish", content=PHOTO, timeout=30)).json()
            assert receiver.stats.signed == 2
            large = await http.post(receiver_path(receiver, "guess"), content=b" " * 2**17)
            assert (large.status_code, large.text) == (404, "not found")
            receiver.subscribe("guess", lambda message: False)
            large = await http.post(receiver_path(receiver, "guess"), content=b" " * 2**17)
            assert (large.status_code, large.text) == (413, "too large")
    assert told["video"].startswith("http://127.0.0.1:")


def receiver_path(receiver: CallbackReceiver, token: str) -> str:
    return f"/{receiver.public_url.rpartition('/')[2]}/{token}"
