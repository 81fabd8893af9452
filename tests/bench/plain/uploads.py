"""Large images submitted all at once, streamed in the fastest form that holds nothing in memory."""

from __future__ import annotations

import asyncio
import binascii
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from tests.bench.control import facts, reset
from tests.bench.meter import Meter, noting_stalls
from tests.bench.orders import Figures, Order
from tests.bench.plain.session import new_session
from tests.bench.uploaded import check_arrived
from tests.bench.work import IMAGE_BYTES, SCENE, image_files

__all__ = ["measure"]

_STEP_BYTES = 48 * 1024


async def measure(order: Order, url: str) -> list[Figures]:
    """The figures of submitting, until the last is accepted."""
    effects = f"{url}/v1/videos/effects"
    with image_files(order.count) as files:
        async with new_session() as warm:
            await _post(warm, effects, _ImagePayload(files[0]))
        await reset(url)
        stalls: Figures = {}
        async with new_session() as session:
            with Meter(is_profiled=order.is_profiled) as meter:
                async with noting_stalls(stalls):
                    await asyncio.gather(
                        *(_post(session, effects, _ImagePayload(file)) for file in files)
                    )
        counted = await facts(url)
        check_arrived(files, counted)
    return [meter.figures | stalls | {"requests": counted["submits"]}]


async def _post(session: aiohttp.ClientSession, url: str, body: _ImagePayload) -> str:
    async with session.post(url, data=body) as response:
        answer = json.loads(await response.read())
    task_id: str = answer["data"]["task_id"]
    return task_id


class _ImagePayload(Payload):
    _default_content_type = "application/json"
    _autoclose = True
    _value: Path

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self._head = f'{{"effect_scene":"{SCENE}","input":{{"image":"'.encode()
        self._size = len(self._head) + 4 * -(-IMAGE_BYTES // 3) + 3

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        raise TypeError("streamed")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        await writer.write(self._head)
        # The files are small enough for the page cache, so reading them here holds nobody up.
        with open(self._value, "rb", buffering=0) as file:  # noqa: ASYNC230
            while step := file.read(_STEP_BYTES):
                await writer.write(_encode(step))
                await asyncio.sleep(0)
        await writer.write(b'"}}')


def _encoder() -> Callable[[bytes], bytes]:
    try:
        import pybase64
    except ImportError:
        return partial(binascii.b2a_base64, newline=False)
    encode: Callable[[bytes], bytes] = pybase64.b64encode
    return encode


_encode = _encoder()
