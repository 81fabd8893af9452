"""Whether a callback was signed with one of our secrets; pure.

The signed text is ``{webhook-id}.{webhook-timestamp}.{body}``, by HMAC-SHA256 under the secret.
Whatever the headers and the body hold, the answer is a ``CallbackVerdict``: a forged text is only
ever compared, and never decoded.

Source: Kling's callbacks page, 2026-08 (the scheme is that of Standard Webhooks, version 1).
"""

from __future__ import annotations

import binascii
import enum
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from attrs import field, frozen
from standardwebhooks.webhooks import Webhook

from kling_effects_async.errors import SettingsError
from kling_effects_async.protocol.redaction import without_arguments

__all__ = ["CallbackVerdict", "Secrets", "webhook_id"]

# How far the sender's clock may be off, in both directions. Source: callbacks page, 2026-08.
_MAX_AGE_S = 300

_ID, _TIMESTAMP, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_SIGNED = (_ID, _TIMESTAMP, _SIGNATURE)
# Two secrets at once while one replaces the other, each with its signature of some 50 characters.
# More digits than 11 are no second before the year 5138, and no time of Python's.
_LONGEST = {_ID: 256, _TIMESTAMP: 11, _SIGNATURE: 1024}
_DIGITS = re.compile(r"[1-9][0-9]*")
_SECRET = re.compile(r"(?:whsec_)?[A-Za-z0-9+/]+={0,2}")
_SHORTEST_KEY = 16  # bytes; who has a message and its signature could try all shorter ones


class CallbackVerdict(enum.Enum):
    """What is known of who sent a callback.

    Only ``SIGNED`` proves anything. ``STALE`` is rightly signed, but more than five minutes off our
    clock: it may be a message that somebody recorded and sends again.
    """

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    WRONG = "wrong signature"
    STALE = "stale"


@frozen
class Secrets:
    """The secrets under which a callback may be signed, which no ``repr`` shows.

    Standard rotation has two of them for seven days.
    """

    _keys: tuple[Webhook, ...] = field(repr=False)

    @classmethod
    @without_arguments
    def of(cls, secrets: Iterable[str]) -> Secrets:
        """From ``whsec_`` and base64 each, as Kling's console shows them.

        Raises:
            SettingsError: one cannot be a secret; the message says which, and does not repeat it.
            TypeError: they are no texts, or one text instead of several.
        """
        if isinstance(secrets, (str, bytes)) or not isinstance(secrets, Iterable):
            raise TypeError("secrets must be several texts, such as ['whsec_...'], not one")
        return cls(tuple(_key(number, secret) for number, secret in enumerate(secrets, 1)))

    def __bool__(self) -> bool:
        return bool(self._keys)

    def judge(self, headers: Mapping[str, str], body: bytes, now: datetime) -> CallbackVerdict:
        """Who sent it, as far as the signature proves that.

        Args:
            headers: with names in any case.
            now: the wall clock, an aware datetime.
        """
        given = _signed_headers(headers)
        if not self._keys or _SIGNATURE not in given:
            return CallbackVerdict.UNSIGNED
        text = _text(body)
        if text is None or not _are_plain(given):
            return CallbackVerdict.WRONG
        seconds = int(given[_TIMESTAMP])
        if not self._has_signed(given[_ID], seconds, text, given[_SIGNATURE]):
            return CallbackVerdict.WRONG
        return CallbackVerdict.SIGNED if _is_fresh(seconds, now) else CallbackVerdict.STALE

    def may_be_right(self, headers: Mapping[str, str], now: datetime) -> bool:
        """Whether ``judge`` could come to ``SIGNED``, by the headers alone."""
        given = _signed_headers(headers)
        return bool(self) and _are_plain(given) and _is_fresh(int(given[_TIMESTAMP]), now)

    def _has_signed(self, message_id: str, seconds: int, text: str, signatures: str) -> bool:
        at = datetime.fromtimestamp(seconds, UTC)
        expected = [_bare(key.sign(message_id, at, text)) for key in self._keys]
        given = [_bare(each) for each in signatures.split()]
        # All are compared, so that the time taken does not tell which of them came close.
        return sum(hmac.compare_digest(one, other) for one in expected for other in given) > 0


def webhook_id(headers: Mapping[str, str]) -> str | None:
    """The message's own id, the same each time it is sent; ``None`` without one."""
    found = _signed_headers(headers).get(_ID)
    return found if found and len(found) <= _LONGEST[_ID] else None


def _key(number: int, secret: object) -> Webhook:
    if not isinstance(secret, str):
        raise TypeError(f"secret {number} must be a str, not {type(secret).__name__}")
    problem = f"secret {number} is no webhook secret: copy it whole, whsec_ and base64"
    if not _SECRET.fullmatch(secret):
        raise SettingsError(problem)
    try:
        key = binascii.a2b_base64(secret.removeprefix("whsec_").rstrip("=") + "==")
    except binascii.Error:
        raise SettingsError(problem) from None
    if len(key) < _SHORTEST_KEY:
        raise SettingsError(f"secret {number} is too short: copy it whole, whsec_ and base64")
    return Webhook(key)


def _signed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of a signature; names in lower case."""
    lower = ((str(name).lower(), value) for name, value in headers.items())
    return {name: value for name, value in lower if name in _SIGNED and isinstance(value, str)}


def _are_plain(given: Mapping[str, str]) -> bool:
    """All three are there, and could be what the service sends."""
    return len(given) == len(_SIGNED) and all(map(_is_plain, given.items()))


def _is_fresh(seconds: int, now: datetime) -> bool:
    return abs(now.timestamp() - seconds) <= _MAX_AGE_S


def _is_plain(header: tuple[str, str]) -> bool:
    name, value = header
    if not 0 < len(value) <= _LONGEST[name] or not (value.isascii() and value.isprintable()):
        return False
    return name != _TIMESTAMP or _DIGITS.fullmatch(value) is not None


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _bare(signature: str) -> bytes:
    """For comparison: padding is left out by some."""
    return signature.rstrip("=").encode()
