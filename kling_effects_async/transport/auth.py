"""The Authorization header: a bearer token as it is, or a JWT signed for this one request."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kling_effects_async.log_fields import log_fields
from kling_effects_async.protocol.http_dates import http_date
from kling_effects_async.settings import AccessKeys, BearerToken, Credentials
from kling_effects_async.transport.clock import Clock

if TYPE_CHECKING:
    import aiohttp

__all__ = ["BY_A_PROXY", "Signer", "authorization", "signing"]

_log = logging.getLogger(__name__)

# The note on an error of a request that went by a proxy, whoever named it.
BY_A_PROXY = "on the way through a proxy"

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


# No clock in use is decades off: a Date beyond that (1970, 9999) comes from one that was never set,
# and a token signed by it would be valid for somebody who finds it years later.
_FARTHEST_CLOCK = timedelta(days=20 * 365)
# A Date has no fractions of a second, and was written before it came.
_SAME_TIME = timedelta(seconds=2)


class Signer:
    """The credentials of one account, and the service's time.

    Attributes:
        offset: how far the service's clock is ahead of ours.
    """

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self.offset: timedelta = timedelta(0)

    def authorization(self) -> str:
        """The header for a request that is sent now."""
        return authorization(self._credentials, self._clock.now() + self.offset)

    def adjust(self, date: str) -> bool:
        """Take over the service's time from a ``Date`` header; whether that can change anything."""
        service_now = http_date(date)
        if not isinstance(self._credentials, AccessKeys) or service_now is None:
            return False
        offset = service_now - self._clock.now()
        if abs(offset) > _FARTHEST_CLOCK:
            return False
        if abs(offset - self.offset) > _SAME_TIME:  # else the token was only too old
            ahead_s = -offset.total_seconds()
            _log.warning(
                "this clock is %+.0f s off the service's: signing by its time",
                ahead_s,
                extra=log_fields("clock.wrong", ahead_s=ahead_s),
            )
        self.offset = offset
        return True


def signing(
    http: aiohttp.ClientSession, authorization: str
) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """The session's own middlewares, and one that puts our key in place of any other.

    A session that trusts the environment reads netrc, and aiohttp rejects a request that has
    both what it finds there and an Authorization header of its own. Such a session, or its owner,
    may name a proxy too: only the request shows it.
    """
    import aiohttp

    async def sign(
        request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = authorization
        try:
            return await send(request)
        except (aiohttp.ClientError, OSError) as error:
            if request.proxy is not None:
                error.add_note(BY_A_PROXY)
            raise

    # Those of a request replace those of its session, which nothing public shows.
    return (*getattr(http, "_middlewares", ()), sign)
