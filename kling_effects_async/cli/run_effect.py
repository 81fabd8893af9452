"""``kling-effects run``: everything is decided first, then one task is made and brought home."""

from __future__ import annotations

import os
import uuid
from contextlib import AbstractAsyncContextManager

from kling_effects_async import Effect, EffectsClient, Journal, PollPolicy, Settings
from kling_effects_async.cli.account import config_path, find_settings, secrets_of
from kling_effects_async.cli.collect import Report, collect
from kling_effects_async.cli.ending import ending
from kling_effects_async.cli.loops import run
from kling_effects_async.cli.order import Order, effect_of
from kling_effects_async.cli.progress import Progress, shown_progress
from kling_effects_async.cli.run_journal import run_journal
from kling_effects_async.cli.signals import answered_ctrl_c, ended_by_sigterm
from kling_effects_async.cli.talk import say
from kling_effects_async.cli.trail import Stage, Trail

__all__ = ["run_effect"]


def run_effect(order: Order) -> Report:
    """Make one effect and save its video.

    Raises:
        Failure: says what happened, and how to go on with a task that was paid.
    """
    trail = Trail(
        target=order.target,
        scene=order.scene,
        # Known before anything is sent, so that the task can be found whatever happens to us.
        external_task_id=order.external_task_id or f"kea-{uuid.uuid4().hex}",
        service=order.service,
        journal=order.journal,
        is_named=order.external_task_id is not None,
    )
    with ending(trail):
        order.target.check()
        settings = find_settings(
            os.environ, config_path(), service=order.service, is_required=order.is_for_real
        )
        effect = effect_of(order)
        trail.is_preview = settings is None
        trail.secrets = () if settings is None else secrets_of(settings.credentials)
        return run(_run(order, effect, settings, trail))


async def _run(order: Order, effect: Effect, settings: Settings | None, trail: Trail) -> Report:
    with ended_by_sigterm(), answered_ctrl_c():
        async with (
            run_journal(trail, settings) as journal,
            _client(order, settings, journal) as client,
        ):
            with shown_progress(is_silent=order.is_silent) as progress:
                report = await _submit_and_collect(client, effect, trail, progress)
    if not order.is_silent:
        say(str(report))
    return report


async def _submit_and_collect(
    client: EffectsClient, effect: Effect, trail: Trail, progress: Progress
) -> Report:
    trail.stage = Stage.SUBMITTING
    progress.tell(f"submitting {effect.scene}")
    task = await client.submit(effect, external_task_id=trail.external_task_id)
    trail.stage, trail.task_id = Stage.ACCEPTED, task.id
    return await collect(client, task, trail, progress)


def _client(
    order: Order, settings: Settings | None, journal: Journal | None
) -> AbstractAsyncContextManager[EffectsClient]:
    if settings is not None:
        return EffectsClient(
            settings.credentials,
            service=settings.service,
            journal=journal,
            budget_units=order.budget_units,
            poll=PollPolicy(deadline_s=order.timeout_s),
        )
    from kling_effects_async.cli.preview import NOTICE, preview_client
    from kling_effects_async.emulator import Clips

    say(NOTICE)
    return preview_client(Clips(order.clips), timeout_s=order.timeout_s)
