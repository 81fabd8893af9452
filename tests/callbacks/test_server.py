"""A receiver in a real aiohttp application, and those who want to harm it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import frozen

from kling_effects_async import CallbackMessage, CallbackReceiver
from tests.support.callbacks import SECRET, body_of, signed

TOKEN = "a-token-that-nobody-guesses"


@frozen
class Desk:
    receiver: CallbackReceiver
    messages: list[CallbackMessage]
    url: str
    host: str
    port: int
    http: aiohttp.ClientSession

    async def post(self, body: object, **headers: str) -> int:
        async with self.http.post(
            f"{self.url.rstrip('/')}/{TOKEN}", data=body, headers=headers
        ) as answer:
            return answer.status


@asynccontextmanager
async def a_desk(path: str | None = None, mounted: str = "/kling") -> AsyncIterator[Desk]:
    receiver = CallbackReceiver("https://bot.example/kling", [SECRET])
    messages: list[CallbackMessage] = []

    def take(message: CallbackMessage) -> bool:
        messages.append(message)
        return True

    receiver.subscribe(TOKEN, take)
    app = web.Application()
    app.add_routes(receiver.routes(path))
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        url = str(server.make_url(mounted))
        yield Desk(receiver, messages, url, server.host, server.port or 0, http)


async def test_a_signed_message_arrives_over_http() -> None:
    async with a_desk() as desk:
        body = body_of("t1")
        assert await desk.post(body, **signed(body)) == 200
        async with desk.http.get(f"{desk.url}/{TOKEN}") as answer:
            assert answer.status == 405
        async with desk.http.post(f"{desk.url}/guess", data=body) as answer:
            assert (answer.status, await answer.text()) == (404, "not found")
    assert [message.is_signed for message in desk.messages] == [True]


@pytest.mark.parametrize(("path", "mounted"), [("/", "/"), ("", "/"), ("/in/there/", "/in/there")])
async def test_the_routes_may_be_elsewhere_than_the_public_address_says(
    path: str, mounted: str
) -> None:
    """For a proxy that cuts off a part of the path."""
    async with a_desk(path, mounted) as desk:
        assert await desk.post(body_of("t1")) == 200


async def test_a_large_body_is_refused_before_it_is_whole() -> None:
    """Fault 62: 413, also where no length is stated; a body of gigabytes is not read."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):  # 640 MB
            yield b" " * 2**16

    async with a_desk() as desk:
        for body in (b" " * (2**16 + 1), endless()):
            # The connection may be closed before the sender reads the answer.
            with suppress(aiohttp.ClientConnectionError):
                assert await desk.post(body) == 413
        assert desk.receiver.stats.too_large == 2
        assert await desk.post(body_of("t1")) == 200


async def test_a_body_that_unpacks_to_gigabytes_is_refused() -> None:
    """Fault 62: a small body that is compressed."""
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(b" " * 2**20) for _ in range(50)) + packer.flush()
    assert len(packed) < 2**16
    async with a_desk() as desk:
        status = await desk.post(packed, **{"Content-Encoding": "gzip"})
    assert status in (400, 413)
    assert desk.messages == []


async def test_senders_that_hang_up_leave_room_for_others() -> None:
    """Fault 62: connections that are cut inside the body; more of them than are read at once."""
    async with a_desk() as desk:
        head = f"POST /kling/{TOKEN} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{"
        for _ in range(70):
            _reader, writer = await asyncio.open_connection(desk.host, desk.port)
            writer.write(head.encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        assert await desk.post(body_of("t1")) == 200
    assert len(desk.messages) == 1


@pytest.mark.looptime
async def test_a_slow_sender_does_not_delay_the_others() -> None:
    """Fault 62: it is answered with 408 after five seconds, and its connection is closed."""
    async with a_desk() as desk:
        reader, writer = await asyncio.open_connection(desk.host, desk.port)
        head = f"POST /kling/{TOKEN} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        assert await desk.post(body_of("t1")) == 200
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")
    assert desk.receiver.stats.incomplete == 1
