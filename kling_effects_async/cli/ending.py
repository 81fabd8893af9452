"""From an error, and how far the task had come, to what a person should read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from kling_effects_async.cli.exit_codes import ExitCode, exit_code_of
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.talk import plain_talk
from kling_effects_async.cli.trail import Stage, Trail
from kling_effects_async.errors import (
    DownloadError,
    KlingEffectsError,
    ResultMissingError,
    SubmissionUncertainError,
    TaskFailedError,
    TaskNotFoundError,
    TaskTimeoutError,
)

__all__ = ["ending"]

# The library's words for what the command line calls otherwise.
_WORDS = (
    ("prepare()", "--prepare"),
    ("model_name=", "--model-name "),
    ("duration_s=", "--duration "),
    ("mode=", "--mode "),
    ("external_task_id ", "--external-task-id "),
)


@contextmanager
def ending(trail: Trail) -> Iterator[None]:
    """Turn whatever ends the block into a ``Failure`` that tells how to go on with the task."""
    try:
        with plain_talk():
            yield
    except KeyboardInterrupt as error:
        raise Failure(ExitCode.INTERRUPTED, _stopped(trail)) from error
    except asyncio.CancelledError as error:  # the loop is over: nobody waits for this any more
        raise Failure(ExitCode.TERMINATED, _stopped(trail)) from error
    except KlingEffectsError as error:
        raise Failure(exit_code_of(error), _explain(error, trail), trail.secrets) from error


def _stopped(trail: Trail) -> list[str]:
    if trail.is_preview:
        return ["stopped"]
    if trail.stage is Stage.NOTHING_SENT:
        return ["stopped; nothing was sent"]
    if trail.stage is Stage.SUBMITTING:
        what = "stopped while submitting: the task may exist and be charged"
        return [what, _look_first(trail)]
    task = trail.task_id or trail.external_task_id
    return [f"stopped waiting; the paid task {task} goes on", _go_on(trail)]


def _explain(error: KlingEffectsError, trail: Trail) -> list[str]:
    if isinstance(error, SubmissionUncertainError):
        return [_uncertain(error), _look_first(trail)]
    has_more = trail.stage is Stage.ACCEPTED and trail.is_to_be_fetched
    is_over = isinstance(error, TaskFailedError)
    # A task we have submitted exists, whatever the service says of it now.
    is_unknown = isinstance(error, TaskNotFoundError) and trail.scene is None
    is_worth_it = has_more and not is_over and not is_unknown
    return [_sentence(error, trail), *([_go_on(trail)] if is_worth_it else [])]


def _sentence(error: KlingEffectsError, trail: Trail) -> str:
    if isinstance(error, TaskTimeoutError):
        if trail.is_preview:
            return f"the preview was not done within {error.deadline_s:g} s"
        task = error.task_id or error.external_task_id
        if error.latest is None:
            return f"nothing was heard of task {task} within {error.deadline_s:g} s"
        return (
            f"task {task} did not end within {error.deadline_s:g} s "
            f"(last status: {error.latest.status}); it goes on at the service"
        )
    if isinstance(error, ResultMissingError):
        return f"task {error.snapshot.task_id} succeeded, but the service names no video"
    if isinstance(error, DownloadError):
        return f"task {trail.task_id} is done, but its video was not saved: {error}"
    return _in_our_words(str(error))


def _uncertain(error: SubmissionUncertainError) -> str:
    return (
        f"the answer to submitting {error.scene!r} was lost ({error.__cause__}); the task may "
        f"exist and be charged, with the external id {error.external_task_id}"
    )


def _look_first(trail: Trail) -> str:
    return f"look for it before you submit again: {trail.command()}"


def _go_on(trail: Trail) -> str:
    return f"go on with: {trail.command()}"


def _in_our_words(sentence: str) -> str:
    for theirs, ours in _WORDS:
        sentence = sentence.replace(theirs, ours)
    return sentence
