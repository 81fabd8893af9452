"""``kling-effects list``: the account's tasks, as the service's own list has them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_json_lines, print_lines, say
from kling_effects_async.cli.failures import Failure
from kling_effects_async.cli.options import as_json_lines, profile, service
from kling_effects_async.cli.signals import loaded

if TYPE_CHECKING:
    from kling_effects_async import Settings, TaskSnapshot
    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["list_tasks"]

_EXAMPLES = (
    "kling-effects list --status failed",
    "kling-effects list --id order- --json",
)

# The words of ``TaskStatus``, which a help does not load.
_STATUSES = ("submitted", "processing", "succeeded", "failed", "unknown")
_PAGE_SIZE = 100


@click.command("list", cls=Command, examples=_EXAMPLES)
@click.option(
    "--status",
    "statuses",
    type=click.Choice(_STATUSES),
    metavar="STATUS",
    multiple=True,
    help=f"Only tasks in this status; may be repeated. One of {', '.join(_STATUSES)}.",
)
@click.option(
    "--id",
    "text",
    metavar="TEXT",
    help="Only tasks that have this in their task id or external id.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=100,
    show_default=True,
    help="Show so many at most.",
)
@service
@profile
@as_json_lines
def list_tasks(
    statuses: tuple[str, ...],
    text: str | None,
    limit: int,
    service: ServiceChoice,
    as_json: bool,
) -> None:
    """List the account's tasks that the service knows.

    Each page is a GET request, which costs nothing. No service promises an order, or that its list
    is complete, and some have none. What this machine submitted is in its journal; see:
    kling-effects jobs.
    """
    loaded("kling_effects_async.client")
    secrets: list[str] = []
    with cli.messages.errors_as_failures(secrets):
        settings = cli.settings_file.needed_settings(service)
        secrets += cli.settings_file.secrets_of(settings.credentials)
        try:
            number = cli.runner.run_free(_list(settings, statuses, text, limit, as_json=as_json))
        except (kling.ReplyError, kling.InvalidRequestError) as error:
            raise Failure(
                cli.messages.exit_code_of(error),
                [cli.messages.sentence(error), "this service may have no list of tasks"],
                secrets,
            ) from error
    if not number:
        say("no such task" if statuses or text else "the service lists no task")
    elif number == limit:
        say(f"{limit} tasks are shown; --limit shows more")


async def _list(
    settings: Settings, statuses: Collection[str], text: str | None, limit: int, *, as_json: bool
) -> int:
    """Print the tasks, a page at a time; how many there were."""
    views, number = cli.task_text, 0
    table = cli.table.Table(views.COLUMNS, numbers=views.NUMBERS)
    async with cli.settings_file.client_of(settings) as client:
        async for page in client.list_tasks(page_size=_PAGE_SIZE).pages():
            shown = [task for task in page if _is_wanted(task, statuses, text)][: limit - number]
            number += len(shown)
            if shown and as_json:
                print_json_lines(map(views.task_as_json, shown))
            elif shown:
                print_lines(table.lines([views.row_of(task) for task in shown]))
            if number == limit:
                break
    return number


def _is_wanted(task: TaskSnapshot, statuses: Collection[str], text: str | None) -> bool:
    ids = (task.task_id, task.external_task_id or "")
    has_text = text is None or any(text in each for each in ids)
    return has_text and (not statuses or str(task.status) in statuses)
