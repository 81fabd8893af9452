"""``kling-effects bulk``: the whole command, against an emulator."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import signal
from pathlib import Path

import pytest

from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.command_line import Ended, kling, kling_at, started
from tests.support.pictures import encoded, gradient

NUMBER = 8  # photographs


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of different pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(NUMBER):
        (folder / f"cat {number}.jpg").write_bytes(encoded(gradient(320 + number)))
    return folder


def service(slots: int | None = None) -> Emulator:
    return Emulator(clips=Clips.STOCK, speed=600, seed=1, slots=slots)


async def bulk(at: Emulator, *arguments: object, folder: Path, quiet: bool = True) -> Ended:
    """The command with its journal under ``folder``."""
    environ = {
        "KLING_SERVICE": at.url,
        "KLING_API_KEY": at.api_key,
        "XDG_STATE_HOME": str(folder / "state"),
    }
    words = ["bulk", *arguments, *(["-q"] if quiet else [])]
    return await asyncio.to_thread(kling, *words, folder=folder, **environ)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_every_photograph_has_a_clip_of_its_name(photos: Path, tmp_path: Path) -> None:
    async with service() as at:
        ended = await bulk(at, "squish", "photos", "-o", "clips", folder=tmp_path)
        assert (ended.code, ended.err) == (0, "")
        clips = {f"cat {number}-squish.mp4" for number in range(NUMBER)}
        assert names(tmp_path / "clips") == clips
        assert {Path(line).name for line in ended.out.splitlines()} == clips
        again = await bulk(at, "squish", "photos", "-o", "clips", folder=tmp_path, quiet=False)
        assert (at.ledger.total, at.ledger.repeated()) == (NUMBER, ())
    assert f"{NUMBER} of {NUMBER} done, {NUMBER} done before and not paid again" in again.err


async def test_what_fails_is_grouped_by_reason_and_can_be_run_again(
    photos: Path, tmp_path: Path
) -> None:
    async with service() as at:
        at.fail_next(Fault.task_failed("Failure to pass the risk control system"), times=3)
        ended = await bulk(at, "squish", "photos", "-o", "clips", folder=tmp_path, quiet=False)
        assert ended.code == ExitCode.TASK_FAILED
        assert ended.err.count("3 failed: Failure to pass the risk control system") == 1
        assert "kling-effects bulk clips/failed.csv -o clips" in ended.err
        with (tmp_path / "clips" / "failed.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["reason"] for row in rows} == {"Failure to pass the risk control system"}
        assert len(rows) == 3
        # Another run, as a failed job stays failed.
        rerun = ["clips/failed.csv", "-o", "clips", "--run", "second"]
        ended = await bulk(at, *rerun, folder=tmp_path)
        assert ended.code == 0
    assert len(names(tmp_path / "clips") - {"failed.csv"}) == NUMBER


async def test_every_mistake_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    manifest = tmp_path / "photos.csv"
    manifest.write_text("scene,image\nsquish,nowhere.jpg\nhug,a.jpg\n,b.jpg\n")
    async with service() as at:
        ended = await bulk(at, "photos.csv", "-o", "clips", folder=tmp_path)
        assert ended.code == ExitCode.REJECTED_HERE
        assert at.requests == {}
    for line in (2, 3, 4):
        assert f"photos.csv:{line}: " in ended.err
    assert not (tmp_path / "clips").exists()


async def test_a_dry_run_sends_nothing_and_says_what_there_is(photos: Path, tmp_path: Path) -> None:
    async with service() as at:
        one = ["squish", "photos", "-o", "clips"]
        await bulk(at, *one, "--limit", 3, folder=tmp_path)
        ended = await bulk(at, *one, "--dry-run", "--by", "18:00", folder=tmp_path, quiet=False)
        assert at.ledger.total == 3
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()] == ["done"] * 3 + ["send"] * 5
    assert "5 to send, and pay, 3 done before" in ended.err
    assert re.search(r"5 to send, [\d.]+( to [\d.]+)? units", ended.err)
    assert "nothing was sent" in ended.err


async def test_the_same_picture_twice_is_paid_once_and_planned_as_the_same(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "cat copy.jpg").write_bytes((photos / "cat 0.jpg").read_bytes())
    async with service() as at:
        one = ["squish", "photos", "-o", "clips"]
        dry = await bulk(at, *one, "--dry-run", folder=tmp_path)
        assert sum(line.startswith("same") for line in dry.out.splitlines()) == 1
        assert (await bulk(at, *one, folder=tmp_path)).code == 0
        assert at.ledger.total == NUMBER


async def test_json_is_a_line_for_each_event_and_outcome_and_the_sum(
    photos: Path, tmp_path: Path
) -> None:
    async with service() as at:
        ended = await bulk(at, "squish", "photos", "-o", "clips", "--json", folder=tmp_path)
    objects = [json.loads(line) for line in ended.out.splitlines()]
    kinds = [each["event"] for each in objects]
    assert kinds.count("accepted") == kinds.count("done") == NUMBER
    assert objects[-1] == {
        "event": "summary",
        "total": NUMBER,
        "done": NUMBER,
        "done_before": 0,
        "skipped": 0,
        "failed": {},
        "uncertain": 0,
        "not_sent": 0,
        "units": objects[-1]["units"],
        "exit_code": 0,
    }


async def test_after_a_failure_nothing_more_is_sent_if_that_is_wished(
    photos: Path, tmp_path: Path
) -> None:
    async with service(slots=1) as at:
        at.fail_next(Fault.task_failed("no cat"), times=100)
        one = ["squish", "photos", "-o", "clips", "--fail-fast"]
        ended = await bulk(at, *one, folder=tmp_path, quiet=False)
        assert ended.code == ExitCode.TASK_FAILED
        assert at.ledger.total < NUMBER
    assert "not sent" in ended.err
    assert "go on with: kling-effects bulk squish photos -o clips --fail-fast" in ended.err


async def test_a_budget_that_is_used_up_ends_the_run_and_the_same_line_goes_on(
    photos: Path, tmp_path: Path
) -> None:
    """Fault 19, for a budget of one's own: nothing more is sent, and no row is called wrong."""
    one = ["squish", "photos", "-o", "clips"]
    async with service() as at:
        ended = await bulk(at, *one, "--budget-units", "7", folder=tmp_path, quiet=False)
        assert ended.code == ExitCode.OVER_BUDGET
        assert ended.err.count("nothing more is sent: the budget of 7 units allows no more") == 1
        assert "go on with: kling-effects bulk squish photos -o clips --budget-units 7" in ended.err
        assert "failed" not in ended.err
        assert at.ledger.total == 2
        assert (await bulk(at, *one, folder=tmp_path)).code == 0
        assert (at.ledger.total, at.ledger.repeated()) == (NUMBER, ())


