"""``kling-effects jobs adopt``: the jobs of an old key become those of the key that is set now."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_effects_async import (
    JobState,
)
from kling_effects_async.cli.failures import ExitCode
from tests.support.journal_jobs import account_at, emulator, go_on, jobs, jobs_at, read, write


async def test_jobs_of_an_old_key_are_taken_over_and_finished(db: Path) -> None:
    for name in ("order-1", "order-2"):
        await write(db, name, JobState.PLANNED, account="gateway-old")
    async with emulator() as at:
        left = await jobs_at(at, db, "resume")
        adopted = await go_on(at, left.err.splitlines()[-1], db.parent)
        assert (adopted.code, adopted.out) == (0, "2\n")
        assert f"2 jobs of gateway-old taken over to {account_at(at)}" in adopted.err
        resumed = await go_on(at, adopted.err.splitlines()[-1], db.parent)
    assert (left.code, resumed.code, at.ledger.total) == (ExitCode.SETTINGS, 0, 2)
    assert sorted(resumed.out.split()) == ["order-1", "order-2"]


async def test_jobs_are_taken_over_to_a_named_account_without_a_key(db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED, account="gateway-old")
    ended = await jobs(db, "adopt", "gateway-old", "--account", "mine")
    assert (ended.code, ended.out) == (0, "1\n")
    assert (await read(db))["order-1"].account == "mine"
    assert ended.last_command == "jobs resume --journal effects.db --account mine"


async def test_accounts_with_a_job_of_the_same_id_stay_apart(db: Path) -> None:
    for account in ("old", "mine"):
        await write(db, "order-1", JobState.PLANNED, account=account)
    await write(db, "order-2", JobState.PLANNED, account="old")
    ended = await jobs(db, "adopt", "old", "--account", "mine")
    assert (ended.code, ended.out) == (ExitCode.SETTINGS, "")
    assert (await read(db))["order-2"].account == "old"


@pytest.mark.parametrize(
    ("account", "said"), [("mine", "is the account of the key already"), ("who", "mine")]
)
async def test_an_account_without_jobs_to_take_over_is_4(account: str, said: str, db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED, account="mine")
    ended = await jobs(db, "adopt", account, "--account", "mine")
    assert (ended.code, ended.out) == (ExitCode.REJECTED_HERE, "")
    assert said in ended.err
