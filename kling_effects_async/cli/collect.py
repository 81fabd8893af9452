"""The second half of every task, new or old: wait for it, and bring its video home."""

from __future__ import annotations

from pathlib import Path

from attrs import asdict, frozen

from kling_effects_async import EffectResult, EffectsClient, EffectTask
from kling_effects_async.cli.progress import Progress
from kling_effects_async.cli.trail import Stage, Trail

__all__ = ["Report", "collect"]


@frozen(kw_only=True)
class Report:
    """What was made, as ``--json`` prints it.

    Attributes:
        scene: ``None`` for a task of which only the id is known.
        units: what it cost, as the service's decimal; ``None`` if the service does not tell.
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


async def collect(
    client: EffectsClient, task: EffectTask, trail: Trail, progress: Progress
) -> Report:
    """Wait for the task, save its video, and tell about it."""
    async for snapshot in task:
        _note(trail, task)
        if not snapshot.is_final:
            progress.tell(f"task {snapshot.task_id}: {snapshot.status}")
    result = await task
    path = await client.download(
        result.video,
        trail.target.path(trail.name),
        overwrite=trail.target.overwrite,
        on_progress=progress.show_download,
    )
    trail.path = path
    return _report(result, path, trail, client.service.name)


def _note(trail: Trail, task: EffectTask) -> None:
    trail.stage = Stage.ACCEPTED
    trail.task_id = task.id or trail.task_id
    trail.external_task_id = task.external_task_id or trail.external_task_id


def _report(result: EffectResult, path: Path, trail: Trail, service: str) -> Report:
    return Report(
        path=str(path),
        task_id=result.task_id,
        external_task_id=result.external_task_id or trail.external_task_id,
        scene=trail.scene,
        service="emulator" if trail.is_preview else service,
        duration_s=result.video.duration_s,
        units=None if result.units is None else str(result.units),
        created_at=result.created_at.isoformat() if result.created_at else None,
        updated_at=result.updated_at.isoformat() if result.updated_at else None,
        is_preview=trail.is_preview,
    )
