"""The second half of every task, new or old: wait for it, and download its video."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import asdict, frozen

from kling_effects_async import EffectResult, EffectsClient, EffectTask
from kling_effects_async.cli.attempt import Attempt, Stage
from kling_effects_async.cli.console import json_line, print_result
from kling_effects_async.cli.progress import Progress

__all__ = ["Report", "finish", "print_report"]


@frozen(kw_only=True)
class Report:
    """What was made, as ``--json`` prints it.

    Attributes:
        scene: ``None`` for a task of which only the id is known.
        units: what it cost, as the service's decimal; ``None`` if the service does not state it.
        is_preview: it was made on this machine, not by Kling's model.
    """

    path: str
    task_id: str
    external_task_id: str | None
    scene: str | None
    service: str
    duration_s: float | None
    units: str | None
    created_at: str | None
    updated_at: str | None
    is_preview: bool

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def __str__(self) -> str:
        cost = f", {self.units} units" if self.units and not self.is_preview else ""
        return f"task {self.task_id}: done{cost}"


def print_report(report: Report, *, as_json: bool) -> None:
    """The path alone, or all that is known.

    Raises:
        Failure: it cannot be printed; says where the video is.
    """
    # A file name need not be text in any encoding.
    line = json_line(report.as_json()) if as_json else os.fsencode(report.path)
    print_result(line, else_say=f"the video is saved: {report.path}")


async def finish(
    client: EffectsClient, task: EffectTask, attempt: Attempt, progress: Progress
) -> Report:
    """Wait for the task, save its video, and report it."""
    async for snapshot in task:
        _note(attempt, task)
        # The end has a line of its own, with what it cost.
        if not snapshot.is_final:
            progress.show(f"task {snapshot.task_id}: {snapshot.status}")
    result = await task
    path = await client.download(
        result.video,
        attempt.output.path(attempt.name),
        overwrite=attempt.output.overwrite,
        on_progress=progress.show_download,
    )
    attempt.path = path
    return _report(result, path, attempt, client.service.name)


def _note(attempt: Attempt, task: EffectTask) -> None:
    attempt.stage = Stage.ACCEPTED
    attempt.task_id = task.task_id or attempt.task_id
    attempt.external_task_id = task.external_task_id or attempt.external_task_id


def _report(result: EffectResult, path: Path, attempt: Attempt, service: str) -> Report:
    return Report(
        path=str(path),
        task_id=result.task_id,
        external_task_id=result.external_task_id or attempt.external_task_id,
        scene=attempt.scene,
        service="emulator" if attempt.is_preview else service,
        duration_s=result.video.duration_s,
        units=None if result.units is None else str(result.units),
        created_at=result.created_at.isoformat() if result.created_at else None,
        updated_at=result.updated_at.isoformat() if result.updated_at else None,
        is_preview=attempt.is_preview,
    )
