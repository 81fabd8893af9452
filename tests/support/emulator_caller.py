"""Plain HTTP to an emulator, so that its tests use none of the client's code."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from attrs import frozen
from yarl import URL

import kling_effects_async.emulator
from kling_effects_async.emulator import Clips, Emulator

GATEWAY = "/kling/v1/videos/effects"
OFFICIAL = "/v1/videos/effects"
_OWN_KEY = "the emulator's own key"

_PHOTOS = Path(kling_effects_async.emulator.__file__).with_name("photos")
PICTURE = base64.b64encode((_PHOTOS / "cat.jpg").read_bytes()).decode()


@frozen
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def task(self) -> Any:
        return self.json["data"]


@frozen
class Caller:
    """One caller of one of the two paths."""

    session: aiohttp.ClientSession
    path: str
    authorization: str | None

    async def send(self, method: str, url: str | URL, **options: Any) -> Answer:
        headers = options.pop("headers", {})
        if self.authorization is not None:
            headers = {"Authorization": self.authorization} | headers
        async with self.session.request(method, url, headers=headers, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def submit(self, submitted: object = None, **changes: object) -> Answer:
        payload = submitted if submitted is not None else single(**changes)
        return await self.post(json.dumps(payload).encode())

    async def post(self, body: bytes, **headers: str) -> Answer:
        """Send these bytes as the body of a submit, as JSON unless the headers replace the type."""
        typed = {"Content-Type": "application/json"} | headers
        return await self.send("POST", self.path, data=io.BytesIO(body), headers=typed)

    async def query(self, given_id: str) -> Answer:
        return await self.send("GET", f"{self.path}/{given_id}")

    async def list(self, **parameters: object) -> Answer:
        return await self.send("GET", self.path, params=parameters)

    async def new_task_id(self, **changes: object) -> str:
        answer = await self.submit(**changes)
        task_id: str = answer.task["task_id"]
        return task_id


def stock(**options: Any) -> Emulator:
    """An emulator that renders nothing."""
    return Emulator(clips=Clips.STOCK, **options)


def fast_stock(**options: Any) -> Emulator:
    """An emulator that renders nothing, and whose tasks end at once."""
    return stock(speed=1e9, **options)


@asynccontextmanager
async def calling(
    emulator: Emulator, path: str = GATEWAY, authorization: str | None = _OWN_KEY
) -> AsyncIterator[Caller]:
    # A fresh connection each time, because aiohttp repeats a GET on a kept one that was cut.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(emulator.url, connector=connector) as session:
        own = f"Bearer {emulator.api_key}"
        yield Caller(session, path, own if authorization is _OWN_KEY else authorization)


def single(**changes: object) -> dict[str, object]:
    """The gateway's example of one picture. ``changes`` are on top, None takes a field away."""
    given = {"model_name": "kling-v1-6", "image": PICTURE, "duration": "5"}
    return _changed({"effect_scene": "squish", "input": given}, changes)


def dual(**changes: object) -> dict[str, object]:
    given = {
        "model_name": "kling-v1-6",
        "mode": "std",
        "images": [PICTURE, PICTURE],
        "duration": "10",
    }
    return _changed({"effect_scene": "hug", "input": given}, changes)


def with_input(submitted: dict[str, object], **changes: object) -> dict[str, object]:
    given = submitted["input"]
    assert isinstance(given, dict)
    return submitted | {"input": _changed(given, changes)}


def _changed(values: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in (values | changes).items() if value is not None}
