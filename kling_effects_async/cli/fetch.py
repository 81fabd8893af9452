"""``kling-effects fetch``: wait for a task that was submitted before, and save its video."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import say
from kling_effects_async.cli.options import check_output, for_waiting, offered, text

if TYPE_CHECKING:
    from kling_effects_async import Settings
    from kling_effects_async.cli.attempt import Attempt
    from kling_effects_async.cli.finish import Report
    from kling_effects_async.cli.output_path import OutputPath
    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["fetch"]

_EXAMPLES = (
    "kling-effects fetch 885249522583309721 -o cat.mp4",
    "kling-effects fetch --external-task-id order-42 -o clips/",
)


class FetchArguments(NamedTuple):
    """Which task to fetch; exactly one of the ids is given."""

    task_id: str | None
    external_task_id: str | None
    output: OutputPath
    service: ServiceChoice
    timeout_s: float
    is_silent: bool


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument(
    "task_id",
    required=False,
    callback=text("id", is_address=False),
    shell_complete=offered("task_ids"),
)
@click.option(
    "--external-task-id",
    metavar="ID",
    callback=text("id"),
    shell_complete=offered("job_ids"),
    help="The id the task was submitted with, instead of TASK_ID.",
)
@for_waiting
def fetch(
    task_id: str | None,
    external_task_id: str | None,
    output: str | None,
    overwrite: bool,
    service: ServiceChoice,
    timeout_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Save the video of a task that was submitted before.

    TASK_ID is the id that the service gave the task. Waits until the task has ended, and costs
    nothing. Prints the path of the video.
    """
    if (task_id is None) == (external_task_id is None):
        raise click.UsageError("Give either a TASK_ID or --external-task-id.")
    check_output(output, as_json=as_json)
    # Read before anything runs, because it loads the client: a signal ends a load at once.
    print_report = cli.finish.print_report
    arguments = FetchArguments(
        task_id=task_id,
        external_task_id=external_task_id,
        output=cli.output_path.OutputPath.given(output, overwrite=overwrite),
        service=service,
        timeout_s=timeout_s,
        is_silent=as_json or quiet,
    )
    print_report(_fetch_task(arguments), as_json=as_json)


def _fetch_task(arguments: FetchArguments) -> Report:
    """Wait for the task and save its video.

    Raises:
        Failure: says what happened, and how to go on.
    """
    attempt = cli.attempt.Attempt(
        output=arguments.output,
        task_id=arguments.task_id,
        external_task_id=arguments.external_task_id,
        service=arguments.service,
    )
    with cli.attempt.report_errors(attempt):
        # Before the key is looked for: a taken name is an error with a key and without one.
        arguments.output.check(attempt.name)
        cli.output_path.reject_kept(arguments.output.path(attempt.name))
        settings = cli.settings_file.needed_settings(arguments.service)
        attempt.secrets = cli.settings_file.secrets_of(settings.credentials)
        # From here on an error names the command that fetches the task later.
        attempt.stage = cli.attempt.Stage.ACCEPTED
        return cli.runner.run(_fetch(arguments, settings, attempt))


async def _fetch(arguments: FetchArguments, settings: Settings, attempt: Attempt) -> Report:
    poll = kling.PollPolicy(deadline_s=arguments.timeout_s)
    with cli.runner.stopped_gently():
        async with cli.settings_file.client_of(settings, poll=poll) as client:
            task = client.attach(arguments.task_id, external_task_id=arguments.external_task_id)
            with cli.progress.shown_progress(is_silent=arguments.is_silent) as progress:
                progress.show(f"querying task {arguments.task_id or arguments.external_task_id}")
                report = await cli.finish.finish(client, task, attempt, progress)
    if not arguments.is_silent:
        say(str(report))
    return report
