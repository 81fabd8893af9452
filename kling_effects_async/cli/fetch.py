"""The command ``fetch``: options in, ``finish.fetch_task``, output out."""

from __future__ import annotations

import rich_click as click

from kling_effects_async.cli.options import for_waiting, text
from kling_effects_async.cli.signals import loading

__all__ = ["fetch"]


@click.command()
@click.argument("task_id", required=False, callback=text("id"))
@click.option(
    "--external-task-id",
    metavar="ID",
    callback=text("id"),
    help="The id it was submitted with, instead.",
)
@for_waiting
def fetch(
    task_id: str | None,
    external_task_id: str | None,
    output: str | None,
    overwrite: bool,
    service: str | None,
    timeout_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Save the video of a task that was submitted before.

    Waits for the task if need be, and costs nothing. Prints the path of the video.
    """
    if (task_id is None) == (external_task_id is None):
        raise click.UsageError("Give either a TASK_ID or --external-task-id.")
    with loading():
        from kling_effects_async.cli.finish import FetchArguments, fetch_task, print_report
        from kling_effects_async.cli.output_path import OutputPath

    arguments = FetchArguments(
        task_id=task_id,
        external_task_id=external_task_id,
        output=OutputPath.given(output, overwrite=overwrite),
        service=service,
        timeout_s=timeout_s,
        is_silent=as_json or quiet,
    )
    print_report(fetch_task(arguments), as_json=as_json)
