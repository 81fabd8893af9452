"""What became of a submit, decided by one table of what was sent and what came back.

    nothing was sent                             -> NOT_RECEIVED   send again
    refused before acceptance, passing           -> NOT_ACCEPTED   wait, then send again
    refused before acceptance, for good          -> REFUSED        tell the caller
    sent, and no answer or none that can be read -> UNCERTAIN      never send again blindly

A submit costs money and nothing about it is idempotent: Kling documents no key for that.
"""

from __future__ import annotations

import enum

from kling_effects_async.errors import (
    ApiError,
    KlingEffectsError,
    ReplyError,
    SubmissionUncertainError,
    TransportError,
)
from kling_effects_async.transport.session import is_passing

__all__ = ["Outcome", "outcome_of", "uncertain"]


class Outcome(enum.Enum):
    """What a failed submit means for the next step."""

    NOT_RECEIVED = "not received"
    NOT_ACCEPTED = "not accepted"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"


def outcome_of(error: KlingEffectsError) -> Outcome:
    """Read the table at the top of this file."""
    if isinstance(error, TransportError):
        if error.sent:
            return Outcome.UNCERTAIN
        return Outcome.NOT_RECEIVED if is_passing(error) else Outcome.REFUSED
    if isinstance(error, ReplyError) or (isinstance(error, ApiError) and error.may_be_accepted):
        return Outcome.UNCERTAIN
    return Outcome.NOT_ACCEPTED if is_passing(error) else Outcome.REFUSED


def uncertain(
    error: KlingEffectsError, *, scene: str, external_task_id: str
) -> SubmissionUncertainError:
    """The error for a caller who has to look before anything is paid again."""
    return SubmissionUncertainError(
        f"the answer to submitting {scene!r} was lost ({error}); the task may exist and be "
        "charged. Nothing was sent again. Before you do, look for it: "
        f"attach(external_task_id={external_task_id!r})",
        external_task_id=external_task_id,
        scene=scene,
    )
