"""``kling-effects jobs resume``: all unfinished jobs are finished, and none is paid twice."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from kling_effects_async import (
    JobState,
)
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.cli.jobs.resume_summary import ResumeArguments, Resumption, resume_summary
from kling_effects_async.cli.jobs.tally import JobTally
from kling_effects_async.cli.service_choice import ServiceChoice
from kling_effects_async.emulator import Fault
from tests.support.command_line import acceptance, kling, lines_until, started
from tests.support.journal_jobs import (
    NO_LOOK,
    account_at,
    emulator,
    jobs,
    jobs_at,
    line_with,
    read,
    submitted,
    write,
)


async def test_a_killed_run_is_finished_and_paid_once(cat: Path, db: Path) -> None:
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


async def test_what_stays_uncertain_is_9_and_listed_with_the_way_to_settle_it(db: Path) -> None:
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
def test_an_uncertain_job_weighs_more_than_failures(state: JobState, code: ExitCode) -> None:
    wanted = ResumeArguments(
        journal="effects.db",
        download_to=None,
        service=ServiceChoice(),
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
