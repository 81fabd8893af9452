"""How the command starts, fast and also without its packages, and what it does to its streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kling_effects_async.cli.app import app
from kling_effects_async.cli.auth import auth
from kling_effects_async.cli.commands import LazyGroup
from kling_effects_async.cli.jobs import jobs
from tests.support.command_line import clean_environment, kling, python


def test_the_version_is_told_without_loading_the_command_line(tmp_path: Path) -> None:
    code = """
import sys
from kling_effects_async.cli import main
assert main(["--version"]) == 0
assert not {"click", "rich", "attrs", "aiohttp", "asyncio"} & set(sys.modules)
"""
    ended = python(code, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("kling-effects ")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "run",
        "bulk",
        "fetch",
        "scenes",
        "emulate",
        "listen",
        "jobs",
        "jobs show",
        "jobs resume",
        "jobs settle",
    ],
)
def test_no_help_loads_anything_that_is_slow(command: str, tmp_path: Path) -> None:
    code = f"""
import sys
from kling_effects_async.cli import main
assert main([*{command!r}.split(), "--help"]) == 0
slow = {{"aiohttp", "asyncio", "attrs", "numpy", "PIL", "platformdirs", "sqlite3"}}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    ended = python(code, tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_the_list_of_commands_loads_none_of_them(tmp_path: Path) -> None:
    code = """
import sys
from kling_effects_async.cli import main
assert main(["--help"]) == 0
loaded = {name.removeprefix("kling_effects_async.cli.") for name in sys.modules}
commands = {"run", "bulk.command", "fetch", "jobs", "scenes", "emulate", "listen"}
assert not {"options", *commands} & loaded
"""
    ended = python(code, tmp_path)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("group", "names"),
    [
        (
            app,
            [
                "run",
                "bulk",
                "fetch",
                "status",
                "watch",
                "list",
                "jobs",
                "check",
                "scenes",
                "auth",
                "doctor",
                "completion",
                "emulate",
                "listen",
            ],
        ),
        (jobs, ["show", "resume", "settle", "adopt"]),
        (auth, ["login", "status", "logout"]),
    ],
)
def test_every_command_says_in_the_list_what_it_says_itself(
    group: LazyGroup, names: list[str]
) -> None:
    context = click.Context(group)
    assert group.list_commands(context) == names
    for name in names:
        _name, command, _rest = group.resolve_command(context, [name])
        listed = group.get_command(context, name)
        assert listed is not None
        assert command is not None
        assert listed.short_help == (command.help or "").splitlines()[0]


def test_a_help_names_every_option_and_its_default(tmp_path: Path) -> None:
    shown = kling("emulate", "--help", folder=tmp_path).out
    for words in ("--slots N ", "-q, --quiet ", "wrapped-twice", "[default: 8787", "-h, --help "):
        assert words in shown


@pytest.mark.parametrize("package", ["click", "rich_click"])
def test_without_its_packages_the_command_names_the_extra(package: str, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from kling_effects_async.cli import main
sys.exit(main(["scenes"]))
"""
    ended = python(code, tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert 'pip install "kling-effects-async[cli]"' in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_without_the_emulators_packages_a_preview_names_the_extra(
    cat: Path, tmp_path: Path
) -> None:
    code = f"""
import sys
sys.modules["av"] = None
from kling_effects_async.cli import main
sys.exit(main(["run", "squish", {str(cat)!r}]))
"""
    ended = python(code, tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert 'pip install "kling-effects-async[emulator]"' in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    code = """
import os, sys
from kling_effects_async.cli import main
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
sys.exit(main(["scenes", "--all", "--json"]))
"""
    ended = python(code, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_unknown_command_is_a_usage_error_of_one_line(tmp_path: Path) -> None:
    ended = kling("squish", "cat.jpg", folder=tmp_path)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)


def test_on_a_terminal_the_progress_is_one_moving_line_and_stdout_stays_clean(
    cat: Path, tmp_path: Path
) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    run = ["run", "squish", str(cat), "-o", "a.mp4", "--clips", "stock"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kling_effects_async", *run],
        cwd=tmp_path,
        env=clean_environment(tmp_path, PYTHONPATH=os.pathsep.join(sys.path), TERM="xterm"),
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    out, _err = process.communicate()
    shown = os.read(ours, 2**16).decode()
    os.close(ours)
    assert (process.returncode, out) == (0, b"a.mp4\n")
    assert "kling-effects: submitting" not in shown
    assert "\x1b[2K" in shown  # erased, and drawn again


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_full_disk_is_10_and_leaves_nothing_under_the_outputs_name(
    cat: Path, tmp_path: Path
) -> None:
    """Fault 53: a file size limit stands in for a full disk."""
    code = f"""
import resource, sys
from kling_effects_async.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
sys.exit(main(["run", "squish", {str(cat)!r}, "-o", "a.mp4", "--clips", "stock"]))
"""
    ended = python(code, tmp_path)
    assert (ended.returncode, ended.stdout) == (10, "")
    assert "its video was not saved" in ended.stderr
    assert not (tmp_path / "a.mp4").exists()
