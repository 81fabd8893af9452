"""The second half of every task, new or old: wait for it, and download its video."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from attrs import asdict, frozen

from kling_effects_async import EffectResult, EffectsClient, EffectTask, Video
from kling_effects_async.cli.attempt import Attempt, Stage
from kling_effects_async.cli.console import json_line, print_result
from kling_effects_async.cli.progress import Progress

__all__ = ["Report", "finish", "print_report"]


@frozen(kw_only=True)
class Report:
    """What was made, as ``--json`` prints it.

    Attributes:
        path: of the video; ``None`` if it went to stdout.
        scene: ``None`` for a task of which only the id is known.
        units: what it cost, as the service's decimal; ``None`` if the service does not state it.
        is_preview: it was made on this machine, not by Kling's model.
    """

    path: str | None
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
    if report.path is None:
        return
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
    attempt.path = await _download(client, result.video, attempt, progress)
    return _report(result, attempt.path, attempt, client.service.name)


async def _download(
    client: EffectsClient, video: Video, attempt: Attempt, progress: Progress
) -> Path | None:
    """Where it is; ``None`` if it went to stdout."""
    if attempt.output.is_stdout:
        stdout = sys.stdout.buffer
        await client.download(video, stdout, on_progress=progress.show_download)
        await asyncio.to_thread(stdout.flush)
        return None
    return await client.download(
        video,
        attempt.output.path(attempt.name),
        overwrite=attempt.output.overwrite,
        on_progress=progress.show_download,
    )


def _note(attempt: Attempt, task: EffectTask) -> None:
    attempt.stage = Stage.ACCEPTED
    attempt.task_id = task.task_id or attempt.task_id
    attempt.external_task_id = task.external_task_id or attempt.external_task_id


def _report(result: EffectResult, path: Path | None, attempt: Attempt, service: str) -> Report:
    return Report(
        path=None if path is None else str(path),
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
