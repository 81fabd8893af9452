"""``kling-effects jobs``: what a journal holds is shown, settled by a person, and finished."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from kling_effects_async import (
    BearerToken,
    Job,
    JobState,
    Journal,
    JournalFullError,
    Service,
    SingleImageEffect,
    Transition,
)
from kling_effects_async.cli.attempt import Attempt, Stage, report_errors
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.jobs.resume_summary import ResumeArguments, Resumption, resume_summary
from kling_effects_async.cli.jobs.tally import JobTally
from kling_effects_async.cli.output_path import OutputPath
from kling_effects_async.emulator import Clips, Emulator, Fault
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.job import JobUpdate
from kling_effects_async.submitting.account import account_name
from kling_effects_async.submitting.planning import make_job
from tests.support.command_line import Ended, acceptance, kling, kling_at, lines_until, started

SECRET = "a-signature-that-must-not-be-seen"
URL = f"https://img.example/a.jpg?sign={SECRET}"
SQUISH = SingleImageEffect("squish", image=URL)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
AT_ONCE = 1e6  # tasks take 40 to 90 emulated seconds
NEVER = 0.001
# A task that may exist cannot be looked up, and no second try is made.
NO_LOOK = Fault.json(403, {"code": 1103, "message": "no right to look"}, on="query")
# How a job comes to each state.
WAYS = {
    JobState.PLANNED: (),
    JobState.SUBMITTING: (JobState.SUBMITTING,),
    JobState.UNCERTAIN: (JobState.SUBMITTING, JobState.UNCERTAIN),
    JobState.ACCEPTED: (JobState.SUBMITTING, JobState.ACCEPTED),
    JobState.SUCCEEDED: (JobState.SUBMITTING, JobState.ACCEPTED, JobState.SUCCEEDED),
    JobState.FAILED: (JobState.SUBMITTING, JobState.ACCEPTED, JobState.FAILED),
    JobState.DOWNLOADED: (
        JobState.SUBMITTING,
        JobState.ACCEPTED,
        JobState.SUCCEEDED,
        JobState.DOWNLOADED,
    ),
    JobState.REJECTED: (JobState.REJECTED,),
    JobState.ABANDONED: (JobState.ABANDONED,),
}


def emulator(**options: object) -> Emulator:
    return Emulator(**{"clips": Clips.STOCK, "speed": AT_ONCE, **options})  # type: ignore[arg-type]  # as written


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "effects.db"


def account_at(at: Emulator, key: str | None = None) -> str:
    return account_name(Service.gateway(at.url), BearerToken(key or at.api_key))


async def write(
    db: Path, name: str, state: JobState, *, account: str = "gateway-0", task_id: str | None = None
) -> None:
    """A job that came to this state; an effect whose address is signed."""
    job = make_job(
        SQUISH, account=account, external_task_id=name, image_hashes=[image_hash(URL)], now=NOW
    )
    async with Journal(db) as journal:
        await journal.add(job)
        for step in WAYS[state]:
            has_task = step is JobState.ACCEPTED
            has_cost = step is JobState.SUCCEEDED
            await journal.move(
                account,
                name,
                JobUpdate(
                    step,
                    note=f"see {URL}" if step is JobState.UNCERTAIN else "",
                    message=f"see {URL}" if step is JobState.UNCERTAIN else None,
                    task_id=(task_id or f"task-of-{name}") if has_task else None,
                    units=Decimal("2.5") if has_cost else None,
                    result=json.dumps({"videos": [URL]}) if has_cost else None,
                ),
            )


async def submitted(at: Emulator, name: str) -> str:
    """The id of a task that the service has, and nobody wrote down."""
    async with at.client() as client:
        return (await client.submit(SQUISH, external_task_id=name)).id or ""


async def read(db: Path) -> dict[str, Job]:
    async with Journal(db, read_only=True) as journal:
        return {job.external_task_id: job async for job in journal.jobs()}


async def history(db: Path, job: Job) -> Sequence[Transition]:
    async with Journal(db, read_only=True) as journal:
        return await journal.history(job.account, job.external_task_id)


async def jobs(db: Path, *arguments: object, **environ: str) -> Ended:
    """``kling-effects jobs`` without a key."""
    environ = {"KLING_JOURNAL": db.name, **environ}
    return await asyncio.to_thread(kling, "jobs", *arguments, folder=db.parent, **environ)


async def jobs_at(at: Emulator, db: Path, command: str, *arguments: object) -> Ended:
    given = ["jobs", command, "--journal", db.name, *arguments]
    return await kling_at(at, *given, folder=db.parent)


async def go_on(at: Emulator, line: str, folder: Path) -> Ended:
    """Do what a line of the command says."""
    return await kling_at(at, *shlex.split(line.partition(": kling-effects ")[2]), folder=folder)


def line_with(ended: Ended, words: str) -> str:
    (line,) = [line for line in ended.err.splitlines() if words in line]
    return line


# -- run with a journal


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
        given_up = await go_on(at, ended.err.splitlines()[-1], db.parent)
    assert (given_up.code, given_up.out) == (0, "abandoned\n")


async def test_a_plan_that_nobody_can_ask_for_again_is_given_up_with_its_run(
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


async def test_a_run_in_doubt_is_9_and_its_last_line_settles_it(cat: Path, db: Path) -> None:
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


def test_a_journal_that_fails_after_the_submit_leaves_the_task_in_doubt() -> None:
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


# -- list


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
    async with Journal(db):
        pass
    db.with_name(f"{db.name}.lock").unlink()
    for _ in range(2):  # before an owner has noticed, and after
        ended = await jobs(db)
        assert "this journal lost writes, or cannot tell" in ended.err
        async with Journal(db):
            pass


def test_the_help_of_the_list_names_every_state(tmp_path: Path) -> None:
    said = " ".join(kling("jobs", "--help", folder=tmp_path).out.replace("│", " ").split())
    assert f"One of {', '.join(state.value for state in JobState)}." in said


async def test_the_list_works_while_another_process_owns_the_journal(db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED)
    async with Journal(db):
        ended = await jobs(db)
    assert ended.code == 0
    assert "order-1" in ended.out


async def test_a_long_list_stays_aligned_and_loses_no_job(db: Path) -> None:
    async with Journal(db) as journal:
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


async def test_only_so_many_jobs_in_doubt_are_named(db: Path) -> None:
    for number in range(12):
        await write(db, f"order-{number}", JobState.UNCERTAIN)
    ended = await jobs(db)
    assert ended.err.count("jobs settle") == 10
    assert "12 jobs uncertain" in ended.err
    assert "and 2 more" in ended.err


async def test_an_empty_journal_says_so(db: Path) -> None:
    async with Journal(db):
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


# -- show


@pytest.mark.parametrize("name", ["order-1", "task-of-order-1"])
async def test_a_job_is_shown_with_its_history(name: str, db: Path) -> None:
    await write(db, "order-1", JobState.SUCCEEDED)
    ended = await jobs(db, "show", name)
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert "units        2.5" in lines
    assert [line.split()[-1] for line in lines[-4:]] == [
        "planned",
        "submitting",
        "accepted",
        "succeeded",
    ]
    assert lines[-4].split()[1:4] == ["2026-11-01", "00:00:00", "UTC"]


async def test_a_shown_job_in_json_has_its_history_and_its_images(db: Path) -> None:
    await write(db, "order-1", JobState.UNCERTAIN)
    told = json.loads((await jobs(db, "show", "order-1", "--json")).out)
    assert [step["state"] for step in told["history"]] == ["planned", "submitting", "uncertain"]
    assert told["images"] == ["https://img.example/a.jpg?..."]


async def test_a_job_in_doubt_is_shown_with_the_way_to_settle_it(db: Path) -> None:
    await write(db, "order-1", JobState.UNCERTAIN)
    ended = await jobs(db, "show", "order-1")
    assert ended.last_command == "jobs settle --journal effects.db order-1"


async def test_a_job_that_is_not_there_is_4(db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED)
    ended = await jobs(db, "show", "order-2")
    assert (ended.code, ended.out) == (ExitCode.REJECTED_HERE, "")
    assert "no job with the external id or task id 'order-2'" in ended.err


async def test_no_signature_of_an_address_is_shown(db: Path) -> None:
    """Fault 67: a journal holds signed addresses, of images and of videos."""
    await write(db, "order-1", JobState.UNCERTAIN)
    await write(db, "order-2", JobState.DOWNLOADED)
    for arguments in (
        [],
        ["--json"],
        ["show", "order-1"],
        ["show", "order-1", "--json"],
        ["show", "order-2"],
    ):
        ended = await jobs(db, *arguments)
        assert ended.code == 0
        assert SECRET not in ended.out + ended.err


async def test_a_journal_cannot_steer_the_terminal(db: Path) -> None:
    job = make_job(
        SingleImageEffect("sq\x1b[2Juish", image=URL),
        account="gateway-0",
        external_task_id="order\n1",
        image_hashes=[""],
        now=NOW,
    )
    async with Journal(db) as journal:
        await journal.add(job)
    for arguments in ([], ["show", "order\n1"]):
        ended = await jobs(db, *arguments)
        assert "sq?[2Juish" in ended.out
        assert "\x1b" not in ended.out + ended.err


# -- resume


async def test_a_killed_run_is_seen_through_and_paid_once(cat: Path, db: Path) -> None:
    """Fault 25: SIGKILL while polling."""
    async with emulator() as at:
        arguments = ["--external-task-id=order-42", "--journal", db.name]
        process = await started(at, "run", "squish", cat, *arguments, folder=db.parent)
        await lines_until(process, "submitted")
        process.kill()
        await process.communicate()
        ended = await jobs_at(at, db, "resume", "--download-to", "clips")
    task_id = at.ledger.entries[0].task_id
    assert (ended.code, ended.out) == (0, f"clips{os.sep}{task_id}.mp4\n")
    assert (db.parent / "clips" / f"{task_id}.mp4").read_bytes()[4:8] == b"ftyp"
    assert at.ledger.total == 1
    assert (await read(db))["order-42"].state is JobState.DOWNLOADED


async def test_a_run_killed_in_mid_submit_is_found_and_paid_once(cat: Path, db: Path) -> None:
    """Fault 23: accepted, but the SIGKILL came before the journal knew."""
    async with emulator() as at:
        at.fail_next(Fault.silence(accepted=True))
        arguments = ["--external-task-id=order-42", "--journal", db.name]
        process = await started(at, "run", "squish", cat, *arguments, folder=db.parent)
        await acceptance(at)
        process.kill()
        await process.communicate()
        assert (await read(db))["order-42"].state is JobState.SUBMITTING
        listed = await jobs(db)
        ended = await jobs_at(at, db, "resume")
    assert "1 job being submitted; if no process is at it" in listed.err
    assert (ended.code, ended.out) == (0, "order-42\n")
    assert at.ledger.total == 1


async def test_what_was_only_planned_is_submitted(db: Path) -> None:
    async with emulator() as at:
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        ended = await jobs_at(at, db, "resume", "--json")
    told = json.loads(ended.out)
    assert ended.code == 0
    assert told == {
        "external_task_id": "order-1",
        "outcome": "done",
        "task_id": at.ledger.entries[0].task_id,
        "units": "2",
        "path": None,
    }


async def test_videos_that_were_not_saved_are_named_and_saved_when_asked(db: Path) -> None:
    async with emulator() as at:
        task_id = await submitted(at, "order-1")
        await write(db, "order-1", JobState.ACCEPTED, account=account_at(at), task_id=task_id)
        waited = await jobs_at(at, db, "resume")
        saved = await jobs_at(at, db, "resume", "--download-to", ".")
        again = await jobs_at(at, db, "resume", "--download-to", ".")
    assert (waited.code, waited.out) == (0, "order-1\n")
    assert "1 video not saved" in waited.err
    assert (saved.code, saved.out) == (0, f"{task_id}.mp4\n")
    assert (again.code, again.out) == (0, "")
    assert "nothing is left to do" in again.err


async def test_one_failure_is_7_and_does_not_sink_the_rest(db: Path) -> None:
    async with emulator() as at:
        for name in ("order-1", "order-2"):
            task_id = await submitted(at, name)
            await write(db, name, JobState.ACCEPTED, account=account_at(at), task_id=task_id)
        at.fail_next(Fault.status_word("failed", on="query"))
        ended = await jobs_at(at, db, "resume")
    states = sorted(str(job.state) for job in (await read(db)).values())
    assert (ended.code, states) == (ExitCode.TASK_FAILED, ["failed", "succeeded"])
    assert len(ended.out.splitlines()) == 1
    assert "1 done, 1 failed" in ended.err


async def test_one_reason_for_many_jobs_is_said_once_and_is_the_exit_code(db: Path) -> None:
    """Fault 16: a wrong key."""
    async with emulator() as at:
        for number in range(3):
            await write(db, f"order-{number}", JobState.PLANNED, account=account_at(at))
        at.fail_next(Fault.json(401, {"code": 1002, "message": f"{at.api_key} is no key"}), times=9)
        ended = await jobs_at(at, db, "resume")
    states = {job.state for job in (await read(db)).values()}
    assert (ended.code, ended.out) == (ExitCode.REJECTED_THERE, "")
    assert ended.err.count("... is no key") == 2
    assert "2 more jobs ended for the same reason" in ended.err
    assert at.api_key not in ended.err
    assert states == {JobState.PLANNED}


async def test_failures_in_json_are_lines_too_and_show_no_key(db: Path) -> None:
    async with emulator() as at:
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        at.fail_next(Fault.json(401, {"code": 1002, "message": f"{at.api_key} is no key"}), times=9)
        ended = await jobs_at(at, db, "resume", "--json")
    told = json.loads(ended.out)
    assert (told["outcome"], told["error"]) == ("failed", "AuthenticationError")
    assert told["exit_code"] == ended.code == ExitCode.REJECTED_THERE
    assert at.api_key not in ended.out + ended.err


async def test_the_budget_holds_for_what_is_resumed(db: Path) -> None:
    async with emulator() as at:
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        ended = await jobs_at(at, db, "resume", "--budget-units", "1")
    assert (ended.code, at.ledger.total) == (ExitCode.OVER_BUDGET, 0)


async def test_what_stays_in_doubt_is_9_and_listed_with_the_way_to_settle_it(db: Path) -> None:
    async with emulator() as at:
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        await write(db, "order-2", JobState.SUBMITTING, account=account_at(at))
        at.fail_next(NO_LOOK)  # meets order-2: of a new task nothing is asked for a second
        ended = await jobs_at(at, db, "resume")
    assert ended.code == ExitCode.UNCERTAIN
    assert line_with(ended, "1 job uncertain")
    assert line_with(ended, "1 done, 0 failed, 1 uncertain")
    assert line_with(ended, "no right to look")
    assert line_with(ended, "settle order-2").endswith(
        ": kling-effects jobs settle --journal effects.db order-2"
    )
    assert at.requests["submit"] == 1
    assert (await read(db))["order-2"].state is JobState.UNCERTAIN


async def test_jobs_of_another_account_are_left_alone_and_named(db: Path) -> None:
    await write(db, "order-1", JobState.PLANNED, account="vapi-1")
    async with emulator() as at:
        ended = await jobs_at(at, db, "resume")
        ours = account_at(at)
    assert (ended.code, at.requests.total()) == (ExitCode.SETTINGS, 0)
    assert (await read(db))["order-1"].state is JobState.PLANNED
    assert f"of the account vapi-1 not touched: the key is of {ours}" in ended.err


@pytest.mark.parametrize("arguments", [["resume"], ["settle", "order-1"]])
async def test_who_asks_the_service_needs_a_key_and_gets_no_emulator(
    arguments: list[str], db: Path
) -> None:
    await write(db, "order-1", JobState.UNCERTAIN)
    ended = await jobs(db, *arguments)
    assert (ended.code, ended.out) == (ExitCode.SETTINGS, "")
    assert "set KLING_API_KEY for a gateway, or KLING_ACCESS_KEY and KLING_SECRET_KEY" in ended.err
    assert (await read(db))["order-1"].state is JobState.UNCERTAIN


async def test_a_folder_that_cannot_be_one_is_rejected_before_anything_is_asked(db: Path) -> None:
    (db.parent / "taken").touch()
    async with emulator() as at:
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        ended = await jobs_at(at, db, "resume", "--download-to", "taken")
    assert (ended.code, at.requests.total()) == (ExitCode.REJECTED_HERE, 0)


@pytest.mark.parametrize(
    ("state", "code"),
    [(JobState.UNCERTAIN, ExitCode.UNCERTAIN), (JobState.PLANNED, ExitCode.TASK_FAILED)],
)
def test_a_job_in_doubt_weighs_more_than_failures(state: JobState, code: ExitCode) -> None:
    wanted = ResumeArguments(
        journal="effects.db",
        download_to=None,
        service=None,
        account=None,
        timeout_s=1.0,
        budget_units=None,
        as_json=False,
        is_silent=False,
    )
    everything = JobTally()
    everything.counts["gateway-0", state] += 1
    failed = Counter({ExitCode.TIMED_OUT: 2, ExitCode.NOT_SAVED: 1})
    resumption = Resumption(account="gateway-0", failed=failed)
    assert resume_summary(wanted, resumption, everything, None)[0] is code


# -- accounts


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


@pytest.mark.parametrize("given", ["resume --account mine", "--account mine resume", "resume"])
async def test_an_account_that_is_named_keeps_its_jobs_whatever_the_key(
    given: str, db: Path
) -> None:
    await write(db, "order-1", JobState.PLANNED, account="mine")
    async with emulator() as at:
        environ = {"KLING_SERVICE": at.url, "KLING_API_KEY": at.api_key}
        environ |= {} if "--account" in given else {"KLING_ACCOUNT": "mine"}
        line = ["jobs", "--journal", db.name, *given.split()]
        ended = await asyncio.to_thread(kling, *line, folder=db.parent, **environ)
    assert (ended.code, ended.out, at.ledger.total) == (0, "order-1\n", 1)
    assert (await read(db))["order-1"].state is JobState.SUCCEEDED


async def test_a_run_is_written_down_under_the_account_that_is_named(cat: Path, db: Path) -> None:
    async with emulator() as at:
        arguments = ["run", "squish", cat, "--journal", db.name, "--account", "mine"]
        ended = await kling_at(at, *arguments, folder=db.parent)
    (job,) = (await read(db)).values()
    assert (ended.code, job.account) == (0, "mine")


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


async def test_an_id_of_two_accounts_means_that_of_the_named_one_without_a_key(db: Path) -> None:
    for account in ("old", "mine"):
        await write(db, "order-1", JobState.UNCERTAIN, account=account)
    ended = await jobs(db, "settle", "order-1", "--abandon", "--account", "mine")
    async with Journal(db, read_only=True) as journal:
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


@pytest.mark.parametrize("command", [["run", "squish", "cat.jpg"], ["jobs"], ["jobs", "resume"]])
def test_an_empty_account_is_a_usage_error(command: list[str], tmp_path: Path) -> None:
    ended = kling(*command, "--account", " ", folder=tmp_path)
    assert (ended.code, len(ended.err.splitlines())) == (ExitCode.USAGE, 1)


# -- resume, stopped


async def resuming(at: Emulator, db: Path, *options: str) -> asyncio.subprocess.Process:
    return await started(at, "jobs", "resume", "--journal", db.name, *options, folder=db.parent)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
async def test_a_stopped_wait_leaves_the_journal_right_and_says_how_to_go_on(
    number: signal.Signals, code: ExitCode, db: Path
) -> None:
    """Fault 34: once is enough while nothing is being sent."""
    async with emulator(speed=NEVER) as at:
        task_id = await submitted(at, "order-1")
        await write(db, "order-1", JobState.ACCEPTED, account=account_at(at), task_id=task_id)
        process = await resuming(at, db, "--download-to", "a b")
        await lines_until(process, "0 of 1 job")
        process.send_signal(number)
        out, err = await process.communicate()
    last = err.decode().splitlines()[-1]
    assert (process.returncode, out) == (code, b"")
    assert "stopped with 1 job left" in last
    assert last.endswith("kling-effects jobs resume --journal effects.db --download-to 'a b'")
    assert "Traceback" not in err.decode()
    assert (await read(db))["order-1"].state is JobState.ACCEPTED


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
async def test_a_first_ctrl_c_lets_what_was_sent_come_to_its_answer(db: Path) -> None:
    """Fault 34: once: no new submits, drain."""
    async with emulator(speed=NEVER) as at:  # or the job could end before it is stopped
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        at.fail_next(Fault.late(0.3))
        process = await resuming(at, db)
        await acceptance(at)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    job = (await read(db))["order-1"]
    assert process.returncode == ExitCode.INTERRUPTED
    assert (job.state, job.task_id) == (JobState.ACCEPTED, at.ledger.entries[0].task_id)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
async def test_a_second_ctrl_c_leaves_at_once_and_the_journal_is_right(db: Path) -> None:
    """Fault 34: twice: leave now, and do not wait for the answer, which is soon to come."""
    async with emulator() as at:
        await write(db, "order-1", JobState.PLANNED, account=account_at(at))
        at.fail_next(Fault.late(8))  # within the ten seconds after the first
        process = await resuming(at, db)
        await acceptance(at)
        process.send_signal(signal.SIGINT)
        await lines_until(process, "Ctrl-C again leaves at once")
        process.send_signal(signal.SIGINT)
        _out, err = await process.communicate()
        job = (await read(db))["order-1"]
        resumed = await jobs_at(at, db, "resume")
    assert process.returncode == ExitCode.INTERRUPTED
    assert "1 job uncertain" in err.decode()
    assert "Traceback" not in err.decode()
    assert job.state is JobState.UNCERTAIN
    assert (resumed.code, resumed.out, at.ledger.total) == (0, "order-1\n", 1)


# -- settle


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
async def test_a_job_is_given_up_without_a_key(state: JobState, db: Path) -> None:
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
    async with Journal(db) as journal:
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
    async with Journal(db, read_only=True) as journal:
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
    async with Journal(db):
        ended = await jobs(db, "settle", "order-1", "--abandon")
    assert ended.code == ExitCode.SETTINGS
    assert "has owned the journal since" in ended.err


async def test_settle_takes_one_decision(db: Path) -> None:
    ended = await jobs(db, "settle", "order-1", "--abandon", "--resubmit")
    assert ended.code == ExitCode.USAGE
