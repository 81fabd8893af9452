"""Taking the body of a request in, within bounds.

aiohttp holds a body back until it is asked for, so a caller who waits here costs almost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from kling_effects_async.emulator.rejections import RejectedError

__all__ = ["BODIES", "BODY_LIMIT_BYTES", "new_turns", "read_body"]

# Two pictures of 10 MB are 28 MB as base64. A choice: what the real hosts cap is not documented.
BODY_LIMIT_BYTES = 32 * 2**20

# Large bodies that are taken in at a time: 16 of 32 MB are half a gigabyte at most. Small ones do
# not wait for their turn, so that slow senders of large ones do not keep them out.
_LARGE_BODY_BYTES = 2**18
_LARGE_AT_A_TIME = 16

# A sender that takes longer is cut off, and its slot is free again; so is one who waits longer
# for its turn, as long as aiohttp's client waits for an answer. Choices, all four.
_LONGEST_S = 120.0
_LONGEST_WAIT_S = 300.0

BODIES = web.AppKey("bodies", asyncio.Semaphore)


def new_turns() -> asyncio.Semaphore:
    return asyncio.Semaphore(_LARGE_AT_A_TIME)


async def read_body(request: web.Request) -> bytes:
    """The whole body.

    Raises:
        RejectedError: 1200, with HTTP 413 if it is too large, and 408 if it does not come; 1302 if
            its turn does not come.
    """
    length = request.content_length
    if length is not None and length < _LARGE_BODY_BYTES:
        return await _read(request)
    async with _turn(request.app[BODIES]):
        return await _read(request)


@asynccontextmanager
async def _turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_LONGEST_WAIT_S):
            await turns.acquire()
    except TimeoutError:
        raise RejectedError(1302, "too many large request bodies at a time") from None
    try:
        yield
    finally:
        turns.release()


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_LONGEST_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RejectedError(1200, "the request body is too large", status=413) from None
    except TimeoutError:
        raise RejectedError(1200, "the request body did not come", status=408) from None
