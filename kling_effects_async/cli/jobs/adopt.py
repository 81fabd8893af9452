"""``kling-effects jobs adopt``: the jobs of an old key become those of the key that is set now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import rich_click as click

import kling_effects_async as kling
from kling_effects_async import cli
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_result, say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.hints import resume_command
from kling_effects_async.cli.options import of_one_account, of_the_group, text

if TYPE_CHECKING:
    from pathlib import Path

    from kling_effects_async.cli.service_choice import ServiceChoice

__all__ = ["adopt"]

_EXAMPLES = ("kling-effects jobs adopt vapi-1f2e3d4c5b6a --journal jobs.db",)


class AdoptArguments(NamedTuple):
    """Whose jobs to take over.

    Attributes:
        account: who gets the jobs; ``None``: the account of the key.
    """

    from_account: str
    journal: str | None
    service: ServiceChoice
    account: str | None


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("from_account", metavar="ACCOUNT", callback=text("name of the account"))
@of_the_group
@of_one_account
def adopt(
    from_account: str, journal: str | None, service: ServiceChoice, account: str | None
) -> None:
    """Take over the jobs of an old key.

    For a key that was changed: ACCOUNT is the journal's name of the account under the old key, and
    its jobs become jobs of the key that is set now. A service finds its own tasks only, so do not
    take over jobs of another service. Prints how many jobs were taken over.
    """
    number = _adopt_jobs(AdoptArguments(from_account, journal, service, account))
    print_result(str(number), else_say=f"jobs taken over: {number}")


def _adopt_jobs(arguments: AdoptArguments) -> int:
    """Take the jobs over; how many there were.

    Raises:
        Failure: there are none, or an id exists under both accounts; says what can be done.
    """
    tally, settings_file = cli.jobs.tally, cli.settings_file
    with cli.messages.errors_as_failures():
        path = tally.journal_file(arguments.journal)
        ours = arguments.account or settings_file.account_of(
            settings_file.needed_settings(arguments.service), None
        )
        number = cli.runner.run(_adopt(path, arguments.from_account, ours))
    say(f"{tally.counted(number, 'job')} of {arguments.from_account} taken over to {ours}")
    say(f"go on with: {_resume(arguments, path)}")
    return number


async def _adopt(path: Path, from_account: str, ours: str) -> int:
    accounts = sorted((await cli.jobs.tally.tally_of(path)).units)
    if from_account == ours:
        raise _rejected(f"{ours} is the account of the key already")
    # Zero jobs taken over would look like a success to a script.
    if from_account not in accounts:
        held = ", ".join(accounts) or "none"
        raise _rejected(f"{path} has no job of the account {from_account}; its accounts: {held}")
    async with kling.Journal(path) as journal:
        return await journal.adopt(from_account, ours)


def _resume(arguments: AdoptArguments, path: Path) -> str:
    return resume_command(
        journal=arguments.journal or str(path),
        service=arguments.service,
        account=arguments.account,
        download_to=None,
    )


def _rejected(sentence: str) -> Failure:
    return Failure(ExitCode.REJECTED_HERE, [sentence])
