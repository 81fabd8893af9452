"""The same command line again, with a journal: the same job, paid once, whatever became of it."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path

import pytest

from kling_effects_async import JobState, SingleImageEffect, derived_id
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Emulator, Fault
from tests.support.command_line import Ended, acceptance, kling, kling_at, lines_until, started
from tests.support.journal_jobs import NEVER, account_at, emulator, go_on, read


async def run(at: Emulator, db: Path, cat: Path, *options: str) -> Ended:
    line = ["run", "squish", cat, "--journal", db.name, *options]
    return await kling_at(at, *line, folder=db.parent)


async def state(db: Path) -> JobState:
    """Of the one job."""
    (job,) = (await read(db)).values()
    return job.state


# -- the id


async def test_the_id_is_made_from_the_effect_and_not_from_the_name_of_its_file(
    cat: Path, db: Path
) -> None:
    copy = db.parent / "another name.jpg"
    copy.write_bytes(cat.read_bytes())
    async with emulator() as at:
        await run(at, db, cat, "-o", "a.mp4")
        await run(at, db, copy, "-o", "b.mp4")
        (name,) = await read(db)
    assert name == derived_id(SingleImageEffect("squish", image=cat))
    assert at.ledger.total == 1


@pytest.mark.parametrize("change", [["--duration", "5"], ["--model-name", "kling-v1-6"]])
async def test_other_options_are_another_job(change: list[str], cat: Path, db: Path) -> None:
    async with emulator() as at:
        await run(at, db, cat)
        ended = await run(at, db, cat, *change)
    assert (ended.code, at.ledger.total) == (0, 2)


async def test_without_a_journal_the_same_line_is_another_task(cat: Path, db: Path) -> None:
    async with emulator() as at:
        for _ in range(2):
            await kling_at(at, "run", "squish", cat, folder=db.parent)
    assert at.ledger.total == 2


async def test_again_makes_one_more_each_time(cat: Path, db: Path) -> None:
    async with emulator() as at:
        for number in range(3):
            ended = await run(at, db, cat, *(["--again"] if number else []))
            assert ended.code == 0
    assert at.ledger.total == 3


def test_again_and_an_id_of_ones_own_contradict_each_other(cat: Path, tmp_path: Path) -> None:
    line = ["run", "squish", cat, "--again", "--external-task-id=a", "--journal=j.db"]
    ended = kling(*line, folder=tmp_path, KLING_API_KEY="test-key")
    assert (ended.code, len(ended.err.splitlines())) == (ExitCode.USAGE, 1)


# -- what the first left


@pytest.mark.parametrize("option", [[], ["-o", "a.mp4"], ["-o", "clips/"]])
async def test_what_is_saved_already_is_named_and_not_fetched_again(
    option: list[str], cat: Path, db: Path
) -> None:
    async with emulator() as at:
        first = await run(at, db, cat, *option)
        asked = at.requests.total()
        again = await run(at, db, cat, *option)
        assert (again.code, again.out) == (0, first.out)
        assert (at.requests.total(), at.ledger.total) == (asked, 1)
    assert "was done before" in again.err
    assert str(db.parent / first.out.strip()) in again.err
    assert "--again makes one more" in again.err


@pytest.mark.parametrize("in_the_way", [False, True])
async def test_without_an_output_the_video_that_the_journal_names_is_enough(
    in_the_way: bool, cat: Path, db: Path
) -> None:
    async with emulator() as at:
        await run(at, db, cat, "-o", "a.mp4")
        if in_the_way:
            (db.parent / f"squish-{at.ledger.entries[0].task_id}.mp4").write_text("precious")
        asked, files = at.requests.total(), sorted(db.parent.glob("*.mp4"))
        again = await run(at, db, cat)
        assert (again.code, again.out) == (0, f"{db.parent / 'a.mp4'}\n"), again.err
        assert (at.requests.total(), at.ledger.total) == (asked, 1)
    assert f"its video is {db.parent / 'a.mp4'}" in again.err
    assert sorted(db.parent.glob("*.mp4")) == files


async def test_without_an_output_a_video_that_is_gone_is_fetched_again(cat: Path, db: Path) -> None:
    async with emulator() as at:
        await run(at, db, cat, "-o", "a.mp4")
        (db.parent / "a.mp4").unlink()
        again = await run(at, db, cat)
        assert (again.code, at.ledger.total) == (0, 1)
        assert (db.parent / again.out.strip()).is_file()


async def test_what_is_saved_already_is_told_in_json_too(cat: Path, db: Path) -> None:
    async with emulator() as at:
        first, again = [json.loads((await run(at, db, cat, "--json")).out) for _ in range(2)]
    kept = ("path", "task_id", "external_task_id", "scene", "units", "service")
    assert {name: again[name] for name in kept} == {name: first[name] for name in kept}


async def test_a_file_in_the_way_that_is_not_its_video_stays_and_is_named(
    cat: Path, db: Path
) -> None:
    (db.parent / "b.mp4").write_text("precious")
    async with emulator() as at:
        await run(at, db, cat, "-o", "a.mp4")
        again = await run(at, db, cat, "-o", "b.mp4")
    assert (again.code, again.out, at.ledger.total) == (ExitCode.REJECTED_HERE, "", 1)
    assert "b.mp4 exists already" in again.err
    assert f"its video was saved: {db.parent / 'a.mp4'}" in again.err
    assert (db.parent / "b.mp4").read_text() == "precious"


async def test_a_video_that_was_removed_is_fetched_again_at_no_cost(cat: Path, db: Path) -> None:
    async with emulator() as at:
        await run(at, db, cat, "-o", "a.mp4")
        (db.parent / "a.mp4").unlink()
        again = await run(at, db, cat, "-o", "a.mp4")
    assert (again.code, again.out, at.ledger.total) == (0, "a.mp4\n", 1)
    assert "submitting" not in again.err
    assert (db.parent / "a.mp4").exists()


async def test_a_task_that_failed_before_is_said_and_nothing_is_sent(cat: Path, db: Path) -> None:
    async with emulator(speed=NEVER) as at:
        at.fail_next(Fault.status_word("failed"))
        first = await run(at, db, cat)
        asked = at.requests.total()
        again = await run(at, db, cat)
        assert at.requests.total() == asked
    assert (first.code, again.code) == (ExitCode.TASK_FAILED, ExitCode.TASK_FAILED)
    assert "failed before" in again.err
    assert at.ledger.entries[0].task_id in again.err
    for ended in (first, again):
        assert ended.err.splitlines()[-1].endswith("--again makes one more")


async def test_a_job_that_was_abandoned_is_said_and_nothing_is_sent(cat: Path, db: Path) -> None:
    async with emulator() as at:
        planned = await run(at, db, cat, "--budget-units=1")
        assert (planned.code, await state(db)) == (ExitCode.OVER_BUDGET, JobState.PLANNED)
        assert (await go_on(at, planned.err.splitlines()[-1], db.parent)).out == "abandoned\n"
        again = await run(at, db, cat)
        assert (again.code, at.ledger.total) == (ExitCode.REJECTED_HERE, 0)
        assert "was abandoned before" in again.err
        assert again.err.splitlines()[-1].endswith("--again makes one more")
        more = await run(at, db, cat, "--again")
    assert (more.code, at.ledger.total) == (0, 1)


async def test_an_id_of_ones_own_is_told_another_way_on(cat: Path, db: Path) -> None:
    async with emulator(speed=NEVER) as at:
        at.fail_next(Fault.status_word("failed"))
        for _ in range(2):
            ended = await run(at, db, cat, "--external-task-id=order-42")
    assert ended.err.splitlines()[-1].endswith("another --external-task-id makes one more")


async def test_what_was_left_planned_is_sent_by_the_same_line(cat: Path, db: Path) -> None:
    async with emulator() as at:
        first = await run(at, db, cat, "--budget-units=1")
        assert "it stays planned in the journal; the same command submits it" in first.err
        again = await run(at, db, cat)
    assert (again.code, at.ledger.total) == (0, 1)


async def test_a_rejection_is_asked_for_again_by_the_same_line(cat: Path, db: Path) -> None:
    async with emulator() as at:
        at.fail_next(Fault.business_code(1301))
        first = await run(at, db, cat)
        again = await run(at, db, cat)
    assert (first.code, again.code, at.ledger.total) == (ExitCode.REJECTED_THERE, 0, 1)


# -- killed


async def killed(at: Emulator, db: Path, cat: Path, *, is_waiting: bool) -> None:
    line = ["run", "squish", str(cat), "--journal", db.name, "-o", "a.mp4"]
    process = await started(at, *line, folder=db.parent)
    await lines_until(process, "submitted" if is_waiting else "submitting")
    await acceptance(at)
    process.kill()
    await process.communicate()


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_a_killed_line_typed_again_pays_once(is_waiting: bool, cat: Path, db: Path) -> None:
    """Fault 71: a user presses twice."""
    async with emulator(speed=200) as at:
        if not is_waiting:
            at.fail_next(Fault.silence(accepted=True))
        await killed(at, db, cat, is_waiting=is_waiting)
        left = await state(db)
        again = await run(at, db, cat, "-o", "a.mp4")
    assert left is (JobState.ACCEPTED if is_waiting else JobState.SUBMITTING)
    assert (again.code, again.out) == (0, "a.mp4\n"), again.err
    assert (at.ledger.total, await state(db)) == (1, JobState.DOWNLOADED)


async def test_a_line_killed_before_its_video_was_noted_is_not_paid_again(
    cat: Path, db: Path
) -> None:
    async with emulator() as at:
        at.fail_next(Fault.expired(), times=2)
        assert (await run(at, db, cat, "-o", "a.mp4")).code == ExitCode.NOT_SAVED
        (db.parent / "a.mp4").write_text("most likely its video")
        again = await run(at, db, cat, "-o", "a.mp4")
        assert (again.code, at.ledger.total) == (ExitCode.REJECTED_HERE, 1)
        assert "was done before" in again.err
        over = await run(at, db, cat, "-o", "a.mp4", "--overwrite")
    assert (over.code, over.out, at.ledger.total) == (0, "a.mp4\n", 1)


async def test_a_file_called_after_the_task_is_its_video_though_nobody_noted_it(
    cat: Path, db: Path
) -> None:
    async with emulator() as at:
        at.fail_next(Fault.expired(), times=2)
        assert (await run(at, db, cat)).code == ExitCode.NOT_SAVED
        name = f"squish-{at.ledger.entries[0].task_id}.mp4"
        (db.parent / name).write_text("its video")
        again = await run(at, db, cat)
    assert (again.code, again.out, at.ledger.total) == (0, f"{name}\n", 1)
    assert await state(db) is JobState.DOWNLOADED


async def test_a_lost_answer_is_looked_for_and_not_called_submitting(cat: Path, db: Path) -> None:
    async with emulator(lists_tasks=False) as at:
        at.fail_next(Fault.cut_after_reading(accepted=True))
        at.fail_next(Fault.json(403, {"code": 1103, "message": "no right to look"}, on="query"))
        assert (await run(at, db, cat)).code == ExitCode.UNCERTAIN
        again = await run(at, db, cat)
    assert (again.code, at.ledger.total) == (0, 1)
    assert "submitting squish" not in again.err
    assert "its answer was lost: looking for its task" in again.err


# -- another account


async def test_a_job_of_the_same_service_under_another_key_is_not_sent_again(
    cat: Path, db: Path
) -> None:
    """Fault 72: the key was rotated, the journal is the old one."""
    async with emulator(bearer_keys=["second-key", "first-key"]) as at:
        environ = {"KLING_SERVICE": at.url, "KLING_API_KEY": "first-key"}
        line = ["run", "squish", str(cat), "--journal", db.name, "-o", "a.mp4"]
        await asyncio.to_thread(kling, *line, folder=db.parent, **environ)
        rejected = await run(at, db, cat, "-o", "b.mp4")
        old = account_at(at, "first-key")
        assert (rejected.code, at.ledger.total) == (ExitCode.REJECTED_HERE, 1)
        assert f"under the account {old} (downloaded)" in rejected.err
        named = await run(at, db, cat, "-o", "b.mp4", "--account", old)
        assert (named.code, named.out, at.ledger.total) == (0, "b.mp4\n", 1)
        (way,) = [line for line in rejected.err.splitlines() if "adopt" in line]
        adopted = await kling_at(
            at, *shlex.split(way.rpartition(": kling-effects ")[2]), folder=db.parent
        )
        assert (adopted.code, adopted.out) == (0, "1\n")
        again = await run(at, db, cat, "-o", "c.mp4")
    assert (again.code, again.out, at.ledger.total) == (0, "c.mp4\n", 1)
