"""What a person should know at the end of a bulk run, and its exit code; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define, field

from kling_effects_async import (
    AccountChangedError,
    ApiError,
    BudgetExceededError,
    ClientDrainingError,
    KlingEffectsError,
    Scope,
    SubmissionUncertainError,
    TaskFailedError,
)
from kling_effects_async.cli.bulk.arguments import BulkArguments
from kling_effects_async.cli.bulk.lines import duration, units_words
from kling_effects_async.cli.bulk.run_state import RunState
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.cli.messages import in_our_words, sentence

__all__ = ["FailureTally", "holds_back", "reason_of", "summary_lines"]

# So many rows of one reason are named; failed.csv has all.
_NAMED = 3


@define
class FailureTally:
    """What failed, by reason; of one size for any number.

    Attributes:
        examples: the first rows of each reason.
        codes: the exit codes that the failures would have had alone.
        path: the manifest of the rows that failed; ``None`` before there is one.
    """

    examples: dict[str, list[str]] = field(factory=dict)
    codes: set[ExitCode] = field(factory=set)
    path: Path | None = None

    def add(self, reason: str, where: str, code: ExitCode) -> None:
        """Count one."""
        rows = self.examples.setdefault(reason, [])
        if len(rows) < _NAMED:
            rows.append(where)
        self.codes.add(code)

    @property
    def code(self) -> ExitCode:
        """One reason has its own code, so that a script may react; of several none speaks."""
        return next(iter(self.codes)) if len(self.codes) == 1 else ExitCode.TASK_FAILED


def holds_back(error: Exception) -> bool:
    """Whether no row can be sent for this reason, until a person has acted."""
    is_of_account = isinstance(error, KlingEffectsError) and error.scope is Scope.ACCOUNT
    return is_of_account or isinstance(error, (BudgetExceededError, ClientDrainingError))


def reason_of(error: Exception) -> str:
    """Why it failed, in words that many rows have in common: without ids of requests and tasks."""
    if isinstance(error, BudgetExceededError):
        return (
            f"the budget of {units_words(error.limit_units)} allows no more: raise --budget-units"
        )
    if isinstance(error, AccountChangedError):
        return (
            f"the journal has this run under the account {error.other_account}, and the key is of "
            f"{error.account}: if both are one, add --account {error.other_account}; if not, --run "
            "NAME makes it a run of its own"
        )
    root = error.__cause__ if isinstance(error, SubmissionUncertainError) else error
    if isinstance(root, ApiError):
        return f"{root.message}. {root.advice}" if root.advice else root.message
    if isinstance(error, SubmissionUncertainError):
        return "the answer was lost: the task may exist, and be charged"
    if isinstance(error, TaskFailedError):
        return error.snapshot.message or "the task failed, and the service gave no reason"
    return in_our_words(sentence(error))


def summary_lines(
    state: RunState, failures: FailureTally, arguments: BulkArguments, *, now_s: float
) -> Sequence[str]:
    """Counts, failures by reason, and how to go on."""
    lines = [_counts(state, now_s)]
    for reason, number in state.failed.most_common():
        lines.append(f"{number} failed: {reason}")
        lines.append(f"    {_rows(failures.examples.get(reason, []), number)}")
    if state.failed and failures.path is not None:
        lines.append(
            f"the rows that failed, to correct and run again: {failures.path}; "
            f"{arguments.command_for(failures.path)}"
        )
    if state.held_back_by and state.to_do.total():
        lines.append(f"submits were held back: {state.held_back_by}")
    return lines


def _counts(state: RunState, now_s: float) -> str:
    numbers: Mapping[str, int] = {
        "done before and not paid again": state.before,
        "skipped": state.skipped,
        "failed": state.failed.total(),
        "uncertain": state.uncertain,
        "not sent": state.left,
    }
    parts = [f"{state.done} of {state.total} done"]
    parts += [f"{number} {what}" for what, number in numbers.items() if number]
    parts += [units_words(state.units)] if state.units else []
    return f"{', '.join(parts)}, in {duration(now_s - state.started_s)}"


def _rows(examples: list[str], number: int) -> str:
    more = number - len(examples)
    return ", ".join([*examples, f"and {more} more"] if more else examples)
