"""Authentication: bearer keys, and tokens signed with an access key's secret.

Source: K6 authentication page, 2026-09: HS256, ``iss`` the access key, ``exp`` and ``nbf`` in
seconds; an API key is sent plainly. The codes are those of the K4 error-codes page: 1001 header
empty, 1002 header malformed or its key unknown, 1003 not valid yet, 1004 expired, 1000 anything
else. The two texts of 1002 were seen at Kling, 2026-08 and 2026-09.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import jwt
from attrs import field, frozen

from kling_effects_async.emulator.rejections import RejectedError
from kling_effects_async.emulator.submit_request import EmulatedDialect

__all__ = ["Authenticator"]


@frozen
class Authenticator:
    """The keys of the one account of an emulator, for both dialects."""

    bearer_keys: tuple[str, ...] = field(repr=False)
    access_keys: Mapping[str, str] = field(repr=False)

    def authenticate(
        self, authorization: str | None, dialect: EmulatedDialect, wall_s: float
    ) -> None:
        """Reject a request without a valid key or token.

        Raises:
            RejectedError: with one of the codes 1000 to 1004.
        """
        token = _bearer(authorization)
        if self._is_bearer_key(token):
            return
        # A choice: what has no dot is taken for an API key. Kling has been seen to call such a key
        # a token with 0 parts, too.
        if dialect is EmulatedDialect.GATEWAY or "." not in token:
            raise RejectedError(1002, "api key not found")
        self._check_signed(token, wall_s)

    def _is_bearer_key(self, token: str) -> bool:
        """Compares with every key, so that the time taken does not depend on which one is near."""
        # aiohttp decodes the bytes of a header this way.
        given = token.encode(errors="surrogateescape")
        seen = [hmac.compare_digest(given, key.encode()) for key in self.bearer_keys]
        return any(seen)

    def _check_signed(self, token: str, wall_s: float) -> None:
        claims = self._verified_claims(token)
        if wall_s < _seconds(claims, "nbf", 0.0):
            raise RejectedError(1003)
        if wall_s >= _seconds(claims, "exp", None):
            raise RejectedError(1004)

    def _verified_claims(self, token: str) -> dict[str, Any]:
        secret = self.access_keys.get(_claimed_access_key(token))
        if secret is None:
            raise RejectedError(1000, "the access key is unknown")
        try:
            # The times are checked afterwards, by the emulator's own wall clock.
            claims: dict[str, Any] = jwt.decode(
                token,
                secret,
                # Named by us: a token that chose its own algorithm could choose none.
                algorithms=["HS256"],
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            raise RejectedError(1000, "the token's signature is wrong") from None
        return claims


def _claimed_access_key(token: str) -> str:
    """The ``iss`` of a token whose signature nobody has checked yet."""
    parts = token.split(".")
    if len(parts) != 3:
        raise RejectedError(1002, f"The token was expected to have 3 parts, but got {len(parts)}")
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, UnicodeError):
        raise RejectedError(1002, "Authorization is invalid") from None
    return str(claims.get("iss"))


def _bearer(authorization: str | None) -> str:
    if authorization is None or not authorization.strip():
        raise RejectedError(1001)
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RejectedError(1002, "Authorization is invalid")
    return token.strip()


def _seconds(claims: Mapping[str, object], name: str, default: float | None) -> float:
    value = claims.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise RejectedError(1002, f"the token's {name} must be a number of seconds")
    return value
