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
    JournalError,
    PollPolicy,
    Settings,
    UnknownSceneWarning,
)
from kling_effects_async.cli.attempt import Attempt, Stage, report_errors
from kling_effects_async.cli.console import say
from kling_effects_async.cli.finish import Report, finish
from kling_effects_async.cli.output_path import reject_kept
from kling_effects_async.cli.progress import Progress, shown_progress
from kling_effects_async.cli.run_arguments import RunArguments, effect_of, is_to_be_sent
from kling_effects_async.cli.run_journal import note_saved, report_of_earlier, run_journal
from kling_effects_async.cli.runner import run, stopped_gently
from kling_effects_async.cli.settings_file import account_of, config_path, find_settings, secrets_of
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.paths import journal_path
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.protocol.requests import scene_advice
from kling_effects_async.submitting.planning import make_job, random_id

__all__ = ["run_effect"]


def run_effect(arguments: RunArguments) -> Report:
    """Make one effect and save its video.

    Raises:
        Failure: says what happened, and how to go on with a task that was paid.
    """
    attempt = Attempt(
        output=arguments.output,
        scene=arguments.scene,
        service=arguments.service,
        journal=arguments.journal,
        account=arguments.account,
        is_repeatable=arguments.is_repeatable,
        one_more=_one_more(arguments),
    )
    with report_errors(attempt):
        _check_files(arguments)
        if not arguments.is_repeatable:
            arguments.output.check()
        settings = find_settings(
            os.environ, config_path(), service=arguments.service, is_required=arguments.is_for_real
        )
        effect = effect_of(arguments)
        attempt.is_preview = settings is None
        if attempt.is_preview:
            os.getcwd()  # where the process starts that draws it: better known now if it is gone
        attempt.secrets = () if settings is None else secrets_of(settings.credentials)
        job = _job(arguments, effect, settings)
        # Known before anything is sent, so that the task can be found whatever happens to us.
        attempt.external_task_id = job.external_task_id
        return run(_run(arguments, effect, job, settings, attempt))


def _check_files(arguments: RunArguments) -> None:
    arguments.output.check_folder()
    if arguments.journal is not None:
        journal_path(arguments.journal)  # rejects what cannot be one
    reject_kept(arguments.output.known_path, journal=arguments.journal, images=arguments.images)


def _one_more(arguments: RunArguments) -> str | None:
    if not arguments.is_repeatable:
        return None
    if arguments.external_task_id is not None:
        return "another --external-task-id makes one more"
    return "the same command with --again makes one more"


def _job(arguments: RunArguments, effect: Effect, settings: Settings | None) -> Job:
    """What is to be paid for. Blocks.

    With a journal the same command line has the same id, so that it is the same job.
    """
    is_derived = arguments.is_repeatable and arguments.external_task_id is None
    return make_job(
        effect,
        account="" if settings is None else account_of(settings, arguments.account),
        service=None if settings is None else settings.service.base_url,
        external_task_id=None if is_derived else arguments.external_task_id or random_id(),
        image_hashes=[image_hash(i) if arguments.is_repeatable else "" for i in effect.images],
        now=datetime.now(UTC),
    )


async def _run(
    arguments: RunArguments, effect: Effect, job: Job, settings: Settings | None, attempt: Attempt
) -> Report:
    with stopped_gently():
        async with (
            run_journal(attempt, job.account) as journal,
            _client(arguments, settings, journal) as client,
        ):
            report = None
            if journal is not None and arguments.is_repeatable:
                report = await report_of_earlier(job, journal, client.service, attempt)
            if report is not None:
                return report
            is_new = await is_to_be_sent(job, effect, client.service, arguments, journal)
            advice = scene_advice(client.service, effect.scene) if is_new else None
            if advice is not None:
                say(advice)
            with shown_progress(is_silent=arguments.is_silent) as progress:
                if is_new:
                    progress.tell(f"submitting {effect.scene}")
                report = await _submit_and_finish(client, effect, attempt, progress)
            if journal is not None:
                with suppress(JournalError):  # said at the end of the run
                    await note_saved(journal, job.account, attempt)
    if not arguments.is_silent:
        say(str(report))
    return report


async def _submit_and_finish(
    client: EffectsClient, effect: Effect, attempt: Attempt, progress: Progress
) -> Report:
    attempt.stage = Stage.SUBMITTING
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownSceneWarning)  # it was said before
        try:
            task = await client.submit(effect, external_task_id=attempt.external_task_id)
        except asyncio.CancelledError:  # it may have waited for its answer, and got it
            latest = client.attach(external_task_id=attempt.external_task_id).latest
            if latest is not None:
                attempt.stage, attempt.task_id = Stage.ACCEPTED, latest.task_id
            raise
    attempt.stage, attempt.task_id = Stage.ACCEPTED, task.task_id
    return await finish(client, task, attempt, progress)


def _client(
    arguments: RunArguments, settings: Settings | None, journal: SqliteStore | None
) -> AbstractAsyncContextManager[EffectsClient]:
    if settings is not None:
        return EffectsClient(
            settings.credentials,
            service=settings.service,
            journal=journal,
            account=arguments.account,
            budget_units=arguments.budget_units,
            poll=PollPolicy(deadline_s=arguments.timeout_s),
            trust_env=True,
        )
    from kling_effects_async.cli.preview import NOTICE, preview_client
    from kling_effects_async.emulator import Clips

    say(NOTICE)
    return preview_client(Clips(arguments.clips), timeout_s=arguments.timeout_s)
