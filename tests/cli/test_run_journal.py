"""``kling-effects run --journal``: the job is recorded from its plan to its end, and paid once."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from kling_effects_async import (
    JobState,
    Journal,
    JournalFullError,
)
from kling_effects_async.cli.attempt import Attempt, Stage, report_errors
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.output_path import OutputPath
from kling_effects_async.emulator import Fault
from tests.support.command_line import kling, kling_at
from tests.support.journal_jobs import NO_LOOK, account_at, emulator, go_on, jobs_at, read, write


async def test_a_run_is_written_down_to_its_end(cat: Path, db: Path) -> None:
    async with emulator() as at:
        arguments = ["run", "squish", cat, "-o", "a.mp4", "--journal", db.name]
        ended = await kling_at(at, *arguments, "--external-task-id=order-42", folder=db.parent)
    job = (await read(db))["order-42"]
    assert (ended.code, ended.out) == (0, "a.mp4\n")
    assert (job.state, job.task_id) == (JobState.DOWNLOADED, at.ledger.entries[0].task_id)
    assert (job.path, job.units) == (str(db.parent / "a.mp4"), Decimal(2))


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
async def test_a_path_that_is_no_text_does_not_upset_the_journal(cat: Path, db: Path) -> None:
    async with emulator() as at:
        arguments = ["run", "squish", cat, "-o", "caf\udce9.mp4", "--journal", db.name]
        ended = await kling_at(at, *arguments, folder=db.parent)
    (job,) = (await read(db)).values()
    assert (ended.code, job.state) == (0, JobState.DOWNLOADED)


async def test_the_same_run_again_costs_nothing(cat: Path, db: Path) -> None:
    async with emulator() as at:
        for output in ("a.mp4", "b.mp4"):
            arguments = ["run", "squish", cat, "-o", output, "--journal", db.name]
            ended = await kling_at(at, *arguments, "--external-task-id=order-42", folder=db.parent)
            assert (ended.code, ended.out) == (0, f"{output}\n")
    assert at.ledger.total == 1


async def test_an_id_that_belongs_to_another_effect_is_4_and_nothing_is_sent(
    cat: Path, db: Path
) -> None:
    async with emulator() as at:
        await write(db, "order-42", JobState.ACCEPTED, account=account_at(at))
        arguments = ["run", "squish", cat, "--journal", db.name, "--external-task-id=order-42"]
        ended = await kling_at(at, *arguments, folder=db.parent)
    assert (ended.code, ended.out, at.requests.total()) == (ExitCode.REJECTED_HERE, "", 0)
    assert "'order-42' belongs to another job" in ended.err
    assert "fetch" not in ended.err


async def test_what_the_budget_does_not_allow_is_11_and_nothing_is_sent(
    cat: Path, db: Path
) -> None:
    async with emulator() as at:
        await write(db, "old", JobState.SUCCEEDED, account=account_at(at))
        arguments = ["run", "squish", cat, "--journal", db.name, "--budget-units", "4.9"]
        ended = await kling_at(at, *arguments, "--external-task-id=order-42", folder=db.parent)
        assert (ended.code, ended.out, at.ledger.total) == (ExitCode.OVER_BUDGET, "", 0)
        assert "of the budget of 4.9 units 2.5 are spent" in ended.err
        assert "it stays planned" in ended.err
        abandoned = await go_on(at, ended.err.splitlines()[-1], db.parent)
    assert (abandoned.code, abandoned.out) == (0, "abandoned\n")


async def test_a_plan_that_no_command_line_can_repeat_is_abandoned_with_its_run(
    cat: Path, db: Path
) -> None:
    async with emulator() as at:
        arguments = ["run", "squish", cat, "--journal", db.name, "--budget-units=1", "--again"]
        ended = await kling_at(at, *arguments, folder=db.parent)
        assert ended.code == ExitCode.OVER_BUDGET
        resumed = await jobs_at(at, db, "resume")
    (job,) = (await read(db)).values()
    assert (resumed.code, resumed.out, at.ledger.total) == (0, "", 0)
    assert job.state is JobState.ABANDONED


@pytest.mark.parametrize("budget", ["much", "-1", "nan", "inf"])
async def test_a_budget_that_is_no_number_of_units_is_a_usage_error(
    budget: str, cat: Path, db: Path
) -> None:
    arguments = ["run", "squish", cat, f"--budget-units={budget}"]
    ended = await asyncio.to_thread(kling, *arguments, folder=db.parent)
    assert (ended.code, len(ended.err.splitlines())) == (ExitCode.USAGE, 1)


@pytest.mark.parametrize("option", ["--journal=effects.db", "--budget-units=9"])
async def test_who_writes_jobs_down_or_sets_a_budget_gets_no_preview(
    option: str, cat: Path, db: Path
) -> None:
    ended = await asyncio.to_thread(kling, "run", "squish", cat, option, folder=db.parent)
    assert (ended.code, ended.out) == (ExitCode.SETTINGS, "")
    assert "KLING_API_KEY" in ended.err
    assert not db.exists()


async def test_an_uncertain_run_is_9_and_its_last_line_settles_it(cat: Path, db: Path) -> None:
    async with emulator(lists_tasks=False) as at:
        at.fail_next(Fault.cut_after_reading(accepted=True))
        at.fail_next(NO_LOOK)
        ended = await kling_at(
            at, "run", "squish", cat, "--journal", db.name, "-o", "a.mp4", folder=db.parent
        )
        assert (ended.code, ended.out) == (ExitCode.UNCERTAIN, "")
        settled = await go_on(at, ended.err.splitlines()[-1], db.parent)
        assert (settled.code, settled.out) == (0, "accepted\n")
        resumed = await go_on(at, settled.err.splitlines()[-1], db.parent)
    task_id = at.ledger.entries[0].task_id
    assert (resumed.code, resumed.out) == (0, f"{task_id}.mp4\n")
    assert at.ledger.total == 1


async def test_a_journal_that_another_process_owns_is_3_and_names_it(cat: Path, db: Path) -> None:
    async with emulator() as at, Journal(db):
        ended = await kling_at(at, "run", "squish", cat, "--journal", db.name, folder=db.parent)
    (line,) = [line for line in ended.err.splitlines() if "submitting" not in line]
    assert (ended.code, at.ledger.total) == (ExitCode.SETTINGS, 0)
    assert "has owned the journal since" in line
    assert "kling-effects jobs lists it meanwhile" in line


async def test_a_damaged_journal_is_3_in_words_that_fit_the_command_line(
    cat: Path, db: Path
) -> None:
    async with Journal(db):
        pass
    db.write_bytes(b"no database any more" * 100)
    async with emulator() as at:
        for command in (["run", "squish", cat], ["jobs", "resume"], ["jobs"]):
            ended = await kling_at(at, *command, "--journal", db.name, folder=db.parent)
            assert (ended.code, at.ledger.total) == (ExitCode.SETTINGS, 0)
            assert "was moved aside" in ended.err
            assert "ends in .damaged" in ended.err
            assert "start_fresh" not in ended.err


def test_a_journal_that_fails_after_the_submit_leaves_the_task_uncertain() -> None:
    """Fault 28: the disk is full when the outcome is to be written down."""
    attempt = Attempt(
        output=OutputPath.given(None, overwrite=False),
        journal="effects.db",
        external_task_id="order-42",
        stage=Stage.SUBMITTING,
    )
    with pytest.raises(Failure) as caught, report_errors(attempt):
        raise JournalFullError("effects.db cannot be written")
    assert caught.value.code is ExitCode.UNCERTAIN
    assert caught.value.lines[-1].endswith("jobs settle --journal effects.db order-42")


@pytest.mark.parametrize("command", [["run", "squish", "cat.jpg"], ["jobs"], ["jobs", "resume"]])
def test_an_empty_name_is_a_usage_error_and_not_a_run_without_a_journal(
    command: list[str], tmp_path: Path
) -> None:
    ended = kling(*command, "--journal", "", folder=tmp_path)
    assert (ended.code, len(ended.err.splitlines())) == (ExitCode.USAGE, 1)
    assert "is empty" in ended.err


async def test_a_run_is_written_down_under_the_account_that_is_named(cat: Path, db: Path) -> None:
    async with emulator() as at:
        arguments = ["run", "squish", cat, "--journal", db.name, "--account", "mine"]
        ended = await kling_at(at, *arguments, folder=db.parent)
    (job,) = (await read(db)).values()
    assert (ended.code, job.account) == (0, "mine")
