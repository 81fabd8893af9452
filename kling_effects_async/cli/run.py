"""``kling-effects run``: all is decided first, then one task is made and its video saved."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import say
from kling_effects_async.cli.effect_options import of_the_effect, previewing
from kling_effects_async.cli.options import (
    account,
    budget_units,
    check_output,
    file_names,
    for_waiting,
    journal,
    offered,
    text,
)
from kling_effects_async.cli.signals import loaded
from kling_effects_async.emulator.choices import Clips
from kling_effects_async.web_address import address_label, tidied

if TYPE_CHECKING:
    from decimal import Decimal

    from kling_effects_async import Effect, EffectsClient, ImageSource, Job, Journal, Settings
    from kling_effects_async.cli.attempt import Attempt
    from kling_effects_async.cli.finish import Report
    from kling_effects_async.cli.output_path import OutputPath
    from kling_effects_async.cli.progress import Progress
    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["run"]

_EXAMPLES = (
    "kling-effects run squish cat.jpg -o squished.mp4",
    "kling-effects run hug_pro ann.png ben.png --journal jobs.db",
    "kling-effects run squish - -o - < cat.jpg > squished.mp4",
)

_COUNTS = {1: "one image", 2: "two images"}


# A tuple, as in every command: a help does without the time that attrs takes to load.
class RunArguments(NamedTuple):
    """The options of one run.

    Attributes:
        is_one_more: the job is another one than that of the same command line before.
    """

    scene: str
    images: tuple[str, ...]
    output: OutputPath
    model_name: str | None
    mode: str | None
    duration_s: int | None
    external_task_id: str | None
    is_one_more: bool
    is_to_prepare: bool
    service: ServiceChoice
    journal: str | None
    account: str | None
    budget_units: Decimal | None
    timeout_s: float
    may_preview: bool
    clips: str
    is_silent: bool

    @property
    def is_for_real(self) -> bool:
        """Whoever keeps a journal or sets a budget does not mean a preview."""
        return not self.may_preview or self.journal is not None or self.budget_units is not None

    @property
    def is_repeatable(self) -> bool:
        """The same command line means the same job again, which the journal has."""
        return self.journal is not None and not self.is_one_more


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("scene", callback=text("scene"), shell_complete=offered("scenes"))
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE [IMAGE]",
    callback=file_names,
    shell_complete=offered("files"),
)
@of_the_effect
@click.option(
    "--external-task-id",
    metavar="ID",
    callback=text("id"),
    help="An id of your own for the task; never used before.",
)
@click.option(
    "--again",
    "is_one_more",
    is_flag=True,
    help="Make and pay one more, though the journal has this job.",
)
@click.option(
    "--prepare",
    "is_to_prepare",
    is_flag=True,
    help="Convert images that Kling would reject.",
)
@previewing
@journal
@account
@budget_units
@for_waiting
def run(
    scene: str,
    images: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Run one effect and save its video.

    SCENE is the name of a scene (see: kling-effects scenes). Each IMAGE is a JPEG or PNG file, an
    http(s) URL, or - for stdin; for a scene with two images, the left one comes first. Prints the
    path of the video.

    Without a key the video is a preview, made on this machine by an emulator, not by Kling's model.

    With --journal the job is recorded in a file, and is paid once even after a crash: the same
    command line again continues the same job, and --again makes another one. See: kling-effects
    jobs. A journal or a budget needs a key.
    """
    if len(images) > 2:
        raise click.UsageError(f"An effect takes one or two images, not {len(images)}.")
    if options["is_one_more"] and options["external_task_id"] is not None:
        raise click.UsageError("Give either --again or --external-task-id: --again makes a new id.")
    if images.count("-") > 1:
        raise click.UsageError("Only one image can come from stdin.")
    check_output(output, as_json=as_json)
    # Read before anything runs, because it loads the client: a signal ends a load at once.
    print_report = cli.finish.print_report
    loaded("kling_effects_async.cli.run_journal")
    from kling_effects_async.scenes import find_scene

    arguments = RunArguments(
        scene=find_scene(scene) or scene,  # an unknown one is sent as it is, with a warning
        images=images,
        output=cli.output_path.OutputPath.given(output, overwrite=overwrite),
        is_silent=as_json or quiet,
        **options,
    )
    print_report(_run_effect(arguments), as_json=as_json)


def _run_effect(arguments: RunArguments) -> Report:
    """Make one effect and save its video.

    Raises:
        Failure: says what happened, and how to go on with a task that was paid.
    """
    attempt = cli.attempt.Attempt(
        output=arguments.output,
        scene=arguments.scene,
        service=arguments.service,
        journal=arguments.journal,
        account=arguments.account,
        is_repeatable=arguments.is_repeatable,
        one_more=_one_more(arguments),
    )
    with cli.attempt.report_errors(attempt):
        _check_files(arguments)
        # The video of a job that was done before is no obstacle; ``report_of_earlier`` looks at it.
        if not arguments.is_repeatable:
            arguments.output.check()
        settings = cli.settings_file.settings_or_none(
            arguments.service,
            may_preview=arguments.may_preview,
            is_for_real=arguments.is_for_real,
        )
        effect = _effect_of(arguments)
        attempt.is_preview = settings is None
        if settings is None:
            os.getcwd()  # raises if it is gone: the process that draws the preview starts there
        else:
            attempt.secrets = cli.settings_file.secrets_of(settings.credentials)
        job = cli.run_journal.job_of(arguments, effect, settings)
        # Known before anything is sent, so that the task can be found whatever happens to us.
        attempt.external_task_id = job.external_task_id
        return cli.runner.run(_run(arguments, effect, job, settings, attempt))


