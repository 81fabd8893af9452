"""Connections, bounded in number and in time, so that slow callers do not keep others out.

    a head that does not come, or nothing at all   closed after 75 s
    a body that does not come                      408, see ``bodies``
    an answer that nobody reads                    closed after 120 s

aiohttp's own timer for idle connections runs from the last answer, or from the start, until a
request has come whole; bytes that trickle in do not put it off (measured with aiohttp 3.14).
"""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import AsyncExitStack
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler
from attrs import define

from kling_effects_async.emulator.app_keys import CLOSING
from kling_effects_async.emulator.errors import EmulatorError

__all__ = ["bind", "sending_in_time", "serve", "url_of"]

# Longer than callers keep a connection (aiohttp 15 s, our client 30 s), so that no request meets a
# connection that is being closed. A choice, as is the other.
_MAX_IDLE_S = 75.0
_MAX_SEND_S = 120.0

# CLOSING wakes the handlers that wait on purpose; those still running after this are cancelled.
_MAX_SHUTDOWN_S = 1.0

_FULL_MESSAGE = b"this emulator has too many connections: try later"
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_FULL_MESSAGE), _FULL_MESSAGE)
)


@define(eq=False)
class _ConnectionLimiter(asyncio.Protocol):
    """Hands a new connection to aiohttp, or answers that there are too many."""

    _server: web.Server
    _max_connections: int

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are not derived from it
        # Answered and not left in the backlog, where a caller would wait and see no reason.
        if len(self._server.connections) >= self._max_connections:
            transport.write(_FULL)
            transport.close()
            return
        http = self._server()
        transport.set_protocol(http)
        http.connection_made(transport)


def bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Bound before the loop serves it, so that a taken port is an error of ``async with``.
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise EmulatorError(
                f"port {port} of {host} is taken: choose another, or port=0 for a free one"
            ) from error
        raise EmulatorError(f"cannot listen on port {port} of {host}: {error.strerror}") from error


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    app: web.Application, listening: socket.socket, max_connections: int, exits: AsyncExitStack
) -> None:
    runner = web.AppRunner(
        app,
        access_log=None,  # aiohttp's has the whole path, with the signature of a clip
        handler_cancellation=True,  # a silent fault ends with the caller who waits for it
        shutdown_timeout=_MAX_SHUTDOWN_S,
        keepalive_timeout=_MAX_IDLE_S,
    )
    await runner.setup()
    # Run in reverse: stop listening, wake the handlers that wait on purpose, wait for all of them.
    exits.push_async_callback(runner.cleanup)
    exits.callback(app[CLOSING].set)
    exits.callback((await _listen(runner, listening, max_connections)).close)


async def _listen(
    runner: web.AppRunner, listening: socket.socket, max_connections: int
) -> asyncio.Server:
    server = runner.server
    assert server is not None, "the runner is set up first"
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: _ConnectionLimiter(server, max_connections), sock=listening
    )


@web.middleware
async def sending_in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send the answer here, and drop the connection of a caller who does not read it."""
    response = await handler(request)
    if request.transport is None or request.transport.is_closing():
        return response  # a fault has ended the connection
    try:
        async with asyncio.timeout(_MAX_SEND_S):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        request.transport.abort()
    return response
