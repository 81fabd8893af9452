"""``kling-effects jobs``: the list of a journal's jobs, and its summary."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from kling_effects_async import (
    JobState,
)
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.submitting.planning import make_job
from tests.support.command_line import kling, kling_at
from tests.support.journal_jobs import NOW, SQUISH, account_at, emulator, jobs, write


async def test_the_list_is_a_table_on_stdout_and_a_summary_on_stderr(db: Path) -> None:
    await write(db, "order-1", JobState.DOWNLOADED)
    await write(db, "order-2", JobState.UNCERTAIN)
    await write(db, "order-3", JobState.SUCCEEDED, account="vapi-1")
    ended = await jobs(db)
    head, *rows = [line.split() for line in ended.out.splitlines()]
    assert (ended.code, head[:3]) == (0, ["external", "id", "scene"])
    assert [row[:5] for row in rows] == [
        ["order-1", "squish", "downloaded", "task-of-order-1", "2.5"],
        ["order-2", "squish", "uncertain", "-", "-"],
        ["order-3", "squish", "succeeded", "task-of-order-3", "2.5"],
    ]
    assert "3 jobs: 1 uncertain, 1 succeeded, 1 downloaded" in ended.err
    assert "2.5 units spent by gateway-0" in ended.err
    assert "2.5 units spent by vapi-1" in ended.err
    assert ended.last_command == "jobs settle --journal effects.db order-2"


async def test_the_list_can_be_asked_for_states(db: Path) -> None:
    for state in (JobState.PLANNED, JobState.FAILED, JobState.REJECTED):
        await write(db, f"a-{state}", state)
    ended = await jobs(db, "--state", "failed", "--state=planned", "--json")
    told = [json.loads(line) for line in ended.out.splitlines()]
    assert [job["state"] for job in told] == ["planned", "failed"]
    assert "3 jobs" in ended.err


async def test_json_tells_all_of_a_job_in_a_line(db: Path) -> None:
    await write(db, "order-1", JobState.SUCCEEDED)
    told = json.loads((await jobs(db, "--json")).out)
    assert (told["external_task_id"], told["scene"]) == ("order-1", "squish")
    assert (told["state"], told["task_id"]) == ("succeeded", "task-of-order-1")
    assert (told["units"], told["is_paid"]) == ("2.5", True)
    assert datetime.fromisoformat(told["created_at"]) == NOW


async def test_the_list_says_that_the_journal_lost_writes(db: Path) -> None:
    """Fault 88: there may be jobs that nobody can list."""
    async with SqliteStore(db):
        pass
    db.with_name(f"{db.name}.lock").unlink()
    for _ in range(2):  # before an owner has noticed, and after
        ended = await jobs(db)
        assert "this journal lost writes, or cannot tell" in ended.err
        async with SqliteStore(db):
            pass


def test_the_help_of_the_list_names_every_state(tmp_path: Path) -> None:
    said = " ".join(kling("jobs", "--help", folder=tmp_path).out.replace("│", " ").split())
    assert f"One of {', '.join(state.value for state in JobState)}." in said


async def test_the_list_works_while_another_process_owns_the_journal(db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED)
    async with SqliteStore(db):
        ended = await jobs(db)
    assert ended.code == 0
    assert "order-1" in ended.out


async def test_a_long_list_stays_aligned_and_loses_no_job(db: Path) -> None:
    async with SqliteStore(db) as journal:
        await asyncio.gather(
            *(
                journal.add(
                    make_job(
                        SQUISH,
                        account="gateway-0",
                        external_task_id=f"order-{number:04}",
                        image_hashes=[""],
                        now=NOW,
                    )
                )
                for number in range(1_201)
            )
        )
    ended = await jobs(db)
    head, *rows = ended.out.splitlines()
    assert len({row.split()[0] for row in rows}) == 1_201
    assert {row.index("planned") for row in rows} == {head.index("state")}
    assert "1201 jobs: 1201 planned" in ended.err


async def test_only_so_many_uncertain_jobs_are_named(db: Path) -> None:
    for number in range(12):
        await write(db, f"order-{number}", JobState.UNCERTAIN)
    ended = await jobs(db)
    assert ended.err.count("jobs settle") == 10
    assert "12 jobs uncertain" in ended.err
    assert "and 2 more" in ended.err


async def test_an_empty_journal_says_so(db: Path) -> None:
    async with SqliteStore(db):
        pass
    ended = await jobs(db)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "kling-effects: the journal has no jobs\n"


@pytest.mark.parametrize("arguments", [[], ["show", "a"], ["settle", "a", "--abandon"]])
async def test_a_journal_that_is_not_there_is_3_and_is_not_begun(
    arguments: list[str], db: Path
) -> None:
    ended = await jobs(db, *arguments)
    assert ended.code == ExitCode.SETTINGS
    assert ended.err == f"kling-effects: there is no journal at {db}\n"
    assert not db.exists()


def test_without_a_journal_the_option_and_the_variable_are_named(tmp_path: Path) -> None:
    ended = kling("jobs", folder=tmp_path)
    assert ended.code == ExitCode.SETTINGS
    assert "--journal, or with KLING_JOURNAL" in ended.err


async def test_another_programs_database_is_3(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    ended = await jobs(db)
    assert ended.code == ExitCode.SETTINGS
    assert "another program's database" in ended.err


async def test_the_journal_may_be_named_before_the_command_and_beats_the_environment(
    db: Path,
) -> None:
    await write(db, "order-1", JobState.PLANNED)
    ended = await jobs(db, "--journal", db.name, "show", "order-1", KLING_JOURNAL="other.db")
    assert ended.code == 0


async def test_options_of_the_list_are_not_silently_dropped_before_a_command(db: Path) -> None:
    assert (await jobs(db, "--json", "show", "order-1")).code == ExitCode.USAGE


async def test_a_list_says_what_a_resume_with_this_key_would_leave_alone(db: Path) -> None:
    """Fault 72: the key was rotated, the journal is the old one."""
    await write(db, "order-1", JobState.PLANNED, account="gateway-old")
    await write(db, "order-2", JobState.DOWNLOADED, account="gateway-older")
    async with emulator() as at:
        ended = await kling_at(at, "jobs", "--journal", db.name, folder=db.parent)
        ours = account_at(at)
    assert ended.code == 0
    assert f"1 unfinished job of the account gateway-old not touched: the key is of {ours}" in (
        ended.err
    )
    assert ended.last_command == "jobs adopt --journal effects.db gateway-old"
    assert "gateway-older" not in ended.err.replace("spent by gateway-older", "")


async def test_a_list_without_a_key_says_nothing_of_accounts(db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED, account="gateway-old")
    assert "not touched" not in (await jobs(db)).err


async def test_a_list_of_one_account_has_its_jobs_alone(db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED, account="mine")
    await write(db, "order-2", JobState.PLANNED, account="theirs")
    for given in (["--account", "mine"], []):
        environ = {} if given else {"KLING_ACCOUNT": "mine"}
        ended = await jobs(db, *given, "--json", **environ)
        (told,) = [json.loads(line) for line in ended.out.splitlines()]
        assert told["external_task_id"] == "order-1"
        assert "1 job: 1 planned" in ended.err
        assert "of the account theirs not touched: --account says mine" in ended.err


@pytest.mark.parametrize("command", [["run", "squish", "cat.jpg"], ["jobs"], ["jobs", "resume"]])
def test_an_empty_account_is_a_usage_error(command: list[str], tmp_path: Path) -> None:
    ended = kling(*command, "--account", " ", folder=tmp_path)
    assert (ended.code, len(ended.err.splitlines())) == (ExitCode.USAGE, 1)
