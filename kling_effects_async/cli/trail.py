"""What is known of the task while it is made, so that whoever ends the command can tell it.

The one value of the command that changes. It is kept outside the event loop, because Ctrl-C can
end that anywhere.
"""

from __future__ import annotations

import enum
from pathlib import Path

from attrs import define, field

from kling_effects_async.cli.commands import as_argument, joined, settle_command
from kling_effects_async.cli.target import Target

__all__ = ["Stage", "Trail"]


class Stage(enum.Enum):
    """How far the task has come."""

    NOTHING_SENT = "nothing sent"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"


@define(kw_only=True)
class Trail:
    """The trail of one task.

    Attributes:
        external_task_id: the task's id of our own; ``None`` if it is only known by ``task_id``.
        scene: what was submitted; ``None`` if this command submits nothing.
        service: what ``--service`` said, to be said again.
        journal: what ``--journal`` said; ``None`` if the task is written down nowhere.
        account: what ``--account`` said.
        is_repeatable: the same command line asks for this job again, and for no other.
        one_more: how to have one more; ``None`` where the same command line is another job.
        is_planned: nothing was sent, and the journal still means to.
        path: where the video was saved.
        is_preview: the task lives in this process alone, and costs nothing.
        secrets: what must be cut out of every message, whoever wrote it.
    """

    target: Target
    task_id: str | None = None
    external_task_id: str | None = None
    scene: str | None = None
    service: str | None = None
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
        """What the video is called where nobody said it."""
        task = self.task_id or self.external_task_id or "?"
        return task if self.scene is None else f"{self.scene}-{task}"

    @property
    def is_to_be_fetched(self) -> bool:
        """There may be a paid task, which another command can go on with."""
        return self.stage is not Stage.NOTHING_SENT and not self.is_preview

    def command(self) -> str:
        """The command line that goes on from here."""
        words = ["kling-effects", "fetch", "-o", str(self.target.path(self.name))]
        words += ["--overwrite"] if self.target.overwrite else []
        words += ["--service", self.service] if self.service else []
        if self.task_id is None:
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
