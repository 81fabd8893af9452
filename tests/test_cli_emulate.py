"""``kling-effects emulate`` as its users start it: another process, ended by a signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.command_line import clean_environment, kling

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")


@asynccontextmanager
async def emulating(
    *options: str, folder: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process and the first line it prints."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "kling_effects_async", "emulate", "--port=0", *options],
        "--clips=stock",
        cwd=folder,
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_what_it_prints_points_other_commands_at_it(cat: Path, tmp_path: Path) -> None:
    async with emulating("--speed=1e6", folder=tmp_path) as (_process, line):
        export, *settings = line.split()
        environ = dict(setting.split("=", 1) for setting in settings)
        ended = await asyncio.to_thread(
            kling, "run", "squish", cat, "-o", "a.mp4", folder=tmp_path, **environ
        )
    assert export == "export"
    assert (ended.code, ended.out) == (0, "a.mp4\n")
    assert "preview" not in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    async with emulating(folder=tmp_path) as (process, _line):
        process.send_signal(number)
        _out, err = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in err


async def test_json_tells_the_same_to_programs(tmp_path: Path) -> None:
    async with emulating("--json", folder=tmp_path) as (_process, line):
        told = json.loads(line)
    assert told["environment"] == {"KLING_SERVICE": told["url"], "KLING_API_KEY": "emulator-key"}


@pytest.mark.parametrize(
    ("options", "is_accepted"),
    [
        (["--repeated-external-id=accept"], True),
        (["--repeated-external-id=refuse"], False),
        (["--reply-shape=wrapped-twice", "--repeated-external-id=accept", "--no-list"], True),
    ],
)
async def test_its_options_reach_the_emulator(
    options: list[str], is_accepted: bool, cat: Path, tmp_path: Path
) -> None:
    async with emulating("--speed=1e6", "--json", *options, folder=tmp_path) as (_process, line):
        environ = json.loads(line)["environment"]
        # Where a used id is refused, the task under it is a stranger's to the second command.
        for output, code in (("a.mp4", 0), ("b.mp4", 0 if is_accepted else 4)):
            arguments = ["run", "squish", cat, "--external-task-id=same", "-o", output]
            ended = await asyncio.to_thread(kling, *arguments, folder=tmp_path, **environ)
            assert ended.code == code
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{environ['KLING_SERVICE']}/_emulator/ledger") as reply,
        ):
            ledger = await reply.json()
    assert ledger["total"] == (2 if is_accepted else 1)


def test_a_port_that_is_taken_ends_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = kling("emulate", f"--port={port}", "--clips=stock", folder=tmp_path)
    (line,) = ended.err.splitlines()
    assert (ended.code, ended.out) == (3, "")
    assert f"port {port} of 127.0.0.1 is taken" in line
    assert "--port 0" in line
