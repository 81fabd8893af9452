"""Reads ``tests/samples``: documented replies, the referee for the client and the emulator."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kling_effects_async.protocol.messages import Reply, retry_after_seconds

FOLDER = Path(__file__).parents[1] / "samples"
NOW = datetime(2026, 4, 1, tzinfo=UTC)


def samples(kind: str) -> dict[str, dict[str, Any]]:
    """Every sample of one folder by its file name."""
    files = sorted((FOLDER / kind).glob("*.json"))
    assert files, f"no samples in {FOLDER / kind}"
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


def reply_of(sample: dict[str, Any]) -> Reply:
    """The reply a sample describes, as the session would hand it on."""
    reply = sample["reply"]
    headers = {name.lower(): value for name, value in reply["headers"].items()}
    return Reply(
        status=reply["status"],
        headers=headers,
        body=body_of(reply),
        retry_after_s=retry_after_seconds(headers.get("retry-after"), NOW),
    )


def body_of(message: dict[str, Any]) -> bytes:
    """The raw bytes, in whichever of the four ways the sample spells them."""
    if "text" in message:
        return str(message["text"]).encode()
    if "base64" in message:
        return base64.b64decode(message["base64"])
    if "text_repeat" in message:
        repeat = message["text_repeat"]
        return str(repeat["repeat"]).encode() * int(repeat["times"])
    return json.dumps(message["body"]).encode()


def json_reply(body: object, status: int = 200) -> Reply:
    headers = {"content-type": "application/json"}
    return Reply(status=status, headers=headers, body=json.dumps(body).encode())
