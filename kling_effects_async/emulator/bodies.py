"""Reading the body of a request, within bounds of size, time and number.

aiohttp does not read a body before a handler does, so a caller who waits here costs almost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from kling_effects_async.emulator.app_keys import LARGE_BODIES
from kling_effects_async.emulator.rejections import RejectedError

__all__ = ["BODY_LIMIT_BYTES", "MAX_LARGE_BODIES", "read_body"]

# Two pictures of 10 MB are 28 MB as base64. A choice: what the real hosts cap is not documented.
BODY_LIMIT_BYTES = 32 * 2**20

# Large bodies are read 16 at a time: 16 of 32 MB are half a gigabyte at most. Small ones need no
# slot, so that slow senders of large ones do not delay them.
_LARGE_BODY_BYTES = 2**18
MAX_LARGE_BODIES = 16

# A sender that takes longer is cut off, and its slot is free again. A sender waits for a slot as
# long as aiohttp's client waits for an answer (300 s). Choices, all four.
_MAX_READ_S = 120.0
_MAX_WAIT_S = 300.0


async def read_body(request: web.Request) -> bytes:
    """The whole body.

    Raises:
        RejectedError: 1200, with HTTP 413 if it is too large, and 408 if it does not come; 1302 if
            no slot becomes free.
    """
    length = request.content_length
    if length is not None and length < _LARGE_BODY_BYTES:
        return await _read(request)
    async with _held(request.app[LARGE_BODIES]):
        return await _read(request)


@asynccontextmanager
async def _held(slots: asyncio.Semaphore) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_MAX_WAIT_S):
            await slots.acquire()
    except TimeoutError:
        raise RejectedError(1302, "too many large request bodies at a time") from None
    try:
        yield
    finally:
        slots.release()


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_MAX_READ_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RejectedError(1200, "the request body is too large", status=413) from None
    except TimeoutError:
        raise RejectedError(1200, "the request body did not come", status=408) from None
