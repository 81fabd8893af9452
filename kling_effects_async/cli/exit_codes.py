"""What the command's exit code means: grouped, like the errors, by what can be done next."""

from __future__ import annotations

import enum

from kling_effects_async import errors

__all__ = ["ExitCode", "code_of_fault", "exit_code_of"]


class ExitCode(enum.IntEnum):
    """An exit code and, in ``meaning``, the sentence about it that ``--help`` shows."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    DONE = 0, "done"
    FAULT = 1, "a fault of this program"
    USAGE = 2, "the command line is wrong"
    SETTINGS = 3, "no key, setting or package, or no usable journal; nothing was sent"
    REJECTED_HERE = 4, "the effect, an image, an id, the output or the machine; nothing was sent"
    NO_ANSWER = 5, "no answer from the service, or none that can be read"
    REJECTED_THERE = 6, "the service said no: key, account, request, content or rate"
    TASK_FAILED = 7, "the task, or one of many, failed or ended without a video"
    TIMED_OUT = 8, "not done within --timeout-s; the task goes on"
    UNCERTAIN = 9, "the task may exist and be charged: look before submitting again"
    NOT_SAVED = 10, "there is a task, but its video could not be saved"
    OVER_BUDGET = 11, "the budget does not allow it; nothing was sent"
    NOT_PRINTED = 12, "all is done, but stdout could not be written; stderr has the path"
    INTERRUPTED = 130, "stopped by Ctrl-C; a task that was submitted goes on"
    TERMINATED = 143, "stopped by SIGTERM or SIGHUP; a task that was submitted goes on"


# The narrowest class that is in the table decides.
_CODES: dict[type[errors.KlingEffectsError], ExitCode] = {
    errors.SettingsError: ExitCode.SETTINGS,
    errors.EffectRejectedError: ExitCode.REJECTED_HERE,
    errors.ImageRejectedError: ExitCode.REJECTED_HERE,
    errors.ImageUnreadableError: ExitCode.REJECTED_HERE,
    errors.IdempotencyConflictError: ExitCode.REJECTED_HERE,
    errors.AccountChangedError: ExitCode.REJECTED_HERE,
    errors.BudgetExceededError: ExitCode.OVER_BUDGET,
    errors.JournalError: ExitCode.SETTINGS,
    errors.TransportError: ExitCode.NO_ANSWER,
    errors.SubmissionUncertainError: ExitCode.UNCERTAIN,
    errors.ReplyError: ExitCode.NO_ANSWER,
    errors.ApiError: ExitCode.REJECTED_THERE,
    errors.TaskFailedError: ExitCode.TASK_FAILED,
    errors.ResultMissingError: ExitCode.TASK_FAILED,
    errors.TaskTimeoutError: ExitCode.TIMED_OUT,
    errors.DownloadError: ExitCode.NOT_SAVED,
    errors.ClientClosedError: ExitCode.FAULT,  # the command itself closes its clients
    errors.KlingEffectsError: ExitCode.FAULT,
}


def exit_code_of(error: errors.KlingEffectsError) -> ExitCode:
    """Read the table above."""
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def code_of_fault(error: BaseException) -> ExitCode:
    """The code of an error that nobody raised on purpose, before anything was sent."""
    return ExitCode.REJECTED_HERE if isinstance(error, OSError) else ExitCode.FAULT
