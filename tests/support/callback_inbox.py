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

__all__ = ["Inbox", "an_inbox"]


@define
class Inbox:
    """Every message that came, in order.

    Attributes:
        answers: of the next messages, in order; then 200 and an empty body.
    """

    url: str = ""
    headers: list[dict[str, str]] = field(factory=list)
    bodies: list[bytes] = field(factory=list)
    answers: list[web.Response] = field(factory=list)
    arrived: asyncio.Condition = field(factory=asyncio.Condition)

    async def wait_for(self, count: int) -> list[Any]:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.bodies) >= count)
        return [json.loads(body) for body in self.bodies]

    async def take(self, request: web.Request) -> web.Response:
        async with self.arrived:
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self.bodies.append(await request.read())
            self.arrived.notify_all()
        return self.answers.pop(0) if self.answers else web.Response()


@asynccontextmanager
async def an_inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", inbox.take)  # a redirect may be followed by a GET
    async with TestServer(app) as server:
        inbox.url = str(server.make_url("/hook"))
        yield inbox
