"""One plain sentence for each error, in the words of the command line; pure."""

from __future__ import annotations

from kling_effects_async.errors import (
    DownloadError,
    JournalDamagedError,
    KlingEffectsError,
    ResultMissingError,
    SubmissionUncertainError,
    TaskTimeoutError,
)

__all__ = ["sentence"]

# The library's words for what the command line calls otherwise.
_WORDS = (
    ("prepare()", "--prepare"),
    ("model_name=", "--model-name "),
    ("duration_s=", "--duration "),
    ("mode=", "--mode "),
    ("external_task_id ", "--external-task-id "),
    ("another external_task_id", "another --external-task-id"),
    (", or open it read-only", "; kling-effects jobs lists it meanwhile"),
    (
        "open it again with start_fresh=True: that begins",
        "delete the file beside it that ends in .damaged, and the next run begins",
    ),
)


def sentence(error: Exception, *, task: str | None = None, is_preview: bool = False) -> str:
    """What happened, and where the error knows it, what to do.

    Args:
        task: the id to call the task by where the error does not know one.
        is_preview: the task lives in this process alone.
    """
    match error:
        case SubmissionUncertainError():
            return _uncertain(error)
        case TaskTimeoutError():
            return _timed_out(error, is_preview=is_preview)
        case ResultMissingError():
            return f"task {error.snapshot.task_id} succeeded, but the service names no video"
        case DownloadError():
            return f"task {task} is done, but its video was not saved: {error}"
        case JournalDamagedError():
            # The first line is a file name, for programs.
            story = str(error)
            return _in_our_words(story.partition("\n")[2] or story)
        case KlingEffectsError():
            return _in_our_words(str(error))
    return f"a fault of this program ({type(error).__name__})"


def _uncertain(error: SubmissionUncertainError) -> str:
    reason = f" ({error.__cause__})" if error.__cause__ else ""
    return (
        f"the answer to submitting {error.scene!r} was lost, and looking for the task did not "
        f"settle it{reason}; the task may exist and be charged, with the external id "
        f"{error.external_task_id}"
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


def _in_our_words(text: str) -> str:
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    return text
