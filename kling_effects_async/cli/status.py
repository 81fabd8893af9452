"""``kling-effects status``: what the service says of tasks now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_json_lines, print_lines, say
from kling_effects_async.cli.failures import ExitCode, Failure, without_secrets
from kling_effects_async.cli.options import as_json_lines, profile, service, some_tasks
from kling_effects_async.cli.signals import loaded

if TYPE_CHECKING:
    from kling_effects_async import KlingEffectsError, Settings, TaskSnapshot
    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["status"]

_EXAMPLES = (
    "kling-effects status 885249522583309721",
    "kling-effects status --external-task-id order-42 --json",
)


@click.command(cls=Command, examples=_EXAMPLES)
@some_tasks
@service
@profile
@as_json_lines
def status(
    task_ids: tuple[str, ...],
    external_task_ids: tuple[str, ...],
    service: ServiceChoice,
    as_json: bool,
) -> None:
    """Show what the service says of tasks now.

    Each TASK_ID is an id that the service gave a task. One GET request for each, which costs
    nothing. The exit code is 0 if the service knows them all, however they ended. To wait for the
    end, see: kling-effects watch; to save a clip: kling-effects fetch.
    """
    if not task_ids and not external_task_ids:
        raise click.UsageError("Give a TASK_ID or --external-task-id.")
    loaded("kling_effects_async.client")
    secrets: list[str] = []
    with cli.messages.errors_as_failures(secrets):
        settings = cli.settings_file.needed_settings(service)
        secrets += cli.settings_file.secrets_of(settings.credentials)
        found, errors = cli.runner.run_free(_query(settings, task_ids, external_task_ids))
    views = cli.task_text
    if as_json:
        print_json_lines(map(views.task_as_json, found))
    elif found:
        table = cli.table.Table(views.COLUMNS, numbers=views.NUMBERS)
        print_lines(table.lines([views.row_of(task) for task in found]))
    _report(errors, secrets)


def _report(errors: Sequence[tuple[str, KlingEffectsError]], secrets: Sequence[str]) -> None:
    for name, error in errors:
        say(without_secrets(f"{name}: {cli.messages.sentence(error, task=name)}", secrets))
    if errors:
        codes = {cli.messages.exit_code_of(error) for _name, error in errors}
        raise Failure(codes.pop() if len(codes) == 1 else ExitCode.NO_ANSWER, [])


async def _query(
    settings: Settings, task_ids: Sequence[str], external_task_ids: Sequence[str]
) -> tuple[list[TaskSnapshot], list[tuple[str, KlingEffectsError]]]:
    """What is known of each, in the order of the ids, and why of others nothing is."""
    found: list[TaskSnapshot] = []
    errors: list[tuple[str, KlingEffectsError]] = []
    async with cli.settings_file.client_of(settings) as client:
        tasks = [(name, client.attach(name)) for name in task_ids]
        tasks += [(name, client.attach(external_task_id=name)) for name in external_task_ids]
        for name, task in tasks:
            try:
                found.append(await task.refresh())
            except kling.KlingEffectsError as error:
                errors.append((name, error))
    return found, errors
