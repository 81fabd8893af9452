"""Callbacks as the service sends them, made here: bodies of both forms, and their signatures.

Signed with the standard library alone, so that the client's own check is held against another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from kling_effects_async import CallbackReceiver

__all__ = ["OTHER_SECRET", "SECRET", "a_receiver", "body_of", "new_body_of", "signed"]

# The first is that of the test vector of Kling's callbacks page, 2026-09.
SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
OTHER_SECRET = "whsec_b3RoZXJzZWNyZXRvdGhlcnNlY3JldG90aGVyc2VjcjEy"

CLIP = "https://v.example/callback.mp4"


def body_of(task_id: str, status: str = "succeed", name: str | None = None) -> bytes:
    """The form of the effects path: the task itself."""
    videos = [{"id": "v1", "url": CLIP, "duration": "5.041"}] if status == "succeed" else []
    task: dict[str, Any] = {
        "task_id": task_id,
        "task_status": status,
        "task_status_msg": "Image pixel is invalid" if status == "failed" else "",
        "created_at": 1774711071284,
        "updated_at": 1774711080000,
        "task_info": {} if name is None else {"external_task_id": name},
        "task_result": {"videos": videos} if videos else {},
    }
    return json.dumps(task).encode()


def new_body_of(task_id: str, status: str = "succeeded", name: str | None = None) -> bytes:
    """The newer form, which the console's test button sends too."""
    outputs = [{"type": "video", "id": "v1", "url": CLIP}] if status == "succeeded" else []
    task = {
        "id": task_id,
        "status": status,
        "message": "",
        "create_time": 1774711071284,
        "update_time": 1774711080000,
        "outputs": outputs,
    }
    return json.dumps(task | ({"external_id": name} if name else {})).encode()


def signed(
    body: bytes,
    *,
    secret: str = SECRET,
    at: datetime | None = None,
    message_id: str = "msg-1",
) -> dict[str, str]:
    """The headers of a signed message."""
    seconds = int((at or datetime.now(UTC)).timestamp())
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{message_id}.{seconds}.".encode() + body
    mark = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{mark}",
    }


@asynccontextmanager
async def a_receiver(*secrets: str, port: int = 0) -> AsyncIterator[CallbackReceiver]:
    """A receiver in an aiohttp application on loopback, under its own public address."""
    listening = socket.create_server(("127.0.0.1", port))
    host, port = listening.getsockname()
    receiver = CallbackReceiver(f"http://{host}:{port}/kling", secrets)
    app = web.Application()
    app.add_routes(receiver.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield receiver
    finally:
        await runner.cleanup()
        listening.close()
