"""The library's messages (errors, warnings, its log) in the words of the command line.

One plain sentence and an exit code for each error.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from kling_effects_async import errors
from kling_effects_async.cli.console import say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.errors import (
    ApiError,
    DownloadError,
    ExternalIdTakenError,
    JournalDamagedError,
    KlingEffectsError,
    ResultMissingError,
    SubmissionUncertainError,
    TaskFailedError,
    TaskTimeoutError,
)

__all__ = [
    "PYTHON_WORDS",
    "code_of_fault",
    "errors_as_failures",
    "exit_code_of",
    "in_our_words",
    "request_lines",
    "sentence",
    "show_library_messages",
]

_log = logging.getLogger("kling_effects_async")

# The library's words for what the command line calls otherwise.
_WORDS = (
    ("prepare()", "--prepare"),
    ("model_name=", "--model-name "),
    ("duration_s=", "--duration "),
    ("mode=", "--mode "),
    ("duration_s ", "--duration "),
    ("deadline_s ", "--timeout-s "),
    ("public_url ", "--public-url "),
    ("base_url ", "the service's URL "),
    ("task_id must", "TASK_ID must"),
    ("external_task_id ", "--external-task-id "),
    ("another external_task_id", "another --external-task-id"),
    ("pass overwrite=True to replace it", "--overwrite replaces it"),
    ("DualImageEffect with left= and right=", "two images"),
    ("SingleImageEffect with image=", "one image"),
    ("clips=Clips.STOCK", "--clips stock"),
    ("port=0", "--port 0"),
    (", or open it read-only", "; kling-effects jobs lists it meanwhile"),
    (
        "open it again with start_fresh=True: that begins",
        "delete the file beside it that ends in .damaged, and the next run begins",
    ),
    ("decode it and pass the image's bytes", "decode it into a file and give that"),
    ("decode it first: the bytes are encoded while sending", "decode it into a file and give that"),
    ("pass the image's bytes, they are encoded while sending", "decode it into a file"),
    ("read it yourself and pass the bytes", "copy it into a file and give that"),
    ("pass it as a str", "give the URL itself"),
    ("A str must be an http(s) URL; for a file pass pathlib.Path(...).", "It is no whole URL."),
)

# The name of an argument in front of its value.
_ARGUMENT = re.compile(r"^(?:image|left|right)=(?=['\"])")

# What only a Python program can do: calls, arguments, blocks, types.
PYTHON_WORDS = re.compile(
    r"\b[\w.]+\((?:\)|\.\.\.)|\b[a-z]\w*=(?:True|False|None|['\"])|\b[a-z]\w*= "
    r"|\basync with\b|\ba str\b|\b(?:base_url|deadline_s|duration_s)\b"
    r"|\b(?:EffectsClient|EffectTask|\w+Effect|\w+Policy|\w+Error)\b"
)

_ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ")

# Where a message may be cut: what it says to do comes after what happened.
_CLAUSE = re.compile(r"([;:.,] (?:or |and )?)")
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
    errors.ClipNameTakenError: ExitCode.REJECTED_HERE,
    errors.ClientDrainingError: ExitCode.INTERRUPTED,  # drained by a Ctrl-C
    errors.ClientClosedError: ExitCode.FAULT,  # the command itself closes its clients
    errors.KlingEffectsError: ExitCode.FAULT,
}


def sentence(error: BaseException, *, task: str | None = None, is_preview: bool = False) -> str:
    """What happened, and where the error has it, what to do.

    Args:
        task: the id to call the task by where the error does not know one.
        is_preview: the task lives in this process alone.
    """
    match error:
        case SubmissionUncertainError():
            return _uncertain(error)
        case ExternalIdTakenError():
            return _taken(error)
        case TaskTimeoutError():
            return _timed_out(error, is_preview=is_preview)
        case ResultMissingError():
            return f"task {error.snapshot.task_id} succeeded, but the service names no video"
        case DownloadError():
            return f"task {task} is done, but its video was not saved: {in_our_words(str(error))}"
        case JournalDamagedError():
            # The first line is a file name, for programs.
            story = str(error)
            return in_our_words(story.partition("\n")[2] or story)
        case ApiError() | TaskFailedError():
            return str(error)  # most of it is the service's words, which are left as they are
        case KlingEffectsError():
            return in_our_words(str(error))
        case OSError():
            return _not_allowed(error)
    kind = type(error).__name__
    return f"a fault of this program ({kind}); KLING_EFFECTS_DEBUG=1 shows where"


def in_our_words(text: str) -> str:
    """A message of the library without what only a Python program can do.

    What is not in the table loses its clause; what happened comes first and always stays.
    """
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    first, *rest = _CLAUSE.split(_ERROR_NUMBER.sub("", _ARGUMENT.sub("", text)))
    kept = [first.replace("()", "")]
    for mark, clause in zip(rest[::2], rest[1::2], strict=True):
        kept += [] if PYTHON_WORDS.search(clause) else [mark, clause]
    return "".join(kept)


def _uncertain(error: SubmissionUncertainError) -> str:
    reason = f" ({in_our_words(str(error.__cause__))})" if error.__cause__ else ""
    return (
        f"the answer to submitting {error.scene!r} was lost, and a lookup of the task did not "
        f"settle it{reason}; the task may exist and be charged, with the external id "
        f"{error.external_task_id}"
    )


def _taken(error: ExternalIdTakenError) -> str:
    task = "a task" if error.task_id is None else f"task {error.task_id}"
    return (
        f"the service has {task} under the external id {error.external_task_id} already, which was "
        "not submitted from here; nothing was created: choose another --external-task-id"
    )


def _timed_out(error: TaskTimeoutError, *, is_preview: bool) -> str:
    if is_preview:
        return f"the preview was not done within {error.deadline_s:g} s"
    task = error.task_id or error.external_task_id
    if error.latest is None:
        return f"no status of task {task} was received within {error.deadline_s:g} s"
    return (
        f"task {task} did not end within {error.deadline_s:g} s "
        f"(last status: {error.latest.status}); it goes on at the service"
    )


def _not_allowed(error: OSError) -> str:
    what = error.strerror or str(error)
    if error.filename is not None:
        return f"this machine does not allow it: {what}: {os.fsdecode(error.filename)}"
    if error.errno == errno.ENOENT and what == os.strerror(errno.ENOENT):
        return "the working folder is gone: change to one that exists"
    return f"this machine does not allow it: {what}"


def exit_code_of(error: errors.KlingEffectsError) -> ExitCode:
    """Read the table above."""
    # By the classes, so that a class that is added gets the code of its parent.
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def code_of_fault(error: BaseException) -> ExitCode:
    """The code of an error from outside the library, before anything was sent."""
    return ExitCode.REJECTED_HERE if isinstance(error, OSError) else ExitCode.FAULT


@contextmanager
def errors_as_failures(secrets: Sequence[str] = ()) -> Iterator[None]:
    """Turn an error that ends the block into a ``Failure`` of one sentence.

    Args:
        secrets: what must be cut out of the sentence; may be filled within the block.
    """
    try:
        with show_library_messages():
            yield
    except KlingEffectsError as error:
        raise Failure(exit_code_of(error), [sentence(error)], secrets) from error


@contextmanager
def show_library_messages() -> Iterator[None]:
    """Within the block, the package's warnings and log messages come as lines of the command."""
    handler = _LogLines(level=logging.WARNING)
    _log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            from kling_effects_async import UnknownSceneWarning

            # Python's default shows a warning once for each line of code.
            warnings.simplefilter("always", UnknownSceneWarning)
            warnings.showwarning = _say_warning
            yield
    finally:
        _log.removeHandler(handler)


@contextmanager
def request_lines(*, is_wanted: bool) -> Iterator[None]:
    """Within the block, every request of an emulator is logged in one line."""
    if not is_wanted:
        yield
        return
    from kling_effects_async.emulator.logger_name import LOGGER_NAME

    logger, handler = logging.getLogger(LOGGER_NAME), _RequestLines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _RequestLines(logging.Handler):
    """Writes a line if that takes no time: a full pipe without a reader must not stop requests."""

    def emit(self, record: logging.LogRecord) -> None:
        if _can_be_written():
            say(record.getMessage())


def _can_be_written() -> bool:
    """Whether a line fits. A pipe is writable when 4 KiB are free (POSIX, PIPE_BUF), a line less.

    ``True`` where that cannot be found out: on Windows, and for a stream without a file.
    """
    try:
        poll = select.poll()
        poll.register(sys.stderr, select.POLLOUT)
        return any(event & select.POLLOUT for _file, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return True


class _LogLines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    say(str(message))
