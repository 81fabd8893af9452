"""What a resumption is to do, and how it goes; pure."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from attrs import define, field, frozen

from kling_effects_async import (
    ApiError,
    Done,
    JobState,
    KlingEffectsError,
    Outcome,
    SubmissionUncertainError,
)
from kling_effects_async.cli.exit_codes import ExitCode, exit_code_of
from kling_effects_async.cli.sentences import sentence
from kling_effects_async.journal.job import OPEN

__all__ = ["Resumption", "Wanted", "outcome_as_json"]


@frozen(kw_only=True)
class Wanted:
    """What the command line asks for."""

    journal: str | None
    download_to: str | None
    service: str | None
    account: str | None
    timeout_s: float
    budget_units: Decimal | None
    as_json: bool
    is_silent: bool

    @property
    def shown(self) -> str:
        """The journal, as the person named it."""
        return self.journal or ""

    @property
    def states(self) -> frozenset[JobState]:
        """Where a job stands that is not at its end."""
        return OPEN | ({JobState.SUCCEEDED} if self.download_to else frozenset())


@define
class Resumption:
    """What has become of the jobs so far.

    Attributes:
        account: the one of the key; ``""`` until it is known.
        is_unprinted: a line did not get to stdout.
        failed: how many failed, by the exit code that each would have had alone.
        reasons: how often each reason was met.
    """

    account: str = ""
    is_unprinted: bool = False
    done: int = 0
    failed: Counter[ExitCode] = field(factory=Counter)
    reasons: Counter[str] = field(factory=Counter)

    @property
    def number(self) -> int:
        """Jobs with an outcome."""
        return self.done + self.failed.total()

    def add(self, outcome: Outcome) -> str | None:
        """Count it; what is to be said about it, if its reason was not met before.

        A wrong key is one reason for a thousand jobs.
        """
        if isinstance(outcome, Done):
            self.done += 1
            return None
        self.failed[_code(outcome.error)] += 1
        what = sentence(outcome.error, task=outcome.external_task_id)
        reason = _reason(outcome.error) or what
        self.reasons[reason] += 1
        return f"{outcome.external_task_id}: {what}" if self.reasons[reason] == 1 else None


def outcome_as_json(outcome: Outcome) -> dict[str, object]:
    """An outcome as ``--json`` prints it."""
    if isinstance(outcome, Done):
        units = outcome.result.units
        return {
            "external_task_id": outcome.external_task_id,
            "outcome": "done",
            "task_id": outcome.result.task_id,
            "units": None if units is None else f"{units:f}",
            "path": None if outcome.path is None else str(outcome.path),
        }
    return {
        "external_task_id": outcome.external_task_id,
        "outcome": "failed",
        "error": type(outcome.error).__name__,
        "message": sentence(outcome.error, task=outcome.external_task_id),
        "exit_code": int(_code(outcome.error)),
    }


def _reason(error: Exception) -> str | None:
    """What many jobs may have in common; ``None`` if it is this job's alone."""
    is_in_doubt = isinstance(error, SubmissionUncertainError)
    root = error.__cause__ if is_in_doubt else error
    if isinstance(root, ApiError):
        return root.message  # without the number of the request
    return "the answer was lost" if is_in_doubt else None


def _code(error: Exception) -> ExitCode:
    if isinstance(error, OSError) and not isinstance(error, KlingEffectsError):
        return ExitCode.NOT_SAVED
    return exit_code_of(error) if isinstance(error, KlingEffectsError) else ExitCode.FAULT
