"""Users of the example services: they upload a photo, watch its page and take the clip."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

__all__ = ["photo_of", "served", "upload", "watch"]


@asynccontextmanager
async def served(app: web.Application, listening: socket.socket) -> AsyncIterator[str]:
    """The application behind a socket that outlives it; its address."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listening.dup()).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        await runner.cleanup()


def photo_of(content: bytes, number: int) -> bytes:
    """Another JPEG each time, of the same picture: a comment after its first marker."""
    comment = str(number).encode()
    return content[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + content[2:]


async def upload(http: aiohttp.ClientSession, url: str, user: str, photo: bytes) -> str:
    """The id of the job."""
    form = aiohttp.FormData({"user": user})
    form.add_field("photo", photo, filename="photo.jpg", content_type="image/jpeg")
    async with http.post(f"{url}/jobs", data=form) as answer:
        assert answer.status == 202, await answer.text()
        told: dict[str, str] = await answer.json()
    return told["id"]


async def watch(http: aiohttp.ClientSession, url: str, name: str) -> AsyncIterator[dict[str, Any]]:
    """What the page of a job is told, until the server ends the stream."""
    async with http.get(f"{url}/jobs/{name}/events", timeout=aiohttp.ClientTimeout()) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        async for line in answer.content:
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))