def _check_files(arguments: RunArguments) -> None:
    from kling_effects_async.journal.paths import journal_path

    arguments.output.check_folder()
    if arguments.journal is not None:
        journal_path(arguments.journal)  # rejects what cannot be one
    files = [image for image in arguments.images if image != "-"]
    cli.output_path.reject_kept(
        arguments.output.known_path, journal=arguments.journal, images=files
    )


def _one_more(arguments: RunArguments) -> str | None:
    if not arguments.is_repeatable:
        return None
    if arguments.external_task_id is not None:
        return "another --external-task-id makes one more"
    return "the same command with --again makes one more"


def _effect_of(arguments: RunArguments) -> Effect:
    """The effect, its images checked, and converted if that is wanted. Blocks.

    Raises:
        EffectRejectedError, ImageRejectedError: says what to change.
    """
    known = kling.catalogue().get(arguments.scene)
    # A new scene is in no catalogue, so it is believed, and the service counts its images.
    if known is not None and known.images != len(arguments.images):
        raise kling.EffectRejectedError(
            f"scene {arguments.scene!r} takes {_COUNTS[known.images]}, not {len(arguments.images)}"
        )
    images = [_image(text, is_to_prepare=arguments.is_to_prepare) for text in arguments.images]
    if len(images) == 2:
        return kling.DualImageEffect(
            arguments.scene,
            left=images[0],
            right=images[1],
            model_name=arguments.model_name,
            mode=arguments.mode,
            duration_s=arguments.duration_s,
        )
    if arguments.mode is not None:
        raise kling.EffectRejectedError("--mode is for scenes with two images: leave it out")
    return kling.SingleImageEffect(
        arguments.scene,
        image=images[0],
        model_name=arguments.model_name,
        duration_s=arguments.duration_s,
    )


def _is_url(image: str) -> bool:
    return tidied(image).startswith(("http://", "https://"))


def _image(text: str, *, is_to_prepare: bool) -> ImageSource:
    if _is_url(text):
        return tidied(text)
    source = sys.stdin.buffer.read() if text == "-" else Path(text)
    if not is_to_prepare:
        kling.check_image(source)
        return source
    prepared = kling.prepare(source)
    if not prepared.changes:
        return source
    say(f"{os.path.basename(text)}: {' '.join(prepared.changes)}")
    return prepared.content


async def _run(
    arguments: RunArguments, effect: Effect, job: Job, settings: Settings | None, attempt: Attempt
) -> Report:
    with cli.runner.stopped_gently():
        # The journal is outermost: the client writes into it until it is closed itself.
        async with (
            cli.run_journal.run_journal(attempt, job.account) as journal,
            _client(arguments, settings, journal) as client,
        ):
            if journal is not None and arguments.is_repeatable:
                report = await cli.run_journal.report_of_earlier(
                    job, journal, client.service, attempt
                )
                if report is not None:
                    return report
            is_new = await cli.run_journal.is_to_be_sent(
                job, effect, client.service, journal, arguments.budget_units
            )
            if is_new:
                _say_advice(effect, client)
            with cli.progress.shown_progress(is_silent=arguments.is_silent) as progress:
                if is_new:
                    progress.show(f"submitting {effect.scene}")
                report = await _submit_and_finish(client, effect, attempt, progress)
            if journal is not None:
                with suppress(kling.JournalError):  # said at the end of the run
                    await cli.run_journal.note_saved(journal, job.account, attempt)
    if not arguments.is_silent:
        say(str(report))
    return report


def _say_advice(effect: Effect, client: EffectsClient) -> None:
    from kling_effects_async.protocol.requests import scene_advice

    advice = scene_advice(client.service, effect.scene) or _advice_on_ended(effect.scene)
    if advice is not None:
        say(advice)


def _advice_on_ended(scene: str) -> str | None:
    """A gateway may still take a scene that Kling has ended; a person should know."""
    known = kling.catalogue()
    if scene not in known or known[scene].ended is None:
        return None
    heirs = [
        name
        for name, info in known.items()
        if name.startswith(f"{scene}_") and info.images == known[scene].images and info.is_listed
    ]
    instead = f"; Kling's newest list has {' and '.join(heirs)}" if heirs else ""
    return f"scene {scene!r} ended on {known[scene].ended}, so it may be rejected{instead}"


async def _submit_and_finish(
    client: EffectsClient, effect: Effect, attempt: Attempt, progress: Progress
) -> Report:
    import asyncio
    import warnings

    stage = cli.attempt.Stage
    attempt.stage = stage.SUBMITTING
    with warnings.catch_warnings():
        # ``_say_advice`` has said it already.
        warnings.simplefilter("ignore", kling.UnknownSceneWarning)
        try:
            task = await client.submit(effect, external_task_id=attempt.external_task_id)
        except asyncio.CancelledError:  # it may have waited for its answer, and got it
            latest = client.attach(external_task_id=attempt.external_task_id).latest
            if latest is not None:
                attempt.stage, attempt.task_id = stage.ACCEPTED, latest.task_id
            raise
    attempt.stage, attempt.task_id = stage.ACCEPTED, task.task_id
    return await cli.finish.finish(client, task, attempt, progress)


def _client(
    arguments: RunArguments, settings: Settings | None, journal: Journal | None
) -> AbstractAsyncContextManager[EffectsClient]:
    if settings is not None:
        return cli.settings_file.client_of(
            settings,
            journal=journal,
            account=arguments.account,
            budget_units=arguments.budget_units,
            poll=kling.PollPolicy(deadline_s=arguments.timeout_s),
        )
    say(cli.preview.NOTICE)
    for image in arguments.images:
        if _is_url(image):
            say(
                f"the preview does not fetch {address_label(image)}: a photograph of the emulator "
                "stands in for it"
            )
    return cli.preview.preview_client(Clips(arguments.clips), timeout_s=arguments.timeout_s)
