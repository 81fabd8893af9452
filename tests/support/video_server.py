"""A server of videos on loopback that fails in every way a server can, for tests of downloads.

A test's script lists how the server treats the first requests; what is not in it is served well.
"""

# ruff: noqa: ASYNC110 - a test looks at its own small files, and can wait for nothing else

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from kling_effects_async.downloading.downloader import Downloader
from kling_effects_async.testing import ManualClock
from kling_effects_async.transport.clock import Timer

__all__ = [
    "VIDEO",
    "WINDOW_S",
    "Behaviour",
    "HastyClock",
    "Reached",
    "VideoServer",
    "answers",
    "box",
    "breaks_after",
    "cut_after",
    "downloader_for",
    "held_after",
    "mp4",
    "nonsense",
    "part_of",
    "redirects",
    "reset_at_once",
    "well",
]

WINDOW_S = 60.0
Behaviour = Callable[["VideoServer", web.Request], Awaitable[web.StreamResponse]]


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def mp4(size_bytes: int = 300_000, filling: bytes = b"kling") -> bytes:
    """What a player takes for a video from outside: its boxes are right, its frames are not."""
    head = box(b"ftyp", b"isommp42") + box(b"moov", b"\0" * 200)
    frames = (filling * size_bytes)[: size_bytes - len(head) - 8]
    return head + box(b"mdat", frames)


VIDEO = mp4()


class HastyClock:
    """Pauses between attempts pass at once and are noted; the long window waits for ``advance``."""

    def __init__(self) -> None:
        self.hands = ManualClock()
        self.pauses_s: list[float] = []
        self.monotonic = self.hands.monotonic
        self.now = self.hands.now
        self.advance = self.hands.advance

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        pause_s = when - self.monotonic()
        if pause_s >= WINDOW_S:
            return self.hands.call_at(when, callback)
        self.pauses_s.append(pause_s)
        return asyncio.get_running_loop().call_soon(callback)


class VideoServer:
    """Serves one video under any path, after what the script says."""

    def __init__(self, part: Path) -> None:
        self.part = part  # where the client gathers what it has received
        self.video = VIDEO
        self.etag: str | None = '"v1"'
        self.script: list[Behaviour] = []
        self.always: Behaviour | None = None
        self.requests: list[web.Request] = []
        self.held = asyncio.Semaphore(0)  # one more for each answer that is held back
        self.release = asyncio.Event()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        self._server = TestServer(app)

    async def __aenter__(self) -> VideoServer:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.release.set()
        await self._server.close()

    @property
    def origin(self) -> str:
        return str(self._server.make_url("").origin())

    @property
    def url(self) -> str:
        return f"{self.origin}/clip.mp4?Signature=topsecret"

    @property
    def ranges(self) -> list[str | None]:
        """What each request asked for; ``None`` for the whole."""
        return [request.headers.get("Range") for request in self.requests]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.script:
            return await self.script.pop(0)(self, request)
        return await (self.always or well)(self, request)

    async def until_stored(self, size_bytes: int) -> None:
        """aiohttp drops what it has not handed out yet when a connection breaks."""
        while not self.part.exists() or self.part.stat().st_size != size_bytes:
            await asyncio.sleep(0)

    def answer(self, request: web.Request) -> tuple[web.StreamResponse, bytes]:
        """The right head for a request, and the bytes that belong after it."""
        start = 0
        headers = {"Content-Type": "video/mp4"} | ({"ETag": self.etag} if self.etag else {})
        if "Range" in request.headers and request.headers.get("If-Range") == self.etag:
            start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            size = len(self.video)
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        response.content_length = len(self.video) - start
        return response, self.video[start:]


async def well(server: VideoServer, request: web.Request) -> web.StreamResponse:
    response, body = server.answer(request)
    await response.prepare(request)
    await response.write(body)
    return response


def cut_after(size_bytes: int) -> Behaviour:
    async def cut(server: VideoServer, request: web.Request) -> web.StreamResponse:
        response, body = server.answer(request)
        await response.prepare(request)
        await response.write(body[:size_bytes])
        await server.until_stored(len(server.video) - len(body) + size_bytes)
        assert request.transport is not None
        request.transport.close()
        return response

    return cut


def breaks_after(size_bytes: int, *, is_reset: bool) -> Behaviour:
    """A line that brings so many bytes and is gone, whether or not anybody has read them."""

    async def send_and_leave(server: VideoServer, request: web.Request) -> web.StreamResponse:
        response, body = server.answer(request)
        await response.prepare(request)
        await response.write(body[:size_bytes])
        assert isinstance(request.transport, asyncio.WriteTransport)
        if len(body) > size_bytes:
            request.transport.abort() if is_reset else request.transport.close()
        return response

    return send_and_leave


def reset_at_once() -> Behaviour:
    async def reset(_server: VideoServer, request: web.Request) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.WriteTransport)
        request.transport.abort()
        return web.Response()

    return reset


def nonsense() -> Behaviour:
    async def not_http(_server: VideoServer, request: web.Request) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.WriteTransport)
        request.transport.write(b"topsecret, but no HTTP\r\n\r\n")
        request.transport.close()
        return web.Response()

    return not_http


def held_after(size_bytes: int) -> Behaviour:
    """Sends a part, and the rest once the test says ``release.set()``."""

    async def hold(server: VideoServer, request: web.Request) -> web.StreamResponse:
        response, body = server.answer(request)
        await response.prepare(request)
        await response.write(body[:size_bytes])
        server.held.release()
        await server.release.wait()
        await response.write(body[size_bytes:])
        return response

    return hold


def answers(
    status: int = 200, body: bytes = b"", content_type: str = "video/mp4", **headers: str
) -> Behaviour:
    """The same answer whatever was asked; ``Retry_After`` becomes ``Retry-After``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_server: VideoServer, _request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, body=body, headers={"Content-Type": content_type} | named
        )

    return answer


def redirects(location: str, status: int = 302) -> Behaviour:
    return answers(status, Location=location)


@asynccontextmanager
async def downloader_for(
    server: VideoServer, clock: HastyClock, **options: Any
) -> AsyncIterator[Downloader]:
    downloader = Downloader(clock=clock, allowed_origin=server.origin, **options)
    try:
        yield downloader
    finally:
        await downloader.aclose()


def part_of(target: Path) -> Path:
    return target.with_name("clip.mp4.part")


class Reached:
    """An ``on_progress`` that tells when so many bytes have come."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.event = asyncio.Event()

    def __call__(self, received: int, total: int | None) -> None:
        if received >= self.size_bytes:
            self.event.set()
