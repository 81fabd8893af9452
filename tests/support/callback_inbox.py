"""A server of the caller's own that takes callbacks, and keeps them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, field

__all__ = ["Inbox", "a_silent_receiver", "an_inbox"]


@define
class Inbox:
    """Every message that came, in order.

    Attributes:
        answers: of the next messages, in order; then 200 and an empty body.
        pause_s: how long it takes to answer a message.
        times_s: when each message had come, by the loop's clock.
        max_busy: the most messages that it had to answer at one time.
    """

    url: str = ""
    headers: list[dict[str, str]] = field(factory=list)
    bodies: list[bytes] = field(factory=list)
    answers: list[web.Response] = field(factory=list)
    pause_s: float = 0.0
    times_s: list[float] = field(factory=list)
    busy: int = 0
    max_busy: int = 0
    arrived: asyncio.Condition = field(factory=asyncio.Condition)

    async def wait_for(self, count: int) -> list[Any]:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.bodies) >= count)
        return self.messages

    @property
    def messages(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]

    @property
    def statuses(self) -> list[str]:
        """The word of each message, in whichever form it is written."""
        return [body.get("task_status") or body["status"] for body in self.messages]

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(body)
        self.times_s.append(asyncio.get_running_loop().time())
        async with self.arrived:
            self.arrived.notify_all()
        self.busy += 1
        self.max_busy = max(self.busy, self.max_busy)
        await asyncio.sleep(self.pause_s)
        self.busy -= 1
        return self.answers.pop(0) if self.answers else web.Response()


@asynccontextmanager
async def an_inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", inbox.take)  # a redirect may be followed by a GET
    async with TestServer(app) as server:
        inbox.url = str(server.make_url("/hook"))
        yield inbox


@asynccontextmanager
async def a_silent_receiver() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """Its address, and the connections that it holds without a word."""
    held: list[asyncio.StreamWriter] = []

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    async with await asyncio.start_server(hold, "127.0.0.1") as silent:
        yield f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/", held
        for writer in held:
            writer.close()
            await writer.wait_closed()
