"""The second half of every task, new or old: wait for it, and download its video."""

from __future__ import annotations

import json
import os
from pathlib import Path

from attrs import asdict, frozen

from kling_effects_async import EffectResult, EffectsClient, EffectTask, PollPolicy, Settings
from kling_effects_async.cli.attempt import Attempt, Stage, report_errors
from kling_effects_async.cli.console import print_result, say
from kling_effects_async.cli.output_path import OutputPath, reject_kept
from kling_effects_async.cli.progress import Progress, shown_progress
from kling_effects_async.cli.runner import run, stopped_gently
from kling_effects_async.cli.settings_file import needed_settings, secrets_of

__all__ = ["FetchArguments", "Report", "fetch_task", "finish", "print_report"]


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


def print_report(report: Report, *, as_json: bool) -> None:
    """The path alone, or all that is known.

    Raises:
        Failure: it cannot be printed; says where the video is.
    """
    # A file name need not be text in any encoding.
    line = json.dumps(report.as_json()) if as_json else os.fsencode(report.path)
    print_result(line, else_say=f"the video is saved: {report.path}")


async def finish(
    client: EffectsClient, task: EffectTask, attempt: Attempt, progress: Progress
) -> Report:
    """Wait for the task, save its video, and tell about it."""
    async for snapshot in task:
        _note(attempt, task)
        if not snapshot.is_final:
            progress.tell(f"task {snapshot.task_id}: {snapshot.status}")
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


@frozen(kw_only=True)
class FetchArguments:
    """Which task the command line asks for; exactly one of the ids is given."""

    task_id: str | None
    external_task_id: str | None
    output: OutputPath
    service: str | None = None
    timeout_s: float
    is_silent: bool = False


def fetch_task(arguments: FetchArguments) -> Report:
    """Wait for the task and save its video.

    Raises:
        Failure: says what happened, and how to go on.
    """
    attempt = Attempt(
        output=arguments.output,
        task_id=arguments.task_id,
        external_task_id=arguments.external_task_id,
        service=arguments.service,
    )
    with report_errors(attempt):
        arguments.output.check(attempt.name)
        reject_kept(arguments.output.path(attempt.name))
        settings = needed_settings(arguments.service)
        attempt.secrets = secrets_of(settings.credentials)
        attempt.stage = Stage.ACCEPTED
        return run(_fetch(arguments, settings, attempt))


async def _fetch(arguments: FetchArguments, settings: Settings, attempt: Attempt) -> Report:
    poll = PollPolicy(deadline_s=arguments.timeout_s)
    with stopped_gently():
        async with EffectsClient(
            settings.credentials, service=settings.service, poll=poll, trust_env=True
        ) as client:
            task = client.attach(arguments.task_id, external_task_id=arguments.external_task_id)
            with shown_progress(is_silent=arguments.is_silent) as progress:
                progress.tell(f"asking for task {arguments.task_id or arguments.external_task_id}")
                report = await finish(client, task, attempt, progress)
    if not arguments.is_silent:
        say(str(report))
    return report
