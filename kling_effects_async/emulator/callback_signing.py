"""Signatures of callbacks: Standard Webhooks, version 1, in all the ways a scripted fault wants.

Source: K5 callbacks page, 2026-09, "only if a secret was created". Whether callbacks of the legacy
paths, effects among them, are signed is not documented; they are when the emulator has a secret.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
from collections.abc import Sequence

__all__ = ["Signing", "signature_headers"]


class Signing(enum.Enum):
    """Whether a message has the signature that belongs to it."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"


def signature_headers(
    secrets: Sequence[str], webhook_id: str, wall_s: float, body: bytes
) -> dict[str, str]:
    """Sign ``id.timestamp.body`` with each secret; without a secret there are no headers.

    Args:
        secrets: several while an old one is being replaced: each signs, and one match is enough.
        wall_s: Unix time, which the receiver compares with its own clock.
    """
    if not secrets:
        return {}
    signed = f"{webhook_id}.{int(wall_s)}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(wall_s)),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
