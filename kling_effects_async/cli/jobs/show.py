"""``kling-effects jobs show``: one job and its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_json, print_lines, say
from kling_effects_async.cli.hints import settle_command
from kling_effects_async.cli.options import as_json, of_the_group, offered, profile, text
from kling_effects_async.journal.states import JobState

if TYPE_CHECKING:
    from pathlib import Path

    from kling_effects_async import Job, Transition

__all__ = ["show"]

_EXAMPLES = ("kling-effects jobs show order-42 --journal jobs.db",)

_UNCERTAIN = {
    JobState.UNCERTAIN: "its task may exist and be charged",
    JobState.SUBMITTING: "if no process is submitting it",
}


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("name", metavar="ID", callback=text("id"), shell_complete=offered("job_ids"))
@of_the_group
@profile
@as_json
def show(name: str, journal: str | None, as_json: bool) -> None:
    """Show one job and its history.

    ID is its external id or its task id. Where several accounts have a job of this id, all are
    shown.
    """
    tally, views = cli.jobs.tally, cli.jobs.text
    with cli.messages.errors_as_failures():
        path = tally.journal_file(journal)
        found = cli.runner.run(_find(path, name))
    for job, history in found:
        if as_json:
            print_json(views.facts_of(job, history))
        else:
            print_lines(views.sheet_of(job, history))
        if job.state in _UNCERTAIN:
            how = settle_command(job.external_task_id, journal=journal or str(path))
            say(f"{_UNCERTAIN[job.state]}, settle it: {how}")


async def _find(path: Path, name: str) -> Sequence[tuple[Job, Sequence[Transition]]]:
    async with kling.Journal(path, read_only=True) as journal:
        jobs = await journal.find(name)
        if not jobs:
            raise cli.jobs.tally.no_such_job(path, name)
        return [(job, await journal.history(job.account, job.external_task_id)) for job in jobs]
