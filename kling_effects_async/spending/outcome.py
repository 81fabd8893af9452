"""What became of one submit, decided by one table of what was sent and what came back.

    nothing was sent                             -> NOT_RECEIVED   send again
    refused before acceptance, passing           -> NOT_ACCEPTED   wait, then send again
    refused before acceptance, for good          -> REFUSED        tell the caller
    refused because the external id was used     -> DUPLICATE      an earlier try succeeded: find it
    sent, and no answer or none that can be read -> UNCERTAIN      look; never send again blindly

A submit costs money and nothing about it is idempotent: Kling documents no key for that.
"""

from __future__ import annotations

import enum
import re

from kling_effects_async.errors import (
    ApiError,
    InvalidRequestError,
    KlingEffectsError,
    ReplyError,
    TransportError,
)
from kling_effects_async.transport.session import is_passing

__all__ = ["Outcome", "outcome_of"]


class Outcome(enum.Enum):
    """What a failed submit means for the next step."""

    NOT_RECEIVED = "not received"
    NOT_ACCEPTED = "not accepted"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    UNCERTAIN = "uncertain"


# What a service answers to a used id is not documented, so its words have to tell.
_ID_WORDS = re.compile(r"external[ _]?(task[ _]?)?id", re.IGNORECASE)
_USED_WORDS = re.compile(
    r"exist|duplicat|repeat|uniqu|already|used|重复|已存在|唯一", re.IGNORECASE
)


def outcome_of(error: KlingEffectsError) -> Outcome:
    """Read the table at the top of this file."""
    if isinstance(error, TransportError):
        if error.sent:
            return Outcome.UNCERTAIN
        return Outcome.NOT_RECEIVED if is_passing(error) else Outcome.REFUSED
    if isinstance(error, ReplyError) or (isinstance(error, ApiError) and error.may_be_accepted):
        return Outcome.UNCERTAIN
    if isinstance(error, InvalidRequestError) and _is_about_a_used_id(error.message):
        return Outcome.DUPLICATE
    return Outcome.NOT_ACCEPTED if is_passing(error) else Outcome.REFUSED


def _is_about_a_used_id(message: str) -> bool:
    return bool(_ID_WORDS.search(message) and _USED_WORDS.search(message))
