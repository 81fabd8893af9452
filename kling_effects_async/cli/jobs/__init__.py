"""``kling-effects jobs``: list the journal's jobs, without holding all of them in memory.

Each command of the group is in the file of its name.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from types import ModuleType
from typing import TYPE_CHECKING

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import LazyGroup
from kling_effects_async.cli.console import print_json_lines, print_lines, say
from kling_effects_async.cli.options import (
    account,
    as_json_lines,
    journal,
    profile_of_the_group,
    service_choice,
    settings_of_file,
)
from kling_effects_async.cli.signals import loaded
from kling_effects_async.journal.states import JobState

if TYPE_CHECKING:
    from pathlib import Path

    import kling_effects_async.cli.jobs.resume_summary
    import kling_effects_async.cli.jobs.tally
    import kling_effects_async.cli.jobs.text
    from kling_effects_async.cli.jobs.tally import JobTally
    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["jobs"]

_EXAMPLES = (
    "kling-effects jobs --journal jobs.db",
    "kling-effects jobs --state uncertain --json",
)

_COMMANDS = {
    "show": (f"{__name__}.show:show", "Show one job and its history."),
    "resume": (f"{__name__}.resume:resume", "Finish all unfinished jobs."),
    "settle": (f"{__name__}.settle:settle", "Settle an uncertain job."),
    "adopt": (f"{__name__}.adopt:adopt", "Take over the jobs of an old key."),
}
_STATES = [state.value for state in JobState]
_AT_FIRST_USE = ("resume_summary", "tally", "text")


def __getattr__(name: str) -> ModuleType:
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return loaded(f"{__name__}.{name}")


@click.group(cls=LazyGroup, table=_COMMANDS, examples=_EXAMPLES, invoke_without_command=True)
@journal
@account
@profile_of_the_group
@click.option(
    "--state",
    "states",
    type=click.Choice(_STATES),
    metavar="STATE",
    multiple=True,
    help=f"Only jobs in this state; may be repeated. One of {', '.join(_STATES)}.",
)
@as_json_lines
@click.pass_context
def jobs(
    context: click.Context,
    journal: str | None,
    account: str | None,
    states: tuple[str, ...],
    as_json: bool,
) -> None:
    """List the jobs of a journal, and finish them.

    Without a command it lists the jobs, what they cost, and which of them are uncertain. The list
    works while another process uses the journal. With --account it has the jobs of that account
    only.
    """
    if context.invoked_subcommand is None:
        tally = cli.jobs.tally
        of_file = settings_of_file(context)
        journal, account = journal or of_file.get("journal"), account or of_file.get("account")
        with cli.messages.errors_as_failures():
            ours = account or _account_of_the_key(service_choice(context))
            path = tally.journal_file(journal)
            _list_jobs(path, journal, states, account, ours, as_json=as_json)
    elif states or as_json:
        raise click.UsageError("--state and --json are for the list: give them after the command.")


def _list_jobs(
    path: Path,
    given: str | None,
    states: Collection[str],
    account: str | None,
    ours: str | None,
    *,
    as_json: bool,
) -> None:
    """Print the jobs in these states, all if empty, and say how many there are and what they cost.

    Args:
        given: the journal, as the person named it.
        account: only its jobs; ``None``: those of all accounts.
        ours: the account of the key; ``None`` without one.
    """
    from kling_effects_async.journal.job import OPEN

    wanted = {JobState(word) for word in states} or set(JobState)
    everything = cli.runner.run(_list(path, wanted, account, as_json=as_json))
    shown = given or str(path)
    tally = everything.of_account(account) if account else everything
    lines = [
        *tally.lines(),
        *cli.jobs.tally.uncertain_lines(tally, journal=shown, account=account),
    ]
    if ours is not None:
        lines += cli.jobs.tally.lines_of_others(
            everything, ours, OPEN, journal=shown, named=account
        )
    for line in lines:
        say(line)


def _account_of_the_key(service: ServiceChoice) -> str | None:
    """``None`` where there is no key, which a list does not need."""
    try:
        settings = cli.settings_file.find_settings(
            os.environ, cli.settings_file.config_path(), service=service, is_required=False
        )
    # A wrong setting must not hide the list; whatever needs the setting will say so.
    except kling.SettingsError:
        return None
    return None if settings is None else cli.settings_file.account_of(settings, None)


async def _list(
    path: Path, states: Collection[JobState], account: str | None, *, as_json: bool
) -> JobTally:
    from datetime import UTC, datetime

    # One moment for all rows: a long list takes seconds, and equal ages should look equal.
    tally, now = cli.jobs.tally.JobTally(), datetime.now(UTC)
    table = cli.table.Table(cli.jobs.text.COLUMNS, numbers=cli.jobs.text.NUMBERS)
    async for page in cli.jobs.tally.pages_of(path, tally):
        for job in page:
            tally.add(job)
        # All are counted, whatever is shown: the last lines are about the whole journal.
        shown = [job for job in page if job.state in states and account in (None, job.account)]
        if not shown:
            continue
        if as_json:
            print_json_lines(map(cli.jobs.text.job_as_json, shown))
        else:
            print_lines(table.lines([cli.jobs.text.row_of(job, now) for job in shown]))
    return tally
