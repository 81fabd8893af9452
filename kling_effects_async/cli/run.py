"""The command ``run``: options in, ``run_effect``, output out."""

from __future__ import annotations

from typing import Any

import rich_click as click

from kling_effects_async.cli.options import (
    account,
    budget_units,
    file_names,
    for_waiting,
    journal,
    text,
)
from kling_effects_async.cli.signals import loading

__all__ = ["run"]


@click.command()
@click.argument("scene", callback=text("scene"))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE [IMAGE]", callback=file_names)
@click.option(
    "--model-name",
    metavar="NAME",
    callback=text("name of the model"),
    help="One of the models the service has.",
)
@click.option(
    "--mode", metavar="std|pro", callback=text("mode"), help="For scenes with two images."
)
@click.option(
    "--duration",
    "duration_s",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="How long the clip is.",
)
@click.option(
    "--external-task-id",
    metavar="ID",
    callback=text("id"),
    help="Your own id of the task; unique.",
)
@click.option(
    "--again",
    "is_one_more",
    is_flag=True,
    help="Make one more, though the journal has this job already.",
)
@click.option(
    "--prepare", "is_to_prepare", is_flag=True, help="Fix images that Kling would reject."
)
@click.option(
    "--no-emulator",
    "may_preview",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Without a key, fail instead of making a preview on this machine.",
)
@click.option(
    "--clips",
    type=click.Choice(["preview", "test", "stock"]),
    default="preview",
    hidden=True,  # for tests that do not look at pictures
)
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

    SCENE is its name (see: kling-effects scenes). Each IMAGE is a JPEG or PNG file, or an http(s)
    URL; where a scene takes two, the left one comes first. Prints the path of the video.

    Without a key the video is a preview, made on this machine by an emulator, not by Kling's model.
    With --journal the job outlives this command, and no crash makes it be paid twice: the same
    command line, typed again, is the same job, and --again makes one more. See: kling-effects jobs.
    A journal or a budget needs a key.
    """
    if len(images) > 2:
        raise click.UsageError(f"An effect takes one or two images, not {len(images)}.")
    if options["is_one_more"] and options["external_task_id"] is not None:
        raise click.UsageError("Give either --again or --external-task-id: --again makes a new id.")
    with loading():
        from kling_effects_async.cli.finish import print_report
        from kling_effects_async.cli.output_path import OutputPath
        from kling_effects_async.cli.run_arguments import RunArguments
        from kling_effects_async.cli.run_effect import run_effect
        from kling_effects_async.scenes import find_scene

    arguments = RunArguments(
        scene=find_scene(scene) or scene,  # an unknown one is sent as it is, with a warning
        images=images,
        output=OutputPath.given(output, overwrite=overwrite),
        is_silent=as_json or quiet,
        **options,
    )
    print_report(run_effect(arguments), as_json=as_json)
