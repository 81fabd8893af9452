"""One plain sentence for each error, in the words of the command line; pure."""

from __future__ import annotations

import errno
import os
import re

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

__all__ = ["PYTHON_WORDS", "in_our_words", "sentence"]

# The library's words for what the command line calls otherwise.
_WORDS = (
    ("prepare()", "--prepare"),
    ("model_name=", "--model-name "),
    ("duration_s=", "--duration "),
    ("mode=", "--mode "),
    ("duration_s ", "--duration "),
    ("deadline_s ", "--timeout-s "),
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


def sentence(error: BaseException, *, task: str | None = None, is_preview: bool = False) -> str:
    """What happened, and where the error knows it, what to do.

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
        f"the answer to submitting {error.scene!r} was lost, and looking for the task did not "
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
        return f"nothing was heard of task {task} within {error.deadline_s:g} s"
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
