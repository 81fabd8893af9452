"""``kling-effects jobs adopt``: the jobs of an old key become those of the one after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from attrs import frozen

from kling_effects_async import Journal
from kling_effects_async.cli.account import account_of, needed_settings
from kling_effects_async.cli.commands import resume_command
from kling_effects_async.cli.exit_codes import ExitCode
from kling_effects_async.cli.failure import Failure
from kling_effects_async.cli.job_tally import counted
from kling_effects_async.cli.journal import explained, journal_file
from kling_effects_async.cli.list_jobs import tally_of
from kling_effects_async.cli.talk import say

__all__ = ["Adoption", "adopt_jobs"]


@frozen(kw_only=True)
class Adoption:
    """What the command line asks for.

    Attributes:
        account: who gets the jobs; ``None``: the account of the key.
    """

    journal: str | None
    from_account: str
    service: str | None
    account: str | None


def adopt_jobs(adoption: Adoption) -> int:
    """Take the jobs over; how many there were.

    Raises:
        Failure: there are none, or an id exists under both accounts; says what can be done.
    """
    with explained():
        path = journal_file(adoption.journal)
        ours = adoption.account or account_of(needed_settings(adoption.service), None)
        number = asyncio.run(_adopt(path, adoption.from_account, ours))
    say(f"{counted(number, 'job')} of {adoption.from_account} taken over to {ours}")
    say(f"go on with: {_resume(adoption, path)}")
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


def _resume(adoption: Adoption, path: Path) -> str:
    return resume_command(
        journal=adoption.journal or str(path),
        service=adoption.service,
        account=adoption.account,
        download_to=None,
    )


def _rejected(sentence: str) -> Failure:
    return Failure(ExitCode.REJECTED_HERE, [sentence])
