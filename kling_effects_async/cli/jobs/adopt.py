"""``kling-effects jobs adopt``: the jobs of an old key become those of the one after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from attrs import frozen

from kling_effects_async import Journal
from kling_effects_async.cli.console import say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.hints import resume_command
from kling_effects_async.cli.jobs.tally import counted, journal_file, tally_of
from kling_effects_async.cli.messages import errors_as_failures
from kling_effects_async.cli.settings_file import account_of, needed_settings

__all__ = ["AdoptArguments", "adopt_jobs"]


@frozen(kw_only=True)
class AdoptArguments:
    """What the command line asks for.

    Attributes:
        account: who gets the jobs; ``None``: the account of the key.
    """

    journal: str | None
    from_account: str
    service: str | None
    account: str | None


def adopt_jobs(arguments: AdoptArguments) -> int:
    """Take the jobs over; how many there were.

    Raises:
        Failure: there are none, or an id exists under both accounts; says what can be done.
    """
    with errors_as_failures():
        path = journal_file(arguments.journal)
        ours = arguments.account or account_of(needed_settings(arguments.service), None)
        number = asyncio.run(_adopt(path, arguments.from_account, ours))
    say(f"{counted(number, 'job')} of {arguments.from_account} taken over to {ours}")
    say(f"go on with: {_resume(arguments, path)}")
    return number


async def _adopt(path: Path, from_account: str, ours: str) -> int:
    accounts = sorted((await tally_of(path)).units)
    if from_account == ours:
        raise _rejected(f"{ours} is the account of the key already")
    if from_account not in accounts:
        held = ", ".join(accounts) or "none"
        raise _rejected(f"{path} has no job of the account {from_account}; its accounts: {held}")
    async with Journal(path) as journal:
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
