"""Every help has examples that its command takes, and no table cuts what has to be typed."""

from __future__ import annotations

import os
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rich_click as click

from kling_effects_async import catalogue
from kling_effects_async.cli.app import app
from kling_effects_async.cli.commands import Command, LazyGroup
from tests.support.command_line import clean_environment, kling


def commands(group: LazyGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        _name, command, _rest = group.resolve_command(context, [name])
        assert command is not None
        yield " ".join((*path, name)), command
        if isinstance(command, LazyGroup):
            yield from commands(command, (*path, name))


ALL = dict(commands(app))


@pytest.mark.parametrize("name", ALL)
def test_every_example_is_a_line_that_its_command_takes(name: str, tmp_path: Path) -> None:
    command = ALL[name]
    assert isinstance(command, (Command, LazyGroup))
    assert command.examples
    for example in command.examples:
        # Only what comes after a pipe, before a redirection, or within $(...).
        line = re.split(r"[<>)]|\| (?=kling)|\$\(", example)
        words = next(shlex.split(part) for part in line if part.startswith("kling-effects"))
        assert " ".join(words[1:]).startswith(name.split()[0])
        # Everything but its action: the options are read, and nothing is done.
        is_read = kling(*words[1:], "--help", folder=tmp_path)
        assert (is_read.code, is_read.err) == (0, ""), example
        assert example in is_read.out or example in kling(*name.split(), "-h", folder=tmp_path).out


@pytest.mark.parametrize("name", ALL)
def test_an_example_is_never_broken_on_a_narrow_terminal(name: str, tmp_path: Path) -> None:
    command = ALL[name]
    assert isinstance(command, (Command, LazyGroup))
    shown = kling(*name.split(), "--help", folder=tmp_path, COLUMNS="40").out.splitlines()
    assert {f"   {example}" for example in command.examples} <= set(shown)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_scene_is_cut_on_a_terminal_of_any_width(columns: int, tmp_path: Path) -> None:
    pty, fcntl, termios = map(pytest.importorskip, ("pty", "fcntl", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "kling_effects_async", "scenes", "--all"],
        cwd=tmp_path,
        env=clean_environment(tmp_path, PYTHONPATH=os.pathsep.join(sys.path), TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 2**16)
        except OSError:  # the other end is closed
            break
        shown += part
        if not part:
            break
    assert process.wait() == 0
    os.close(ours)
    words = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).split()
    assert set(catalogue()) <= set(words)
    assert "…" not in shown.decode()
