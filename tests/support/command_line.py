"""The command ``kling-effects`` inside this process, as a user without settings would start it."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import frozen

from kling_effects_async.cli import main
from kling_effects_async.emulator import Emulator
from tests.support.quick_loop import quick_loop

__all__ = [
    "Ended",
    "acceptance",
    "clean_environment",
    "kling",
    "kling_at",
    "lines_until",
    "python",
    "started",
]


@frozen
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def last_command(self) -> str:
        """The command line that the last line tells to go on with."""
        return self.err.splitlines()[-1].rpartition(": kling-effects ")[2]


def clean_environment(folder: Path, **environ: str) -> dict[str, str]:
    """The process's environment with no settings but these; the settings file is in ``folder``."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KLING_")}
    home = {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "home" / "config")}
    # Without bytecode a process compiles the whole package, which takes as long as its imports.
    return {**ours, **home, "PYTHONDONTWRITEBYTECODE": "", **environ}


def kling(*arguments: object, folder: Path, **environ: str) -> Ended:
    """Run one command line in ``folder``; the options of the environment come as keywords."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        # A command runs on uvloop where that is installed; here the quick loop is in its place.
        patch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=quick_loop))
        for name in [name for name in os.environ if name.startswith("KLING_")]:
            patch.delenv(name)
        for name, value in clean_environment(folder, **environ).items():
            patch.setenv(name, value)
        code = main([str(argument) for argument in arguments])
        sys.stdout.flush()
    return Ended(code, *(_written(stream) for stream in (out, err)))


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path)),
        capture_output=True,
        text=True,
        check=False,
    )


async def kling_at(emulator: Emulator, *arguments: object, folder: Path) -> Ended:
    """Run one command line against an emulator of this loop, with its key in the environment."""
    environ = {"KLING_SERVICE": emulator.url, "KLING_API_KEY": emulator.api_key}
    return await asyncio.to_thread(kling, *arguments, folder=folder, **environ)


async def started(at: Emulator, *arguments: str | Path, folder: Path) -> asyncio.subprocess.Process:
    """The same command line as a process of its own, to be met by signals."""
    environ = {"KLING_SERVICE": at.url, "KLING_API_KEY": at.api_key}
    return await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "kling_effects_async", *arguments],
        cwd=folder,
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path), **environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def lines_until(process: asyncio.subprocess.Process, word: str) -> str:
    """What the process says until a line has this word."""
    assert process.stderr is not None
    said = ""
    while word not in said:
        line = await process.stderr.readline()
        assert line, said
        said += line.decode()
    return said


async def acceptance(at: Emulator) -> None:
    """Until the emulator has accepted a task, whatever the caller gets to know of it."""
    while not at.ledger.total:  # noqa: ASYNC110 - the emulator has no event for it
        await asyncio.sleep(0)


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8", "surrogateescape")
