"""What is known of the task while it is made, and the report if an error ends the command.

An attempt is the one value of the command that changes. It is kept outside the event loop, because
Ctrl-C can end the loop anywhere.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, evolve, field

from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.hints import as_argument, joined, settle_command
from kling_effects_async.cli.messages import (
    code_of_fault,
    exit_code_of,
    sentence,
    show_library_messages,
)
from kling_effects_async.cli.output_path import OutputPath
from kling_effects_async.cli.service_choice import ServiceChoice
from kling_effects_async.cli.signals import Terminated
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

__all__ = ["Attempt", "Stage", "report_errors"]


class Stage(enum.Enum):
    """How far the task has come."""

    NOTHING_SENT = "nothing sent"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"


@define(kw_only=True)
class Attempt:
    """One task, from before its submit until its video is saved.

    Attributes:
        external_task_id: the task's id of our own; ``None`` if it is only known by ``task_id``.
        scene: what was submitted; ``None`` if this command submits nothing.
        service: the values of ``--service`` and ``--profile``, to be repeated in commands.
        journal: the value of ``--journal``; ``None`` if the task is recorded nowhere.
        account: the value of ``--account``.
        is_repeatable: the same command line means this job again, and no other.
        one_more: how to have one more; ``None`` where the same command line is another job.
        is_planned: nothing was sent, and the journal has the job as planned.
        path: where the video was saved.
        is_preview: the task lives in this process alone, and costs nothing.
        secrets: what must be cut out of every message.
    """

    output: OutputPath
    task_id: str | None = None
    external_task_id: str | None = None
    scene: str | None = None
    service: ServiceChoice = field(factory=ServiceChoice)
    journal: str | None = None
    account: str | None = None
    is_repeatable: bool = False
    one_more: str | None = None
    is_planned: bool = False
    path: Path | None = None
    stage: Stage = Stage.NOTHING_SENT
    is_preview: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The name of the video's file if none was given."""
        task = self.task_id or self.external_task_id or "?"
        return task if self.scene is None else f"{self.scene}-{task}"

    @property
    def is_to_be_fetched(self) -> bool:
        """There may be a paid task, which another command can go on with."""
        return self.stage is not Stage.NOTHING_SENT and not self.is_preview

    def command(self) -> str:
        """The command line that goes on from here."""
        words = ["kling-effects", "fetch", "-o", str(self.output.path(self.name))]
        words += ["--overwrite"] if self.output.overwrite else []
        words += self.service.options()
        if self.task_id is None:
            # With "=", because an id may begin with a dash.
            words += [f"--external-task-id={self.external_task_id}"]
        else:
            words += as_argument(self.task_id)
        return joined(words)

    def settle_command(self, how: str | None = None) -> str:
        """The command line that settles the task's job in the journal."""
        assert self.journal is not None
        assert self.external_task_id is not None
        return settle_command(
            self.external_task_id,
            journal=self.journal,
            service=self.service,
            account=self.account,
            how=how,
        )


@contextmanager
def report_errors(attempt: Attempt) -> Iterator[None]:
    """Turn whatever ends the block into a ``Failure`` that says how to go on with the task."""
    try:
        with show_library_messages():
            yield
    except KeyboardInterrupt as error:
        raise Failure(ExitCode.INTERRUPTED, _stopped(attempt)) from error
    except (asyncio.CancelledError, Terminated) as error:  # the loop has ended: no one awaits it
        raise Failure(ExitCode.TERMINATED, _stopped(attempt)) from error
    except Failure:
        raise
    except Exception as error:  # the outermost edge of a task that may be paid: delivered
        raise Failure(_code(error, attempt), _explain(error, attempt), attempt.secrets) from error


def _code(error: Exception, attempt: Attempt) -> ExitCode:
    if _is_uncertain(error, attempt):
        return ExitCode.UNCERTAIN
    if isinstance(error, KlingEffectsError):
        return exit_code_of(error)
    is_unsaved = isinstance(error, OSError) and attempt.stage is Stage.ACCEPTED
    return ExitCode.NOT_SAVED if is_unsaved else code_of_fault(error)


def _stopped(attempt: Attempt) -> list[str]:
    if attempt.path is not None:
        return ["stopped", _go_on(attempt)]
    if attempt.is_preview:
        return ["stopped"]
    if attempt.stage is Stage.NOTHING_SENT:
        return ["stopped; nothing was sent", *_still_planned(attempt)]
    if attempt.stage is Stage.SUBMITTING:
        what = "stopped while submitting: the task may exist and be charged"
        return [what, _look_up_before(attempt)]
    task = attempt.task_id or attempt.external_task_id
    return [f"stopped waiting; the paid task {task} goes on", _go_on(attempt)]


def _explain(error: Exception, attempt: Attempt) -> list[str]:
    what = sentence(error, task=attempt.task_id, is_preview=attempt.is_preview)
    if _is_uncertain(error, attempt):
        return [what, _look_up_before(attempt)]
    has_more = attempt.stage is Stage.ACCEPTED and (
        attempt.is_to_be_fetched or attempt.path is not None
    )
    # The task that has the id is another one, or there can be none.
    is_over = isinstance(error, (TaskFailedError, IdempotencyConflictError, EffectRejectedError))
    # A task that this command submitted exists, even if the service does not find it now.
    is_unknown = isinstance(error, TaskNotFoundError) and attempt.scene is None
    is_worth_it = has_more and not is_over and not is_unknown
    rest = [_go_on(attempt)] if is_worth_it else _still_planned(attempt)
    if isinstance(error, ExternalIdTakenError) and error.task_id is not None:
        theirs = evolve(attempt, task_id=error.task_id)
        rest = [f"if that task is the one you mean, save its video: {theirs.command()}"]
    if isinstance(error, TaskFailedError) and attempt.one_more is not None:
        rest = [attempt.one_more]
    return [what, *rest]


def _is_uncertain(error: Exception, attempt: Attempt) -> bool:
    if isinstance(error, SubmissionUncertainError):
        return True
    # If the journal fails after the submit, or anything has a fault there, the outcome is unknown.
    is_known = isinstance(error, KlingEffectsError) and not isinstance(error, JournalError)
    return attempt.stage is Stage.SUBMITTING and attempt.is_to_be_fetched and not is_known


def _look_up_before(attempt: Attempt) -> str:
    if attempt.journal is not None:
        return f"settle it before you submit again: {attempt.settle_command()}"
    return f"look it up before you submit again: {attempt.command()}"


def _go_on(attempt: Attempt) -> str:
    if attempt.path is not None:
        return f"the video is saved: {attempt.path}"
    return f"go on with: {attempt.command()}"


def _still_planned(attempt: Attempt) -> list[str]:
    if not attempt.is_planned:
        return []
    how = attempt.settle_command("--abandon")
    return [f"it stays planned in the journal; the same command submits it, or abandon it: {how}"]
