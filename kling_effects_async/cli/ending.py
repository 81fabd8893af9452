"""From an error, and how far the task had come, to what a person should read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import evolve

from kling_effects_async.cli.exit_codes import ExitCode, code_of_fault, exit_code_of
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.sentences import sentence
from kling_effects_async.cli.talk import plain_talk
from kling_effects_async.cli.termination import Terminated
from kling_effects_async.cli.trail import Stage, Trail
from kling_effects_async.errors import (
    EffectRejectedError,
    ExternalIdTakenError,
    IdempotencyConflictError,
    JournalError,
    KlingEffectsError,
    SubmissionUncertainError,
    TaskFailedError,
    TaskNotFoundError,
)

__all__ = ["ending"]


@contextmanager
def ending(trail: Trail) -> Iterator[None]:
    """Turn whatever ends the block into a ``Failure`` that tells how to go on with the task."""
    try:
        with plain_talk():
            yield
    except KeyboardInterrupt as error:
        raise Failure(ExitCode.INTERRUPTED, _stopped(trail)) from error
    except (asyncio.CancelledError, Terminated) as error:  # the loop is over: nobody waits for this
        raise Failure(ExitCode.TERMINATED, _stopped(trail)) from error
    except Failure:
        raise
    except Exception as error:  # the outermost edge of a task that may be paid: delivered
        raise Failure(_code(error, trail), _explain(error, trail), trail.secrets) from error


def _code(error: Exception, trail: Trail) -> ExitCode:
    if _is_in_doubt(error, trail):
        return ExitCode.UNCERTAIN
    if isinstance(error, KlingEffectsError):
        return exit_code_of(error)
    is_unsaved = isinstance(error, OSError) and trail.stage is Stage.ACCEPTED
    return ExitCode.NOT_SAVED if is_unsaved else code_of_fault(error)


def _stopped(trail: Trail) -> list[str]:
    if trail.path is not None:
        return ["stopped", _go_on(trail)]
    if trail.is_preview:
        return ["stopped"]
    if trail.stage is Stage.NOTHING_SENT:
        return ["stopped; nothing was sent", *_still_planned(trail)]
    if trail.stage is Stage.SUBMITTING:
        what = "stopped while submitting: the task may exist and be charged"
        return [what, _look_first(trail)]
    task = trail.task_id or trail.external_task_id
    return [f"stopped waiting; the paid task {task} goes on", _go_on(trail)]


def _explain(error: Exception, trail: Trail) -> list[str]:
    what = sentence(error, task=trail.task_id, is_preview=trail.is_preview)
    if _is_in_doubt(error, trail):
        return [what, _look_first(trail)]
    has_more = trail.stage is Stage.ACCEPTED and (trail.is_to_be_fetched or trail.path is not None)
    # The task that has the id is another one, or there can be none.
    is_over = isinstance(error, (TaskFailedError, IdempotencyConflictError, EffectRejectedError))
    # A task we have submitted exists, whatever the service says of it now.
    is_unknown = isinstance(error, TaskNotFoundError) and trail.scene is None
    is_worth_it = has_more and not is_over and not is_unknown
    rest = [_go_on(trail)] if is_worth_it else _still_planned(trail)
    if isinstance(error, ExternalIdTakenError) and error.task_id is not None:
        theirs = evolve(trail, task_id=error.task_id)
        rest = [f"if that task is the one you mean, save its video: {theirs.command()}"]
    if isinstance(error, TaskFailedError) and trail.one_more is not None:
        rest = [trail.one_more]
    return [what, *rest]


def _is_in_doubt(error: Exception, trail: Trail) -> bool:
    if isinstance(error, SubmissionUncertainError):
        return True
    # A journal that fails after the submit, or a fault of anybody's in it, cannot say any more what
    # became of it.
    is_known = isinstance(error, KlingEffectsError) and not isinstance(error, JournalError)
    return trail.stage is Stage.SUBMITTING and trail.is_to_be_fetched and not is_known


def _look_first(trail: Trail) -> str:
    if trail.journal is not None:
        return f"settle it before you submit again: {trail.settle_command()}"
    return f"look for it before you submit again: {trail.command()}"


def _go_on(trail: Trail) -> str:
    if trail.path is not None:
        return f"the video is saved: {trail.path}"
    return f"go on with: {trail.command()}"


def _still_planned(trail: Trail) -> list[str]:
    if not trail.is_planned:
        return []
    how = trail.settle_command("--abandon")
    return [f"it stays planned in the journal; the same command submits it, or give it up: {how}"]
