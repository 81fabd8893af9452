"""How a command fails: an exit code, and lines that say what happened and what to do."""

from __future__ import annotations

import enum
from collections.abc import Sequence

__all__ = ["ExitCode", "Failure", "without_secrets"]


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
    REJECTED_HERE = 4, "rejected here: effect, image, id, output or machine; nothing was sent"
    NO_ANSWER = 5, "no reply from the service, or one that cannot be read"
    REJECTED_THERE = 6, "rejected by the service: key, account, request, content or rate"
    TASK_FAILED = 7, "the task, or one of many, failed or ended without a video"
    TIMED_OUT = 8, "the task did not end within --timeout-s; it goes on"
    UNCERTAIN = 9, "the task may exist and be charged: look it up before you submit again"
    NOT_SAVED = 10, "there is a task, but its video could not be saved"
    OVER_BUDGET = 11, "the budget does not allow it; nothing was sent"
    NOT_PRINTED = 12, "done, but stdout could not be written; stderr has the path"
    INTERRUPTED = 130, "stopped by Ctrl-C; a task that was submitted goes on"
    TERMINATED = 143, "stopped by SIGTERM or SIGHUP; a task that was submitted goes on"


class Failure(Exception):
    """Ends the command.

    Attributes:
        code: the command's exit code.
        lines: what happened, then what to do.
    """

    def __init__(self, code: ExitCode, lines: Sequence[str], secrets: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.code = code
        self._secrets = tuple(secrets)
        self.lines: tuple[str, ...] = tuple(without_secrets(line, secrets) for line in lines)

    def traceback(self) -> str:
        """Where it came from; a service's words in it may have repeated a key."""
        import traceback

        return without_secrets("".join(traceback.format_exception(self)), self._secrets)


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """The text without what must not be shown."""
    for secret in secrets:
        # By value and not by pattern: these are the very secrets of this process.
        text = text.replace(secret, "...")
    return text
