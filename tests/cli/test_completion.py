"""``kling-effects completion``: what a real shell offers."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from kling_effects_async import Journal
from kling_effects_async.journal.sqlite.recent import recent_ids
from kling_effects_async.journal.sqlite.store import SqliteStore
from tests.support.command_line import clean_environment, kling
from tests.support.journal_files import job
from tests.support.settings_file import write_settings

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def offered(folder: Path, *lines: Sequence[str], **environ: str) -> list[list[str]]:
    """What bash offers for the last word of each line, by its own function for the program."""
    program = folder / "bin" / "kling-effects"
    program.parent.mkdir(exist_ok=True)
    python = shlex.quote(sys.executable)
    program.write_text(f'#!/bin/sh\nexec {python} -m kling_effects_async "$@"\n')
    program.chmod(0o755)
    asked = "".join(
        f"""
COMPREPLY=(); COMP_WORDS=({shlex.join(["kling-effects", *words])}); COMP_CWORD={len(words)}
_kling_effects_completion kling-effects 2>&-
echo "${{COMPREPLY[@]}}"
"""
        for words in lines
    )
    ended = subprocess.run(
        ["bash", "--norc", "-c", f'eval "$(kling-effects completion bash)"{asked}'],
        cwd=folder,
        env=clean_environment(
            folder,
            PATH=os.pathsep.join([str(program.parent), os.environ["PATH"]]),
            PYTHONPATH=os.pathsep.join(sys.path),
            **environ,
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    return [line.split() for line in ended.stdout.splitlines()]


@needs_bash
def test_bash_completes_commands_scenes_services_and_profiles(tmp_path: Path) -> None:
    write_settings(tmp_path, '[kling]\ntimeout_s = 9\n[profile.work]\naccount = "w"\n')
    assert offered(
        tmp_path,
        ["wat"],
        ["jobs", "re"],
        ["run", "fuzzyf"],
        ["bulk", "fuzzyf"],
        ["fetch", "--service", "si"],
        ["fetch", "--profile", ""],
    ) == [["watch"], ["resume"], ["fuzzyfuzzy"], ["fuzzyfuzzy"], ["singapore"], ["default", "work"]]


@needs_bash
async def test_bash_completes_ids_of_the_journal_that_the_line_or_the_environment_names(
    db: Path, tmp_path: Path
) -> None:
    await fill(db, "order-1", "order-2", "other")
    lines = [
        ["jobs", "settle", "--journal", str(db), "ord"],
        ["fetch", "--external-task-id", "ord"],
    ]
    found = await asyncio.to_thread(offered, tmp_path, *lines, KLING_JOURNAL=str(db))
    assert found == [["order-2", "order-1"]] * 2
    assert await asyncio.to_thread(offered, tmp_path, lines[0]) == found[:1]


async def fill(db: Path, *names: str) -> None:
    async with SqliteStore(str(db)) as store:
        for name in names:
            await store.add(job(name))


async def test_the_ids_are_read_while_the_journal_is_open_and_newest_first(db: Path) -> None:
    await fill(db, "a", "b", "c%")
    async with Journal(db):
        read = partial(recent_ids, db, of_tasks=False)
        found = await asyncio.to_thread(read, "")
        assert [name for name, *_rest in found] == ["c%", "b", "a"]
        assert await asyncio.to_thread(read, "%") == []
        assert await asyncio.to_thread(recent_ids, db, "", of_tasks=True) == []


@pytest.mark.parametrize("content", [None, b"no journal at all" * 100])
def test_a_journal_that_cannot_be_read_offers_nothing(
    content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "jobs.db").write_bytes(content)
    environ = {
        "_KLING_EFFECTS_COMPLETE": "bash_complete",
        "COMP_WORDS": "kling-effects jobs show --journal jobs.db ",
        "COMP_CWORD": "5",
    }
    ended = kling(folder=tmp_path, **environ)
    assert (ended.code, ended.out, ended.err) == (0, "\n", "")
    assert (tmp_path / "jobs.db").exists() == (content is not None)


def test_what_has_ended_is_not_offered_and_nothing_needs_quotes(tmp_path: Path) -> None:
    environ = {
        "_KLING_EFFECTS_COMPLETE": "bash_complete",
        "COMP_WORDS": "kling-effects run ",
        "COMP_CWORD": "2",
    }
    scenes = [line.partition(",")[2] for line in kling(folder=tmp_path, **environ).out.split()]
    assert "squish" in scenes
    assert "hug" not in scenes
    assert "lets_ride" in scenes
    assert [name for name in scenes if shlex.quote(name) != name] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_reads(shell: str, tmp_path: Path) -> None:
    ended = kling("completion", shell, folder=tmp_path)
    assert ended.code == 0
    assert f"_KLING_EFFECTS_COMPLETE={shell}_complete" in ended.out
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    read = subprocess.run(
        [shell, "-n"], input=ended.out, text=True, capture_output=True, check=False
    )
    assert (read.returncode, read.stderr) == (0, "")
