"""The options of a resumption, its progress, and the report at its end; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.cli.hints import resume_command
from kling_effects_async.cli.jobs.tally import JobTally, counted, lines_of_others, uncertain_lines
from kling_effects_async.cli.messages import exit_code_of, sentence
from kling_effects_async.cli.service_choice import ServiceChoice
from kling_effects_async.journal.job import OPEN, UNSETTLED

__all__ = ["ResumeArguments", "Resumption", "code_of", "outcome_as_json", "resume_summary"]


@frozen(kw_only=True)
class ResumeArguments:
    """The options of one ``resume``."""

    journal: str | None
    download_to: str | None
    service: ServiceChoice
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
        """Where a job stands that is unfinished."""
        return OPEN | ({JobState.SUCCEEDED} if self.download_to else frozenset())


@define
class Resumption:
    """What has become of the jobs so far.

    Attributes:
        account: the one of the key; ``""`` before the client is open.
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
        """Count it; the message about it, or ``None`` if its reason was reported before.

        A wrong key is one reason for a thousand jobs.
        """
        if isinstance(outcome, Done):
            self.done += 1
            return None
        self.failed[code_of(outcome.error)] += 1
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
        "exit_code": int(code_of(outcome.error)),
    }


def _reason(error: Exception) -> str | None:
    """What many jobs may have in common; ``None`` if it is this job's alone."""
    is_uncertain = isinstance(error, SubmissionUncertainError)
    root = error.__cause__ if is_uncertain else error
    if isinstance(root, ApiError):
        return root.message  # without the number of the request
    return "the answer was lost" if is_uncertain else None


def code_of(error: Exception) -> ExitCode:
    """The exit code that the error would have alone."""
    if isinstance(error, OSError) and not isinstance(error, KlingEffectsError):
        return ExitCode.NOT_SAVED
    return exit_code_of(error) if isinstance(error, KlingEffectsError) else ExitCode.FAULT


def resume_summary(
    arguments: ResumeArguments,
    resumption: Resumption,
    everything: JobTally,
    stopped: ExitCode | None,
) -> tuple[ExitCode, Sequence[str]]:
    """The exit code, and what a person should know.

    Args:
        everything: what the journal holds afterwards, of all accounts.
        stopped: the exit code of the signal that ended it; ``None`` if it came to its end.
    """
    ours = everything.of_account(resumption.account)
    left = ours.number(arguments.states)
    lines = _repeated(resumption)
    if resumption.number:
        lines.append(_counts(resumption))
    lines += uncertain_lines(
        ours, journal=arguments.shown, service=arguments.service, account=arguments.account
    )
    if (saved := ours.number([JobState.SUCCEEDED])) and not arguments.download_to:
        lines.append(f"{counted(saved, 'video')} not saved: --download-to FOLDER saves them")
    lines += (others := _of_others(arguments, resumption, everything))
    if stopped is not None:
        lines.append(f"stopped with {counted(left, 'job')} left; go on with: {_again(arguments)}")
        return stopped, lines
    if others and not ours.number():  # most likely the wrong key
        return ExitCode.SETTINGS, lines
    return _code_of_all(resumption, ours), lines


def _code_of_all(resumption: Resumption, ours: JobTally) -> ExitCode:
    # Before any failure, because an uncertain job may have been charged.
    if ours.number(UNSETTLED):
        return ExitCode.UNCERTAIN
    if not resumption.failed:
        return ExitCode.NOT_PRINTED if resumption.is_unprinted else ExitCode.DONE
    # One reason has its own code, so that a script may react; of several none speaks for all.
    return next(iter(resumption.failed)) if len(resumption.failed) == 1 else ExitCode.TASK_FAILED


def _counts(resumption: Resumption) -> str:
    uncertain = resumption.failed[ExitCode.UNCERTAIN]
    counts = f"{resumption.done} done, {resumption.failed.total() - uncertain} failed"
    return f"{counts}, {uncertain} uncertain" if uncertain else counts


def _repeated(resumption: Resumption) -> list[str]:
    many = [(reason, n) for reason, n in resumption.reasons.items() if n > 1]
    return [
        f"{counted(n - 1, 'more job')} ended for the same reason: {reason}" for reason, n in many
    ]


def _of_others(
    arguments: ResumeArguments, resumption: Resumption, everything: JobTally
) -> list[str]:
    return lines_of_others(
        everything,
        resumption.account,
        arguments.states,
        journal=arguments.shown,
        service=arguments.service,
        named=arguments.account,
    )


def _again(arguments: ResumeArguments) -> str:
    return resume_command(
        journal=arguments.shown,
        service=arguments.service,
        account=arguments.account,
        download_to=arguments.download_to,
    )
