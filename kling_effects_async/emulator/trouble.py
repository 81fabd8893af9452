"""Playing a fault on the wire: the outermost middleware, which also counts the requests."""

from __future__ import annotations

import asyncio
import contextlib
import math

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from kling_effects_async.emulator.bodies import read_body
from kling_effects_async.emulator.faults import Fault
from kling_effects_async.emulator.rejections import RejectedError, rejection
from kling_effects_async.emulator.routes import EFFECTS_PATHS
from kling_effects_async.emulator.wire import (
    FAULT,
    FAULTS,
    REQUEST_ID,
    REQUESTS,
    SERVICE,
    dialect_of,
    respond,
)

__all__ = ["CLOSING", "operation_of", "troubling"]

CLOSING = web.AppKey("closing", asyncio.Event)


def operation_of(method: str, path: str) -> str:
    """The name a request is counted under, and a fault waits for."""
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
async def troubling(request: web.Request, handler: Handler) -> web.StreamResponse:
    request[REQUEST_ID] = request.app[SERVICE].new_request_id()
    operation = operation_of(request.method, request.rel_url.raw_path)
    request.app[REQUESTS][operation] += 1
    fault = request.app[FAULTS].take(operation)
    if fault is None:
        return await handler(request)
    request[FAULT] = fault
    if fault.cut == "before_reading":
        return _hang_up(request, politely=False)
    response = await _answer_of(request, handler, fault)
    if fault.delay_s and not await _outlast(request, fault.delay_s):
        return _hang_up(request)
    if fault.cut == "after_reading":
        return _hang_up(request)
    if fault.has_no_head:
        return _write_raw(request, _body_of(response))
    try:
        if fault.cut is not None:
            return await _cut(request, response, fault)
        if fault.drip_bytes:
            return await _drip(request, response, fault)
    except ConnectionResetError:  # the caller left first, or died
        return _hang_up(request)
    return response


async def _answer_of(request: web.Request, handler: Handler, fault: Fault) -> web.Response:
    """What the caller would get if nothing happened to it on the way."""
    own = None
    if fault.accepted or operation_of(request.method, request.rel_url.raw_path) != "submit":
        own = await handler(request)
    else:
        with contextlib.suppress(RejectedError):
            await read_body(request)
    if fault.canned is not None:
        canned = fault.canned
        return web.Response(status=canned.status, body=canned.body, headers=canned.headers)
    if isinstance(own, web.Response) and fault.code is None:
        return own
    return respond(
        rejection(
            5000 if fault.code is None else fault.code,
            request.app[SERVICE].shape(dialect_of(request.path)),
            request[REQUEST_ID],
            message=fault.message,
            headers=fault.headers,
        )
    )


async def _outlast(request: web.Request, delay_s: float) -> bool:
    """Wait; ``False`` when the emulator closes first. The loop's clock, not the emulated one."""
    closing = request.app[CLOSING].wait()
    try:
        await asyncio.wait_for(closing, None if delay_s == math.inf else delay_s)
    except TimeoutError:
        return True
    return False


def _hang_up(request: web.Request, *, politely: bool = True) -> web.Response:
    """End the connection, by FIN after what was written, or by RST; nothing more is sent."""
    if request.transport is not None:
        if politely:
            request.transport.close()
        else:
            request.transport.abort()
    return web.Response()


def _write_raw(request: web.Request, content: bytes) -> web.Response:
    if request.transport is not None:
        request.transport.write(content)
    return _hang_up(request)


async def _cut(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    part = _body_of(response)[: int(fault.cut or 0)]
    if not fault.announces_length:
        return _write_raw(request, _bare_head(response) + part)
    stream = await _begin(request, response)
    await stream.write(part)
    _hang_up(request)
    return stream


async def _drip(request: web.Request, response: web.Response, fault: Fault) -> web.StreamResponse:
    body = _body_of(response)
    stream = await _begin(request, response)
    for start in range(0, len(body), fault.drip_bytes):
        await stream.write(body[start : start + fault.drip_bytes])
        if not await _outlast(request, fault.drip_every_s):
            _hang_up(request)
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
