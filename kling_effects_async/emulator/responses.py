"""Replies and rejections as aiohttp responses, with the headers that every response carries."""

from __future__ import annotations

from email.utils import formatdate

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from kling_effects_async.emulator.app_keys import NOTE, REQUEST_ID, SERVICE
from kling_effects_async.emulator.choices import ReplyShape
from kling_effects_async.emulator.emulated_reply import EmulatedReply
from kling_effects_async.emulator.rejections import (
    OutOfUnitsError,
    RejectedError,
    out_of_units,
    rejection,
)
from kling_effects_async.emulator.submit_request import EmulatedDialect

__all__ = ["add_common_headers", "answering_rejections", "dialect_of", "respond"]

# Two hosts share one address: Kling's own paths begin like this, all others are the gateway's.
_OFFICIAL_ROOTS = ("v1", "account")


def dialect_of(path: str) -> EmulatedDialect:
    root = path.removeprefix("/").partition("/")[0]
    return EmulatedDialect.OFFICIAL if root in _OFFICIAL_ROOTS else EmulatedDialect.GATEWAY


def respond(reply: EmulatedReply) -> web.Response:
    return web.Response(
        status=reply.status,
        body=reply.body,
        headers=reply.headers,
        content_type=reply.content_type,
        charset=None if reply.content_type.startswith("video/") else "utf-8",
    )


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The wall clock's date, which shows a caller whose clock is wrong, and the request id."""
    service = request.app[SERVICE]
    response.headers[hdrs.DATE] = formatdate(service.clock.wall_s(), usegmt=True)
    if REQUEST_ID in request and request.path.startswith("/kling/"):
        # Source: new-api's middleware/request-id.go, 2025-04.
        response.headers["X-Oneapi-Request-Id"] = request[REQUEST_ID]


@web.middleware
async def answering_rejections(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a rejection into the body that the host of this path would send."""
    try:
        return await handler(request)
    except RejectedError as rejected:
        request[NOTE] = f"rejected: {rejected.code} {rejected.message}".rstrip()
        shape = request.app[SERVICE].shape(dialect_of(request.path))
        return respond(_reply_to(rejected, shape, request[REQUEST_ID]))


def _reply_to(rejected: RejectedError, shape: ReplyShape, request_id: str) -> EmulatedReply:
    # A gateway keeps balances of its own and has an error of its own for an empty one.
    if isinstance(rejected, OutOfUnitsError):
        return out_of_units(shape, request_id)
    return rejection(
        rejected.code, shape, request_id, message=rejected.message, status=rejected.status
    )
