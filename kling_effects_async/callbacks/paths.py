"""The secret paths of a receiver, and who is subscribed to each; no I/O."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

from kling_effects_async.callbacks.limits import TokenBucket
from kling_effects_async.callbacks.messages import CallbackMessage, Subscriber
from kling_effects_async.log_fields import log_fields

__all__ = ["CallbackPath", "CallbackPaths"]

_log = logging.getLogger(__name__)

# Of one path: two messages for each of a thousand tasks that end at once, and what an account with
# ten thousand slots and tasks of a minute gets.
_BURST, _PER_S = 2_000, 400.0


class CallbackPath:
    """All who are subscribed to one path: the clients of one account.

    Attributes:
        bucket: how many messages may come, for all of them together.
    """

    def __init__(self) -> None:
        self.bucket: TokenBucket = TokenBucket(_BURST, _PER_S)
        self.subscribers: dict[object, Subscriber] = {}

    def take(self, message: CallbackMessage) -> bool:
        """Hand it to each of them; whether one of them knows the task."""
        are_known = [_is_known(take, message) for take in tuple(self.subscribers.values())]
        return any(are_known)


class CallbackPaths:
    """By the digest of a token: how long a search takes tells nothing about the tokens."""

    def __init__(self) -> None:
        self._paths: dict[bytes, CallbackPath] = {}

    def __bool__(self) -> bool:
        return bool(self._paths)

    def find(self, token: str) -> CallbackPath | None:
        """The path with this last part, if anybody is subscribed to it."""
        return self._paths.get(_digest(token))

    def add(self, token: str, subscriber: Subscriber) -> Callable[[], None]:
        """Subscribe; returns what ends it."""
        key, subscription = _digest(token), object()
        path = self._paths.setdefault(key, CallbackPath())
        path.subscribers[subscription] = subscriber

        def end() -> None:
            path.subscribers.pop(subscription, None)
            if not path.subscribers and self._paths.get(key) is path:
                del self._paths[key]

        return end


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _is_known(take: Subscriber, message: CallbackMessage) -> bool:
    try:
        return take(message)
    except Exception as error:  # a fault of ours is not the sender's; its text may be a secret
        _log.error(
            "a callback could not be applied: %s",
            type(error).__name__,
            extra=log_fields("callback.broken", error=error),
        )
        return True
