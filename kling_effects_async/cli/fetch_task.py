"""``kling-effects fetch``: a task that exists already is waited for and brought home."""

from __future__ import annotations

from attrs import frozen

from kling_effects_async import EffectsClient, PollPolicy, Settings
from kling_effects_async.cli.account import needed_settings, secrets_of
from kling_effects_async.cli.collect import Report, collect
from kling_effects_async.cli.ending import ending
from kling_effects_async.cli.kept_files import reject_kept
from kling_effects_async.cli.loops import run
from kling_effects_async.cli.progress import shown_progress
from kling_effects_async.cli.signals import stopped_gently
from kling_effects_async.cli.talk import say
from kling_effects_async.cli.target import Target
from kling_effects_async.cli.trail import Stage, Trail

__all__ = ["Wanted", "fetch_task"]


@frozen(kw_only=True)
class Wanted:
    """Which task the command line asks for; exactly one of the ids is given."""

    task_id: str | None
    external_task_id: str | None
    target: Target
    service: str | None = None
    timeout_s: float
    is_silent: bool = False


def fetch_task(wanted: Wanted) -> Report:
    """Wait for the task and save its video.

    Raises:
        Failure: says what happened, and how to go on.
    """
    trail = Trail(
        target=wanted.target,
        task_id=wanted.task_id,
        external_task_id=wanted.external_task_id,
        service=wanted.service,
    )
    with ending(trail):
        wanted.target.check(trail.name)
        reject_kept(wanted.target.path(trail.name))
        settings = needed_settings(wanted.service)
        trail.secrets = secrets_of(settings.credentials)
        trail.stage = Stage.ACCEPTED
        return run(_fetch(wanted, settings, trail))


async def _fetch(wanted: Wanted, settings: Settings, trail: Trail) -> Report:
    poll = PollPolicy(deadline_s=wanted.timeout_s)
    with stopped_gently():
        async with EffectsClient(
            settings.credentials, service=settings.service, poll=poll, trust_env=True
        ) as client:
            task = client.attach(wanted.task_id, external_task_id=wanted.external_task_id)
            with shown_progress(is_silent=wanted.is_silent) as progress:
                progress.tell(f"asking for task {wanted.task_id or wanted.external_task_id}")
                report = await collect(client, task, trail, progress)
    if not wanted.is_silent:
        say(str(report))
    return report
