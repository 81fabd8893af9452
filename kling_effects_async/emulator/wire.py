"""Between aiohttp and the service: what every request carries, and replies becoming responses."""

from __future__ import annotations

from collections import Counter
from email.utils import formatdate

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from kling_effects_async.emulator.faults import Fault, FaultQueues
from kling_effects_async.emulator.refusals import Reply, refusal
from kling_effects_async.emulator.service import Service
from kling_effects_async.emulator.validation import Dialect, RefusedError

__all__ = [
    "FAULT",
    "FAULTS",
    "REQUESTS",
    "REQUEST_ID",
    "SERVICE",
    "dialect_of",
    "refusing",
    "respond",
    "stamp",
]

SERVICE = web.AppKey("service", Service)
FAULTS = web.AppKey("faults", FaultQueues)
REQUESTS = web.AppKey("requests", Counter[str])
FAULT = web.RequestKey("fault", Fault)
REQUEST_ID = web.RequestKey("request_id", str)


def dialect_of(path: str) -> Dialect:
    return Dialect.OFFICIAL if path.startswith("/v1") else Dialect.GATEWAY


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
async def refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say no in the words of the host that was asked."""
    try:
        return await handler(request)
    except RefusedError as refused:
        return respond(
            refusal(
                refused.code,
                request.app[SERVICE].shape(dialect_of(request.path)),
                request[REQUEST_ID],
                message=refused.message,
                status=refused.status,
            )
        )
