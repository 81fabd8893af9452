"""What became of one submit, decided by one table of what was sent and what came back.

    nothing was sent                             -> NOT_RECEIVED   send again
    rejected before acceptance, passing          -> NOT_ACCEPTED   wait, then send again
    rejected before acceptance, for good         -> REJECTED       raise it
    rejected because the external id was used    -> DUPLICATE      an earlier try has it? look it up
    sent, and no answer or none that can be read -> UNCERTAIN      look it up, never send blindly

A submit costs money and nothing about it is idempotent: Kling documents no key for that.
"""

from __future__ import annotations

import enum

from kling_effects_async.errors import (
    ApiError,
    InvalidRequestError,
    KlingEffectsError,
    ReplyError,
    TransportError,
)
from kling_effects_async.protocol.verdicts import says_used_id, without_id

__all__ = ["SubmitOutcome", "may_have_arrived", "outcome_of"]


class SubmitOutcome(enum.Enum):
    """What a failed submit means for the next step."""

    NOT_RECEIVED = "not received"
    NOT_ACCEPTED = "not accepted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    UNCERTAIN = "uncertain"


def outcome_of(error: KlingEffectsError, *, external_task_id: str = "") -> SubmitOutcome:
    """Read the table at the top of this file.

    Args:
        external_task_id: the submit's id; it is cut from the service's message before that is read.
    """
    if isinstance(error, TransportError):
        if error.sent:
            return SubmitOutcome.UNCERTAIN
        return SubmitOutcome.NOT_RECEIVED if error.retryable else SubmitOutcome.REJECTED
    if isinstance(error, (ApiError, ReplyError)) and error.may_be_accepted:
        return SubmitOutcome.UNCERTAIN
    if isinstance(error, InvalidRequestError) and says_used_id(
        without_id(error.message, external_task_id)
    ):
        return SubmitOutcome.DUPLICATE
    return SubmitOutcome.NOT_ACCEPTED if error.retryable else SubmitOutcome.REJECTED


def may_have_arrived(error: KlingEffectsError) -> bool:
    """Whether a whole submit may have reached the service, which then knows its external id."""
    if isinstance(error, TransportError):
        return error.sent
    return isinstance(error, (ApiError, ReplyError))
