"""Between aiohttp and the service: what every request carries, and replies becoming responses."""

from __future__ import annotations

from collections import Counter
from email.utils import formatdate

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from kling_effects_async.emulator.fault_queues import FaultQueues
from kling_effects_async.emulator.faults import Fault
from kling_effects_async.emulator.rejections import (
    OutOfUnitsError,
    RejectedError,
    Reply,
    out_of_units,
    rejection,
)
from kling_effects_async.emulator.service import Service
from kling_effects_async.emulator.settings import ReplyShape
from kling_effects_async.emulator.validation import Dialect

__all__ = [
    "FAULT",
    "FAULTS",
    "NOTE",
    "REQUESTS",
    "REQUEST_ID",
    "SERVICE",
    "dialect_of",
    "rejecting",
    "respond",
    "stamp",
]

SERVICE = web.AppKey("service", Service)
FAULTS = web.AppKey("faults", FaultQueues)
REQUESTS = web.AppKey("requests", Counter[str])
FAULT = web.RequestKey("fault", Fault)
REQUEST_ID = web.RequestKey("request_id", str)
# What a request came to, in a few words for the log of requests.
NOTE = web.RequestKey("note", str)

# Two hosts live at one address: Kling's own paths begin like this, all others are the gateway's.
_OFFICIAL_ROOTS = ("v1", "account")


def dialect_of(path: str) -> Dialect:
    root = path.removeprefix("/").partition("/")[0]
    return Dialect.OFFICIAL if root in _OFFICIAL_ROOTS else Dialect.GATEWAY


def respond(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.status,
        body=reply.body,
        headers=reply.headers,
        content_type=reply.content_type,
        charset=None if reply.content_type.startswith("video/") else "utf-8",
    )


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """The wall clock's date, which shows a caller whose clock is wrong, and the request id."""
    service = request.app[SERVICE]
    response.headers[hdrs.DATE] = formatdate(service.clock.wall_s(), usegmt=True)
    if REQUEST_ID in request and request.path.startswith("/kling/"):
        # Source: new-api's middleware/request-id.go, 2025-04.
        response.headers["X-Oneapi-Request-Id"] = request[REQUEST_ID]


@web.middleware
async def rejecting(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say no in the words of the host that was asked."""
    try:
        return await handler(request)
    except RejectedError as rejected:
        request[NOTE] = f"rejected: {rejected.code} {rejected.message}".rstrip()
        shape = request.app[SERVICE].shape(dialect_of(request.path))
        return respond(_reply_to(rejected, shape, request[REQUEST_ID]))


def _reply_to(rejected: RejectedError, shape: ReplyShape, request_id: str) -> Reply:
    if isinstance(rejected, OutOfUnitsError):
        return out_of_units(shape, request_id)
    return rejection(
        rejected.code, shape, request_id, message=rejected.message, status=rejected.status
    )
