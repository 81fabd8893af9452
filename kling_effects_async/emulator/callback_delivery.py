"""One attempt to deliver a message: a POST of bounded time, whose answer is not read."""

from __future__ import annotations

import math
from asyncio import sleep
from collections.abc import AsyncIterator, Mapping

import aiohttp
from attrs import frozen

from kling_effects_async.emulator.callback_faults import CallbackFault

__all__ = ["Receipt", "deliver", "open_session"]

# A choice: the real service's patience is not documented.
_MAX_SEND_S = 5.0


@frozen
class Receipt:
    """What the receiver answered. ``failure``: the class of the error, when it did not answer."""

    http_status: int | None = None
    failure: str = ""


def open_session() -> aiohttp.ClientSession:
    """A session that keeps nothing a receiver says: no cookie, and no answer's body."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # the senders are bounded, and wait outside
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


async def deliver(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    fault: CallbackFault,
) -> Receipt:
    """Send a message, cut or dripped if the fault wants that. Nothing but cancellation is raised.

    A redirect is an answer like another: it could lead off this machine.
    """
    timeout = aiohttp.ClientTimeout(total=_MAX_SEND_S + _drip_s(body, fault))
    # Stated by hand, since the length of what comes in pieces is not known to aiohttp.
    sized = {**headers, "Content-Length": str(len(body))}
    try:
        async with session.post(
            url,
            data=_pieces(body, fault),
            headers=sized,
            allow_redirects=False,
            timeout=timeout,
        ) as answer:
            return Receipt(answer.status)
    # ValueError: a user's name in the address that Basic authentication has no way to send.
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        # The class alone: the message of an error has the address, which may carry a secret.
        return Receipt(failure=type(error).__name__)


def _pieces(body: bytes, fault: CallbackFault) -> bytes | AsyncIterator[bytes]:
    if fault.cut_bytes is not None:
        return _cut(body[: fault.cut_bytes])
    return _dripped(body, fault) if fault.drip_bytes else body


async def _cut(part: bytes) -> AsyncIterator[bytes]:
    yield part
    raise ConnectionAbortedError("a scripted fault ends this connection")


async def _dripped(body: bytes, fault: CallbackFault) -> AsyncIterator[bytes]:
    for start in range(0, len(body), fault.drip_bytes):
        yield body[start : start + fault.drip_bytes]
        await sleep(fault.drip_every_s)


def _drip_s(body: bytes, fault: CallbackFault) -> float:
    if not fault.drip_bytes:
        return 0.0
    return math.ceil(len(body) / fault.drip_bytes) * fault.drip_every_s
