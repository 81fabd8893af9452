"""What is said at the end of a resumption, and its exit code; pure."""

from __future__ import annotations

from collections.abc import Sequence

from kling_effects_async import JobState
from kling_effects_async.cli.commands import resume_command
from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.job_tally import JobTally, counted, uncertain_lines
from kling_effects_async.cli.other_accounts import lines_of_others
from kling_effects_async.cli.resumption import Resumption, Wanted
from kling_effects_async.journal.job import UNSETTLED

__all__ = ["last_words"]


def last_words(
    wanted: Wanted, resumption: Resumption, everything: JobTally, stopped: ExitCode | None
) -> tuple[ExitCode, Sequence[str]]:
    """The exit code, and what a person should know.

    Args:
        everything: what the journal holds afterwards, of all accounts.
        stopped: the exit code of the signal that ended it; ``None`` if it came to its end.
    """
    ours = everything.of_account(resumption.account)
    left = ours.number(wanted.states)
    lines = _repeated(resumption)
    if resumption.number:
        lines.append(_counts(resumption))
    lines += uncertain_lines(
        ours, journal=wanted.shown, service=wanted.service, account=wanted.account
    )
    if (saved := ours.number([JobState.SUCCEEDED])) and not wanted.download_to:
        lines.append(f"{counted(saved, 'video')} not saved: --download-to FOLDER saves them")
    lines += (others := _of_others(wanted, resumption, everything))
    if stopped is not None:
        lines.append(f"stopped with {counted(left, 'job')} left; go on with: {_again(wanted)}")
        return stopped, lines
    if others and not ours.number():  # most likely the wrong key
        return ExitCode.SETTINGS, lines
    return _code_of_all(resumption, ours), lines


def _code_of_all(resumption: Resumption, ours: JobTally) -> ExitCode:
    if ours.number(UNSETTLED):
        return ExitCode.UNCERTAIN
    if not resumption.failed:
        return ExitCode.NOT_PRINTED if resumption.is_unprinted else ExitCode.DONE
    return next(iter(resumption.failed)) if len(resumption.failed) == 1 else ExitCode.TASK_FAILED


def _counts(resumption: Resumption) -> str:
    in_doubt = resumption.failed[ExitCode.UNCERTAIN]
    counts = f"{resumption.done} done, {resumption.failed.total() - in_doubt} failed"
    return f"{counts}, {in_doubt} in doubt" if in_doubt else counts


def _repeated(resumption: Resumption) -> list[str]:
    many = [(reason, n) for reason, n in resumption.reasons.items() if n > 1]
    return [f"{counted(n - 1, 'more job')} ended likewise: {reason}" for reason, n in many]


def _of_others(wanted: Wanted, resumption: Resumption, everything: JobTally) -> list[str]:
    return lines_of_others(
        everything,
        resumption.account,
        wanted.states,
        journal=wanted.shown,
        service=wanted.service,
        named=wanted.account,
    )


def _again(wanted: Wanted) -> str:
    return resume_command(
        journal=wanted.shown,
        service=wanted.service,
        account=wanted.account,
        download_to=wanted.download_to,
    )
