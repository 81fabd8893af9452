"""What comes, what is answered, and what is counted, as frozen values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from attrs import frozen

from kling_effects_async.callbacks.signature import CallbackVerdict
from kling_effects_async.models import TaskSnapshot

__all__ = ["CallbackAnswer", "CallbackMessage", "CallbackRejected", "CallbackStats", "Subscriber"]


@frozen(kw_only=True)
class CallbackAnswer:
    """What to answer the sender.

    Attributes:
        status: the HTTP status: 200, 400, 404, 408, 413 or 429. After any but 200 the connection is
            best closed, because the body may not have been read.
        reason: a few words for the body of the answer; they never depend on a task.
    """

    status: int
    reason: str


class CallbackRejected(Exception):
    """A message is not taken; ``args`` are the status, the reason and what it counts as."""


@frozen(kw_only=True)
class CallbackMessage:
    """A callback that was read.

    Attributes:
        snapshot: what it claims.
        verdict: who sent it; only where it is ``SIGNED`` the claim counts.
    """

    snapshot: TaskSnapshot
    verdict: CallbackVerdict

    @property
    def is_signed(self) -> bool:
        """It is rightly signed, and not an old one."""
        return self.verdict is CallbackVerdict.SIGNED


Subscriber: TypeAlias = Callable[[CallbackMessage], bool]
"""Gets each message under its token; returns whether it knows the task."""


@frozen(kw_only=True)
class CallbackStats:
    """The value of ``CallbackReceiver.stats``: how many callbacks came, since it was made.

    Attributes:
        signed: rightly signed.
        unsigned: without a signature, or there is no secret to check it by.
        wrong_signature: signed with another secret, or changed on the way.
        stale: rightly signed, more than five minutes off this machine's clock.
        duplicates: signed ones that had come before, by their ``webhook-id``.
        unknown: about no task that a client waits for: one that has ended, one of another process,
            or one whose submit is not answered yet.
        malformed: no callback in either form.
        too_large: larger than 64 KiB.
        incomplete: not there whole after five seconds, or cut off.
        rate_limited: more than the limits allow, and not rightly signed.
        not_found: sent to a path of no client; not even read.
    """

    signed: int = 0
    unsigned: int = 0
    wrong_signature: int = 0
    stale: int = 0
    duplicates: int = 0
    unknown: int = 0
    malformed: int = 0
    too_large: int = 0
    incomplete: int = 0
    rate_limited: int = 0
    not_found: int = 0
