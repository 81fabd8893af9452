"""The Authorization header: a bearer token as it is, or a JWT signed for this one request."""

from __future__ import annotations

from datetime import datetime, timedelta

from kling_effects_async.settings import BearerToken, Credentials

__all__ = ["authorization"]

# Source: Kling's authentication page, 2026-09: exp is half an hour ahead, nbf five seconds back.
# We date it a minute back, because `nbf` is ours to choose and a slow clock here is common; the
# half hour is ample for the slowest upload.
_LIFETIME = timedelta(seconds=1800)
_SLACK = timedelta(seconds=60)


def authorization(credentials: Credentials, now: datetime) -> str:
    """The header's value; ``now`` is the service's time as well as we know it."""
    if isinstance(credentials, BearerToken):
        return f"Bearer {credentials.token}"
    import jwt  # slow to import, and only the official service needs it

    claims = {"iss": credentials.access_key, "exp": now + _LIFETIME, "nbf": now - _SLACK}
    return f"Bearer {jwt.encode(claims, credentials.secret_key, algorithm='HS256')}"
