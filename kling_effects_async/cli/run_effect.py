"""``kling-effects run``: everything is decided first, then one task is made and its clip saved."""

from __future__ import annotations

import asyncio
import os
import warnings
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime

from kling_effects_async import (
    Effect,
    EffectsClient,
    Job,
    Journal,
    JournalError,
    PollPolicy,
    Settings,
    UnknownSceneWarning,
)
from kling_effects_async.cli.account import account_of, config_path, find_settings, secrets_of
from kling_effects_async.cli.collect import Report, collect
from kling_effects_async.cli.earlier_run import report_of_earlier
from kling_effects_async.cli.ending import ending
from kling_effects_async.cli.kept_files import reject_kept
from kling_effects_async.cli.local_checks import is_to_be_sent
from kling_effects_async.cli.loops import run
from kling_effects_async.cli.order import Order, effect_of
from kling_effects_async.cli.progress import Progress, shown_progress
from kling_effects_async.cli.run_journal import note_saved, run_journal
from kling_effects_async.cli.signals import stopped_gently
from kling_effects_async.cli.talk import say
from kling_effects_async.cli.trail import Stage, Trail
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.paths import journal_path
from kling_effects_async.protocol.requests import scene_advice
from kling_effects_async.submitting.planning import make_job, random_id

__all__ = ["run_effect"]


def run_effect(order: Order) -> Report:
    """Make one effect and save its video.

    Raises:
        Failure: says what happened, and how to go on with a task that was paid.
    """
    trail = Trail(
        target=order.target,
        scene=order.scene,
        service=order.service,
        journal=order.journal,
        account=order.account,
        is_repeatable=order.is_repeatable,
        one_more=_one_more(order),
    )
    with ending(trail):
        _check_files(order)
        if not order.is_repeatable:
            order.target.check()
        settings = find_settings(
            os.environ, config_path(), service=order.service, is_required=order.is_for_real
        )
        effect = effect_of(order)
        trail.is_preview = settings is None
        if trail.is_preview:
            os.getcwd()  # where the process starts that draws it: better known now if it is gone
        trail.secrets = () if settings is None else secrets_of(settings.credentials)
        job = _job(order, effect, settings)
        # Known before anything is sent, so that the task can be found whatever happens to us.
        trail.external_task_id = job.external_task_id
        return run(_run(order, effect, job, settings, trail))


def _check_files(order: Order) -> None:
    order.target.check_folder()
    if order.journal is not None:
        journal_path(order.journal)  # rejects what cannot be one
    reject_kept(order.target.known_path, journal=order.journal, images=order.images)


def _one_more(order: Order) -> str | None:
    if not order.is_repeatable:
        return None
    if order.external_task_id is not None:
        return "another --external-task-id makes one more"
    return "the same command with --again makes one more"


def _job(order: Order, effect: Effect, settings: Settings | None) -> Job:
    """What is to be paid for. Blocks.

    With a journal the same command line has the same id, so that it is the same job.
    """
    is_derived = order.is_repeatable and order.external_task_id is None
    return make_job(
        effect,
        account="" if settings is None else account_of(settings, order.account),
        service=None if settings is None else settings.service.base_url,
        external_task_id=None if is_derived else order.external_task_id or random_id(),
        image_hashes=[image_hash(i) if order.is_repeatable else "" for i in effect.images],
        now=datetime.now(UTC),
    )


async def _run(
    order: Order, effect: Effect, job: Job, settings: Settings | None, trail: Trail
) -> Report:
    with stopped_gently():
        async with (
            run_journal(trail, job.account) as journal,
            _client(order, settings, journal) as client,
        ):
            report = None
            if journal is not None and order.is_repeatable:
                report = await report_of_earlier(job, journal, client.service, trail)
            if report is not None:
                return report
            is_new = await is_to_be_sent(job, effect, client.service, order, journal)
            advice = scene_advice(client.service, effect.scene) if is_new else None
            if advice is not None:
                say(advice)
            with shown_progress(is_silent=order.is_silent) as progress:
                if is_new:
                    progress.tell(f"submitting {effect.scene}")
                report = await _submit_and_collect(client, effect, trail, progress)
            if journal is not None:
                with suppress(JournalError):  # said at the end of the run
                    await note_saved(journal, job.account, trail)
    if not order.is_silent:
        say(str(report))
    return report


async def _submit_and_collect(
    client: EffectsClient, effect: Effect, trail: Trail, progress: Progress
) -> Report:
    trail.stage = Stage.SUBMITTING
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownSceneWarning)  # it was said before
        try:
            task = await client.submit(effect, external_task_id=trail.external_task_id)
        except asyncio.CancelledError:  # it may have waited for its answer, and got it
            latest = client.attach(external_task_id=trail.external_task_id).latest
            if latest is not None:
                trail.stage, trail.task_id = Stage.ACCEPTED, latest.task_id
            raise
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
            account=order.account,
            budget_units=order.budget_units,
            poll=PollPolicy(deadline_s=order.timeout_s),
            trust_env=True,
        )
    from kling_effects_async.cli.preview import NOTICE, preview_client
    from kling_effects_async.emulator import Clips

    say(NOTICE)
    return preview_client(Clips(order.clips), timeout_s=order.timeout_s)
