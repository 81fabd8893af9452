"""``-`` is stdin for a picture and stdout for a clip, and errors of ``--json`` are JSON."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from pathlib import Path

import pytest

from kling_effects_async import SingleImageEffect
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Clips, Emulator
from tests.support.command_line import Ended, clean_environment, kling

KLING = [sys.executable, "-m", "kling_effects_async"]


async def piped(at: Emulator, *line: str, folder: Path, stdin: bytes) -> tuple[int, bytes, str]:
    """The same command line as a process between two pipes."""
    environ = {"KLING_SERVICE": at.url, "KLING_API_KEY": at.api_key}
    process = await asyncio.create_subprocess_exec(
        *KLING,
        *line,
        cwd=folder,
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path), **environ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    return process.returncode or 0, out, err.decode()


async def test_a_picture_comes_from_stdin_and_its_clip_goes_to_stdout(
    cat: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        line = ["run", "squish", "-", "-o", "-"]
        code, out, err = await piped(emulator, *line, folder=tmp_path, stdin=cat.read_bytes())
        async with emulator.client() as client:
            stock = await client.run(SingleImageEffect("squish", image=cat))
            expected = io.BytesIO()
            await client.download(stock.video, expected)
    assert (code, out) == (0, expected.getvalue()), err
    assert "done, 2 units" in err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


async def test_a_clip_on_stdout_of_a_job_in_a_journal_is_paid_once_and_printed_twice(
    cat: Path, tmp_path: Path
) -> None:
    line = ["run", "squish", "-", "-o", "-", "--journal", "jobs.db", "-q"]
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        first = await piped(emulator, *line, folder=tmp_path, stdin=cat.read_bytes())
        second = await piped(emulator, *line, folder=tmp_path, stdin=cat.read_bytes())
    assert first[:2] == second[:2]
    assert (first[0], first[1][4:8]) == (0, b"ftyp")
    assert emulator.ledger.total == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["run", "squish", "a.jpg", "-o", "-", "--json"], "both write to stdout"),
        (["fetch", "t1", "-o", "-", "--json"], "both write to stdout"),
        (["run", "heart_gesture", "-", "-"], "Only one image can come from stdin"),
    ],
)
def test_what_cannot_share_a_stream_is_a_usage_error(
    line: list[str], said: str, tmp_path: Path
) -> None:
    ended = kling(*line, folder=tmp_path)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert said in ended.err


# -- errors


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["run", "squish", "none.jpg", "--json"], ExitCode.REJECTED_HERE),
        (["fetch", "--json"], ExitCode.USAGE),
        (["status", "t1", "--json"], ExitCode.SETTINGS),
        (["jobs", "--json"], ExitCode.SETTINGS),
    ],
)
def test_the_end_of_a_command_that_fails_is_json_too(
    line: list[str], code: ExitCode, tmp_path: Path
) -> None:
    ended = kling(*line, folder=tmp_path)
    told = json.loads(ended.err.splitlines()[-1])
    assert (ended.code, told["exit_code"], told["error"]) == (code, code, code.name)
    assert told["meaning"] == code.meaning
    assert told["messages"]
    assert ended.out == ""


# -- what a person should know before it is paid


def preview(*arguments: object, folder: Path) -> Ended:
    return kling("run", *arguments, "-o", "a.mp4", "--clips", "stock", folder=folder)


def test_a_scene_that_ended_is_warned_of_with_what_is_in_its_place(
    cat: Path, astronaut: Path, tmp_path: Path
) -> None:
    ended = preview("hug", cat, astronaut, folder=tmp_path)
    assert ended.code == 0
    (line,) = [line for line in ended.err.splitlines() if "'hug' ended" in line]
    assert "ended on 2026-01-30, so it may be rejected" in line
    assert line.endswith("Kling's newest list has hug_pro")


def test_a_scene_that_lives_is_not_warned_of(cat: Path, astronaut: Path, tmp_path: Path) -> None:
    assert "ended on" not in preview("hug_pro", cat, astronaut, folder=tmp_path).err


def test_a_preview_from_an_address_says_what_it_shows(tmp_path: Path) -> None:
    """Fault 67: and not the signature of the address."""
    ended = preview("squish", "https://img.example/cat.jpg?sign=MARKED", folder=tmp_path)
    assert ended.code == 0
    assert "does not fetch https://img.example/cat.jpg?...: a photograph of the emul" in ended.err
    assert "MARKED" not in ended.err