async def test_a_rejected_key_ends_the_run_at_once(photos: Path, tmp_path: Path) -> None:
    """Fault 16: of a thousand rows none is sent, and there is one reason."""
    async with service() as at:
        environ = {"KLING_SERVICE": at.url, "KLING_API_KEY": "sk-that-nobody-knows"}
        one = ["bulk", "squish", "photos", "-o", "clips", "--journal", "jobs.db"]
        ended = await asyncio.to_thread(kling, *one, folder=tmp_path, **environ)
        assert ended.code == ExitCode.REJECTED_THERE
        assert ended.err.count("nothing more is sent: ") == 1
        assert not (tmp_path / "clips" / "failed.csv").exists()
        assert at.ledger.total == 0


def test_a_service_that_nobody_reaches_is_not_tried_for_every_row(tmp_path: Path) -> None:
    rows = "".join(f"https://img.example/{number}.jpg\n" for number in range(500))
    (tmp_path / "rows.csv").write_text(f"image\n{rows}")
    one = ["bulk", "squish", "rows.csv", "-o", "clips", "--journal", "jobs.db"]
    ended = kling(
        *one, folder=tmp_path, KLING_SERVICE="http://127.0.0.1:1", KLING_API_KEY="sk-1234567890"
    )
    assert ended.code == ExitCode.NO_ANSWER
    found = re.search(r"0 of 500 done, (\d+) failed, (\d+) not sent", ended.err)
    assert found is not None, ended.err
    assert int(found[1]) < 60


