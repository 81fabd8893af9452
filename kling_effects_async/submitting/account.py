"""What the journal calls an account."""

from __future__ import annotations

import hashlib

from kling_effects_async.protocol.services import Service
from kling_effects_async.settings import AccessKeys, Credentials

__all__ = ["account_name"]


def account_name(service: Service, credentials: Credentials) -> str:
    """What the journal calls an account: the host and a digest of the key, never the key."""
    secret = credentials.access_key if isinstance(credentials, AccessKeys) else credentials.token
    digest = hashlib.sha256(f"{service.base_url}\n{secret}".encode()).hexdigest()
    return f"{service.name}-{digest[:12]}"
