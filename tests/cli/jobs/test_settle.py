"""``kling-effects jobs settle``: an uncertain job is looked up, or a person decides about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kling_effects_async import (
    JobState,
    SingleImageEffect,
)
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.journal.job import JobUpdate
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.planning import make_job
from tests.support.journal_jobs import (
    NOW,
    account_at,
    emulator,
    go_on,
    history,
    jobs,
    jobs_at,
    line_with,
    read,
    submitted,
    write,
)


@pytest.mark.parametrize("state", [JobState.UNCERTAIN, JobState.SUBMITTING])
async def test_a_lookup_that_finds_the_task_settles_the_job(state: JobState, db: Path) -> None:
    async with emulator() as at:
        task_id = await submitted(at, "order-1")
        await write(db, "order-1", state, account=account_at(at))
        ended = await jobs_at(at, db, "settle", "order-1")
        job = (await read(db))["order-1"]
        assert (ended.code, ended.out) == (0, "accepted\n")
        assert (job.state, job.task_id) == (JobState.ACCEPTED, task_id)
        assert f"found task {task_id}: succeeded" in ended.err
        resumed = await go_on(at, ended.err.splitlines()[-1], db.parent)
    assert (resumed.code, resumed.out) == (0, f"{task_id}.mp4\n")
    assert at.ledger.total == 1


async def test_a_lookup_that_finds_nothing_says_what_that_is_worth(db: Path) -> None:
    async with emulator() as at:
        await write(db, "order-1", JobState.SUBMITTING, account=account_at(at))
        proves_nothing = await jobs_at(at, db, "settle", "order-1")
        task_id = await submitted(at, "order-2")
        await write(db, "order-2", JobState.ACCEPTED, account=account_at(at), task_id=task_id)
        likely = await jobs_at(at, db, "settle", "order-1")
        await submitted(at, "order-3")
        await write(db, "order-3", JobState.ACCEPTED, account=account_at(at), task_id="another")
        mixed_up = await jobs_at(at, db, "settle", "order-1")
    assert {proves_nothing.code, likely.code, mixed_up.code} == {ExitCode.UNCERTAIN}
    assert "which proves nothing" in proves_nothing.err
    assert "which proves nothing" in mixed_up.err
    assert "most likely order-1 was never accepted" in likely.err
    assert (await read(db))["order-1"].state is JobState.UNCERTAIN


async def test_a_person_who_says_resubmit_is_warned_and_obeyed(db: Path) -> None:
    async with emulator(finds_external_ids=False, repeated_external_id="accept") as at:
        await submitted(at, "order-1")
        await write(db, "order-1", JobState.UNCERTAIN, account=account_at(at))
        looked = await jobs_at(at, db, "settle", "order-1")
        settled = await go_on(at, line_with(looked, "--resubmit"), db.parent)
        (warning,) = settled.err.splitlines()
        job = (await read(db))["order-1"]
        resumed = await jobs_at(at, db, "resume")
    assert (settled.code, settled.out, job.state) == (0, "planned\n", JobState.PLANNED)
    assert "charged twice" in warning
    assert (await history(db, job))[3].note == "a person said resubmit"
    assert (resumed.code, at.ledger.accepted("order-1")) == (0, 2)


@pytest.mark.parametrize(
    "state", [JobState.PLANNED, JobState.SUBMITTING, JobState.UNCERTAIN, JobState.ACCEPTED]
)
async def test_a_job_is_abandoned_without_a_key(state: JobState, db: Path) -> None:
    await write(db, "order-1", state)
    ended = await jobs(db, "settle", "order-1", "--abandon")
    job = (await read(db))["order-1"]
    assert (ended.code, ended.out, job.state) == (0, "abandoned\n", JobState.ABANDONED)
    assert ("may be charged" in ended.err) == (state is not JobState.PLANNED)


ILLEGAL = [
    (JobState.PLANNED, "", "kling-effects jobs resume submits it"),
    (JobState.PLANNED, "--resubmit", "kling-effects jobs resume submits it"),
    (JobState.ACCEPTED, "", "its task is known"),
    (JobState.ACCEPTED, "--resubmit", "its task is known"),
    (JobState.SUCCEEDED, "--resubmit", "its task is done"),
    (JobState.DOWNLOADED, "--abandon", "its video is saved"),
    (JobState.FAILED, "--resubmit", "its task ended in failure"),
    (JobState.FAILED, "--abandon", "its task ended in failure"),
    (JobState.REJECTED, "", "made no task"),
    (JobState.ABANDONED, "--resubmit", "it was abandoned"),
]


@pytest.mark.parametrize(("state", "option", "why"), ILLEGAL)
async def test_what_a_jobs_state_does_not_allow_is_4_and_explained(
    state: JobState, option: str, why: str, db: Path
) -> None:
    await write(db, "order-1", state)
    ended = await jobs(db, "settle", "order-1", *([option] if option else []))
    (line,) = ended.err.splitlines()
    assert (ended.code, ended.out) == (ExitCode.REJECTED_HERE, "")
    assert line.startswith(f"kling-effects: order-1 is {state} and cannot be ")
    assert why in line
    assert (await read(db))["order-1"].state is state


async def test_a_job_whose_image_is_gone_is_not_submitted_again(db: Path) -> None:
    job = make_job(
        SingleImageEffect("squish", image=b"bytes"),
        account="gateway-0",
        external_task_id="order-1",
        image_hashes=[""],
        now=NOW,
    )
    async with SqliteStore(db) as journal:
        await journal.add(job)
        await journal.move("gateway-0", "order-1", JobUpdate(JobState.SUBMITTING))
    ended = await jobs(db, "settle", "order-1", "--resubmit")
    assert ended.code == ExitCode.REJECTED_HERE
    assert "given as bytes" in ended.err


async def test_a_lookup_with_another_accounts_key_is_3_and_says_whose_job_it_is(db: Path) -> None:
    await write(db, "order-1", JobState.UNCERTAIN, account="vapi-1")
    async with emulator() as at:
        ended = await jobs_at(at, db, "settle", "order-1")
    assert (ended.code, at.requests.total()) == (ExitCode.SETTINGS, 0)
    assert "belongs to the account vapi-1" in ended.err


async def test_an_id_of_two_accounts_means_that_of_the_key(db: Path) -> None:
    async with emulator() as at:
        await write(db, "order-1", JobState.UNCERTAIN, account="vapi-1")
        await write(db, "order-1", JobState.UNCERTAIN, account=account_at(at))
        without = await jobs(db, "settle", "order-1", "--abandon")
        ended = await jobs_at(at, db, "settle", "order-1", "--abandon")
        ours = account_at(at)
    async with SqliteStore(db, read_only=True) as journal:
        states = {job.account: job.state for job in await journal.find("order-1")}
    assert (without.code, ended.code) == (ExitCode.SETTINGS, 0)
    assert states == {"vapi-1": JobState.UNCERTAIN, ours: JobState.ABANDONED}


async def test_an_external_id_means_its_own_job_though_it_is_anothers_task_id(db: Path) -> None:
    await write(db, "order-1", JobState.ACCEPTED, task_id="order-2")
    await write(db, "order-2", JobState.UNCERTAIN)
    ended = await jobs(db, "settle", "order-2", "--abandon")
    states = {name: job.state for name, job in (await read(db)).items()}
    assert ended.code == 0
    assert states == {"order-1": JobState.ACCEPTED, "order-2": JobState.ABANDONED}


async def test_a_journal_in_use_cannot_be_settled_meanwhile(db: Path) -> None:
    await write(db, "order-1", JobState.UNCERTAIN)
    async with SqliteStore(db):
        ended = await jobs(db, "settle", "order-1", "--abandon")
    assert ended.code == ExitCode.SETTINGS
    assert "has owned the journal since" in ended.err


async def test_settle_takes_one_decision(db: Path) -> None:
    ended = await jobs(db, "settle", "order-1", "--abandon", "--resubmit")
    assert ended.code == ExitCode.USAGE


async def test_an_id_of_two_accounts_means_that_of_the_named_one_without_a_key(db: Path) -> None:
    for account in ("old", "mine"):
        await write(db, "order-1", JobState.UNCERTAIN, account=account)
    ended = await jobs(db, "settle", "order-1", "--abandon", "--account", "mine")
    async with SqliteStore(db, read_only=True) as journal:
        states = {job.account: job.state for job in await journal.find("order-1")}
    assert ended.code == 0
    assert states == {"old": JobState.UNCERTAIN, "mine": JobState.ABANDONED}


async def test_a_lookup_names_the_line_that_asks_under_the_jobs_own_account(db: Path) -> None:
    async with emulator() as at:
        task_id = await submitted(at, "order-1")
        await write(db, "order-1", JobState.UNCERTAIN, account="gateway-old")
        rejected = await jobs_at(at, db, "settle", "order-1")
        assert rejected.code == ExitCode.SETTINGS
        settled = await go_on(at, rejected.err.splitlines()[-1], db.parent)
    assert (settled.code, settled.out) == (0, "accepted\n")
    assert (await read(db))["order-1"].task_id == task_id
    assert "--account gateway-old" in settled.err.splitlines()[-1]