async def test_what_has_a_clip_is_left_out_if_that_is_wished(photos: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "cat 3-squish.mp4").write_bytes(b"made elsewhere")
    one = ["squish", "photos", "-o", "clips"]
    async with service() as at:
        without = await bulk(at, *one, folder=tmp_path, quiet=False)
        assert without.code == ExitCode.REJECTED_HERE
        assert "exists and is not this effect's clip" in without.err
        ended = await bulk(at, *one, "--skip-existing", folder=tmp_path, quiet=False)
        assert ended.code == 0
        assert "1 skipped" in ended.err
        assert at.ledger.total == NUMBER - 1
    assert (clips / "cat 3-squish.mp4").read_bytes() == b"made elsewhere"


async def test_another_run_pays_again_and_the_same_one_does_not(
    photos: Path, tmp_path: Path
) -> None:
    one = ["squish", "photos", "--limit", "2"]
    async with service() as at:
        for folder, run in (("a", "one"), ("b", "two"), ("b", "two")):
            assert (await bulk(at, *one, "-o", folder, "--run", run, folder=tmp_path)).code == 0
        assert at.ledger.total == 4


async def lines_until_accepted(process: asyncio.subprocess.Process, tasks: int) -> list[bytes]:
    """What the process prints until so many tasks are accepted."""
    assert process.stdout is not None
    lines: list[bytes] = []
    while sum(b'"accepted"' in line for line in lines) < tasks:
        lines.append(await process.stdout.readline())
        assert lines[-1], lines
    return lines


async def test_ctrl_c_sends_nothing_more_and_waits_for_what_runs(
    photos: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, task_seconds=(600, 600), speed=600, slots=2) as at:
        one = ["bulk", "squish", "photos", "-o", "clips", "--journal", "jobs.db", "--json"]
        process = await started(at, *one, folder=tmp_path)
        await lines_until_accepted(process, 2)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert process.returncode == ExitCode.INTERRUPTED, err
        assert out.count(b'"event": "done"') == at.ledger.total < NUMBER
        assert b"nothing more is sent" in err
        assert b"go on with: kling-effects bulk squish photos -o clips --journal jobs.db" in err
        ended = await kling_at(at, *one, folder=tmp_path)
        assert (ended.code, at.ledger.total, at.ledger.repeated()) == (0, NUMBER, ())


async def test_the_same_line_goes_on_after_every_kill(photos: Path, tmp_path: Path) -> None:
    """Fault 25: SIGKILL in the middle of a batch, again and again."""
    async with Emulator(clips=Clips.STOCK, task_seconds=(600, 600), speed=600, slots=3) as at:
        one = ["bulk", "squish", "photos", "-o", "clips", "--journal", "jobs.db", "--json"]
        for _ in range(2):
            process = await started(at, *one, folder=tmp_path)
            await lines_until_accepted(process, 2)
            process.kill()
            await process.communicate()
        ended = await kling_at(at, *one, folder=tmp_path)
        assert (ended.code, at.ledger.total, at.ledger.repeated()) == (0, NUMBER, ())
    clips = [path for path in (tmp_path / "clips").iterdir() if path.suffix == ".mp4"]
    assert len(clips) == NUMBER


def test_without_a_key_the_clips_are_previews_that_cost_nothing(
    photos: Path, tmp_path: Path
) -> None:
    one = ["bulk", "squish", "photos", "-o", "clips", "--limit", "2", "--clips", "stock"]
    ended = kling(*one, folder=tmp_path)
    assert ended.code == 0, ended.err
    assert "previews made on this machine" in ended.err
    assert "units" not in ended.err
    assert len(names(tmp_path / "clips")) == 2


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["squish"], "which photographs?"),
        (["squish", "photos", "--by", "noon"], "--by 'noon' is no time"),
        (["squish", "photos", "--name", "{steam}"], "unknown field {steam}"),
        (["squish", "photos", "--run", "a b/c"], "a name of a run has letters"),
        (["squish", "nowhere"], "no such file or folder"),
        (["hug", "photos"], "takes two images"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(
    photos: Path, tmp_path: Path, words: list[str], part: str
) -> None:
    ended = kling("bulk", *words, "-o", "clips", folder=tmp_path)
    assert ended.code in (ExitCode.USAGE, ExitCode.REJECTED_HERE, ExitCode.SETTINGS)
    assert part in ended.err
    assert not (tmp_path / "clips").exists()
