"""Scripted faults on the wire: the middleware that injects them, and counts the requests."""

from __future__ import annotations

import asyncio
import contextlib
import math

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from kling_effects_async.emulator.app_keys import (
    CLOSING,
    FAULT,
    FAULTS,
    REQUEST_ID,
    REQUESTS,
    SERVICE,
)
from kling_effects_async.emulator.bodies import read_body
from kling_effects_async.emulator.faults import CannedAnswer, Fault
from kling_effects_async.emulator.rejections import RejectedError, rejection
from kling_effects_async.emulator.responses import dialect_of, respond
from kling_effects_async.emulator.routes import EFFECTS_PATHS

__all__ = ["injecting_faults", "operation_of"]


def operation_of(method: str, path: str) -> str:
    """The name under which a request is counted, and for which a fault waits."""
    if path.startswith("/media/"):
        return "download"
    if path.startswith("/_emulator/"):
        return "control"
    if path in EFFECTS_PATHS:
        return {hdrs.METH_POST: "submit", hdrs.METH_GET: "list"}.get(method, "other")
    if path.rpartition("/")[0] in EFFECTS_PATHS and method == hdrs.METH_GET:
        return "query"
    return "other"


@web.middleware
async def injecting_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[REQUEST_ID] = request.app[SERVICE].new_request_id()
    operation = operation_of(request.method, request.rel_url.raw_path)
    request.app[REQUESTS][operation] += 1
    fault = request.app[FAULTS].take(operation)
    if fault is None:
        return await handler(request)
    request[FAULT] = fault
    # The body lies unread in the socket, so the caller gets a reset, as from a crashed server.
    if fault.cut == "before_reading":
        return _reset(request)
    is_served = fault.accepted or operation != "submit"
    response = await _answer_to(request, handler, fault, is_served=is_served)
    if fault.delay_s and not await _slept(request, fault.delay_s):
        return _close(request)
    return await _send(request, response, fault)


async def _answer_to(
    request: web.Request, handler: Handler, fault: Fault, *, is_served: bool
) -> web.Response:
    """The complete answer, before the fault delays it or cuts it.

    Args:
        is_served: whether the service handles the request, and so accepts and charges a submit.
    """
    own = None
    if is_served:
        # Served in full, and only then lost: what is charged is charged, whatever is sent.
        own = await handler(request)
    else:
        await _read_without_serving(request)
    if fault.canned is not None:
        return _canned(fault.canned)
    if isinstance(own, web.Response) and fault.code is None:
        return own
    return _coded(request, fault)


async def _read_without_serving(request: web.Request) -> None:
    # Read all the same: closing with unread bytes would reset the connection, another fault.
    with contextlib.suppress(RejectedError):
        await read_body(request)


def _canned(canned: CannedAnswer) -> web.Response:
    return web.Response(status=canned.status, body=canned.body, headers=canned.headers)


def _coded(request: web.Request, fault: Fault) -> web.Response:
    """The fault's code in the shape of the host; 5000 for a submit that is only late or cut."""
    reply = rejection(
        5000 if fault.code is None else fault.code,
        request.app[SERVICE].shape(dialect_of(request.path)),
        request[REQUEST_ID],
        message=fault.message,
        headers=fault.headers,
    )
    return respond(reply)


async def _send(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    """The answer as the fault lets it out: not at all, raw, in part, in pieces, or whole."""
    if fault.cut == "after_reading":
        return _close(request)
    if fault.has_no_head:
        return _write_raw(request, _body_of(response))
    try:
        if fault.cut is not None:
            return await _cut(request, response, fault)
        if fault.drip_bytes:
            return await _drip(request, response, fault)
    except ConnectionResetError:  # the caller left first, or died
        return _close(request)
    return response


async def _slept(request: web.Request, delay_s: float) -> bool:
    """Wait; ``False`` when the emulator closes first. The loop's clock, not the emulated one."""
    # Otherwise a fault of an hour would hold the emulator's own end for an hour.
    closing = request.app[CLOSING].wait()
    try:
        await asyncio.wait_for(closing, None if delay_s == math.inf else delay_s)
    except TimeoutError:
        return True
    return False


def _close(request: web.Request) -> web.Response:
    """End the connection after what was written (FIN). aiohttp cannot send the response then."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _reset(request: web.Request) -> web.Response:
    """End the connection at once (RST)."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _write_raw(request: web.Request, content: bytes) -> web.Response:
    if request.transport is not None:
        request.transport.write(content)
    return _close(request)


async def _cut(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    part = _body_of(response)[: int(fault.cut or 0)]
    if not fault.announces_length:
        return _write_raw(request, _bare_head(response) + part)
    stream = await _begin(request, response)
    await stream.write(part)
    _close(request)
    return stream


async def _drip(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    body = _body_of(response)
    stream = await _begin(request, response)
    for start in range(0, len(body), fault.drip_bytes):
        await stream.write(body[start : start + fault.drip_bytes])
        if not await _slept(request, fault.drip_every_s):
            _close(request)
            break
    return stream


async def _begin(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send the head of a response, so that its body can be sent by hand."""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(_body_of(response))
    await stream.prepare(request)
    return stream


def _bare_head(response: web.Response) -> bytes:
    """A head whose body ends with the connection; aiohttp itself would send chunks instead."""
    kept = {hdrs.CONTENT_TYPE, hdrs.ETAG, hdrs.CONTENT_RANGE}
    lines = [f"{name}: {value}" for name, value in response.headers.items() if name in kept]
    head = [f"HTTP/1.1 {response.status} {response.reason}", *lines, "Connection: close", "", ""]
    return "\r\n".join(head).encode()


def _body_of(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""
