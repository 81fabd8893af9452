"""Standard streams that are closed, full or broken, and machines that lack what others have."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from kling_effects_async import JobState
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Clips, Emulator
from tests.support.command_line import clean_environment, lines_until, python, started
from tests.support.journal_jobs import account_at, read, submitted, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell is needed")

FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has such a device")
PREVIEW = ["run", "squish", "{cat}", "-o", "a.mp4", "--clips", "stock"]


def shell(
    line: str, folder: Path, cat: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in which ``kling`` is the command."""
    command = f'kling() {{ "{sys.executable}" -m kling_effects_async "$@"; }}'
    return subprocess.run(
        ["bash", "-c", f"{command}\n{line.format(cat=cat)}"],
        cwd=folder,
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path), **environ),
        capture_output=True,
        text=True,
        check=False,
    )


def run(redirection: str, folder: Path, cat: Path) -> subprocess.CompletedProcess[str]:
    return shell(f"kling {' '.join(PREVIEW)} {redirection}", folder, cat)


# -- a clip is made and saved, whatever the streams


@pytest.mark.parametrize(
    "redirection", [">&-", pytest.param(">/dev/full", marks=FULL), "> >(exec true)", "<&- >&-"]
)
def test_a_stdout_that_cannot_be_written_is_12_and_the_path_is_on_stderr(
    redirection: str, cat: Path, tmp_path: Path
) -> None:
    """Fault 83: a paid task is never left without a word."""
    ended = run(redirection, tmp_path, cat)
    assert (ended.returncode, (tmp_path / "a.mp4").exists()) == (ExitCode.NOT_PRINTED, True)
    assert "kling-effects: the video is saved: a.mp4\n" in ended.stderr
    assert "stdout cannot be written" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("redirection", ["2>&-", pytest.param("2>/dev/full", marks=FULL), "2<&-"])
def test_a_stderr_that_cannot_be_written_changes_nothing(
    redirection: str, cat: Path, tmp_path: Path
) -> None:
    ended = run(redirection, tmp_path, cat)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "a.mp4\n", "")


@pytest.mark.parametrize(
    "redirection", ["<&- >&- 2>&-", pytest.param(">/dev/full 2>/dev/full", marks=FULL)]
)
def test_without_any_stream_the_video_is_saved_and_the_code_says_so(
    redirection: str, cat: Path, tmp_path: Path
) -> None:
    ended = run(redirection, tmp_path, cat)
    assert (ended.returncode, ended.stdout, ended.stderr) == (ExitCode.NOT_PRINTED, "", "")
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"


def test_closed_descriptors_are_not_given_to_our_files(tmp_path: Path) -> None:
    code = """
import os, sys
for number in range(3): os.close(number)
sys.stdin = sys.stdout = sys.stderr = None
sys.argv = ["kling-effects", "--version"]
from kling_effects_async.cli import main
code = main()
opened = os.open("theirs", os.O_WRONLY | os.O_CREAT)
os.write(opened, b"%d %d" % (code, opened))
"""
    python(code, tmp_path)
    written_code, number = (tmp_path / "theirs").read_text().split()
    assert (int(written_code), int(number) > 2) == (ExitCode.NOT_PRINTED, True)


@FULL
@pytest.mark.parametrize("command", ["--help", "run --help", "--version", "scenes"])
def test_a_full_disk_below_stdout_is_one_sentence_and_12(command: str, tmp_path: Path) -> None:
    ended = shell(f"kling {command} >/dev/full", tmp_path)
    assert ended.returncode == ExitCode.NOT_PRINTED
    assert len(ended.stderr.splitlines()) == 1
    assert "stdout cannot be written: No space left on device" in ended.stderr


@pytest.mark.parametrize("command", ["--help", "run --help", "--version", "scenes --json --all"])
def test_a_list_for_a_reader_that_has_left_is_no_error(command: str, tmp_path: Path) -> None:
    ended = shell(f"kling {command} > >(exec true); exit $?", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@FULL
async def test_a_resume_saves_all_videos_though_no_path_can_be_printed(tmp_path: Path) -> None:
    db = tmp_path / "effects.db"
    async with Emulator(clips=Clips.STOCK, speed=1e6) as at:
        for name in ("order-1", "order-2"):
            task_id = await submitted(at, name)
            await write(db, name, JobState.ACCEPTED, account=account_at(at), task_id=task_id)
        line = f"kling jobs resume --journal {db} --download-to clips >/dev/full"
        environ = {"KLING_SERVICE": at.url, "KLING_API_KEY": at.api_key}
        ended = await asyncio.to_thread(partial(shell, line, tmp_path, None, **environ))
    assert ended.returncode == ExitCode.NOT_PRINTED
    assert {str(job.state) for job in (await read(db)).values()} == {"downloaded"}
    for saved in (tmp_path / "clips").iterdir():
        assert f"the video is saved: clips/{saved.name}" in ended.stderr


async def test_an_emulator_without_a_stdout_says_what_to_export_on_stderr(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f'exec "{sys.executable}" -m kling_effects_async emulate --port 0 >&-'),
        cwd=tmp_path,
        env=clean_environment(tmp_path, PYTHONPATH=os.pathsep.join(sys.path)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert "export KLING_SERVICE=http://" in await lines_until(process, "Ctrl-C")
    process.send_signal(signal.SIGHUP)
    assert await process.wait() == 0


# -- machines that lack something


@pytest.mark.parametrize("redirect", ["", "-o clips/", "-o a.mp4"])
def test_a_working_folder_that_is_gone_is_4_and_nothing_is_sent(
    redirect: str, cat: Path, tmp_path: Path
) -> None:
    line = "mkdir gone && cd gone && rmdir ../gone && kling run squish {cat} " + redirect
    ended = shell(line, tmp_path, cat, KLING_API_KEY="test-key", KLING_SERVICE="http://127.0.0.1:9")
    (said,) = [line for line in ended.stderr.splitlines() if line.startswith("kling-effects")]
    assert ended.returncode == ExitCode.REJECTED_HERE
    assert "the working folder is gone" in said


@pytest.mark.parametrize("command", ["jobs", "jobs resume", "run squish {cat} -o /tmp/never.mp4"])
def test_a_journal_in_a_working_folder_that_is_gone_is_4(
    command: str, cat: Path, tmp_path: Path
) -> None:
    line = f"mkdir gone && cd gone && rmdir ../gone && kling {command} --journal j.db"
    ended = shell(line, tmp_path, cat, KLING_API_KEY="test-key", KLING_SERVICE="http://127.0.0.1:9")
    assert "the working folder is gone" in ended.stderr, ended.stderr
    assert ended.returncode == ExitCode.REJECTED_HERE


def test_with_whole_paths_no_working_folder_is_needed(cat: Path, tmp_path: Path) -> None:
    line = "mkdir gone && cd gone && rmdir ../gone && kling scenes squish"
    ended = shell(line, tmp_path)
    assert ended.returncode == 0


NO_HOME = """
import os, pwd, sys
def unknown(uid): raise KeyError(uid)
pwd.getpwuid = unknown
for name in ("HOME", "XDG_CONFIG_HOME"): os.environ.pop(name, None)
from kling_effects_async.cli import main
sys.exit(main({arguments!r}))
"""


def test_without_a_home_folder_and_a_key_the_preview_is_made(cat: Path, tmp_path: Path) -> None:
    """Fault 83: a container with a user id that nobody knows."""
    arguments = ["run", "squish", str(cat), "-o", "a.mp4", "--clips", "stock"]
    ended = python(NO_HOME.format(arguments=arguments), tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "a.mp4\n"), ended.stderr


def test_without_a_home_folder_a_missing_key_is_3(tmp_path: Path) -> None:
    ended = python(NO_HOME.format(arguments=["fetch", "123"]), tmp_path)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == ExitCode.SETTINGS
    assert "set KLING_API_KEY" in line
    assert "None" not in line


async def test_without_a_home_folder_the_key_of_the_environment_is_enough(
    cat: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as at:
        keys = f"os.environ.update(KLING_SERVICE={at.url!r}, KLING_API_KEY={at.api_key!r})\n"
        code = NO_HOME.format(arguments=["run", "squish", str(cat), "-o", "a.mp4"])
        code = code.replace("for name", keys + "for name")
        ended = await asyncio.to_thread(python, code, tmp_path)
    assert (ended.returncode, ended.stdout, at.ledger.total) == (0, "a.mp4\n", 1), ended.stderr


@pytest.mark.parametrize("home", ["/dev/null", "/nonexistent"])
def test_a_home_that_is_no_folder_has_no_settings_file(
    home: str, cat: Path, tmp_path: Path
) -> None:
    line = f"HOME={home} XDG_CONFIG_HOME= kling {' '.join(PREVIEW)} -q"
    ended = shell(line, tmp_path, cat)
    assert (ended.returncode, ended.stdout) == (0, "a.mp4\n")
    assert len(ended.stderr.splitlines()) == 1  # that it is a preview


def test_64_open_files_are_enough(cat: Path, tmp_path: Path) -> None:
    ended = shell(f"ulimit -n 64; kling {' '.join(PREVIEW)}", tmp_path, cat)
    assert (ended.returncode, ended.stdout) == (0, "a.mp4\n"), ended.stderr


# -- signals while the program loads

MEET = """
import os, signal, sys
class Meet:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{number})
sys.meta_path.insert(0, Meet())
sys.argv = ["kling-effects", *{arguments!r}]
from kling_effects_async.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["--version"], "importlib.metadata"),
        (["--help"], "click"),
        (["run", "squish", "cat.jpg"], "kling_effects_async.cli.run_journal"),
        (["run", "squish", "cat.jpg"], "kling_effects_async.client"),
        (["jobs", "resume"], "kling_effects_async.cli.jobs.resume"),
    ],
)
def test_a_signal_while_the_program_loads_ends_it_without_a_word(
    number: str, code: int, arguments: list[str], module: str, tmp_path: Path
) -> None:
    ended = python(MEET.format(number=number, arguments=arguments, module=module), tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


async def test_a_closed_terminal_ends_a_wait_as_sigterm_does(cat: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=0.001) as at:
        process = await started(at, "run", "squish", cat, folder=tmp_path)
        await lines_until(process, "submitted")
        process.send_signal(signal.SIGHUP)
        _out, err = await process.communicate()
    assert process.returncode == ExitCode.TERMINATED
    assert f"the paid task {at.ledger.entries[0].task_id} goes on" in err.decode()


async def test_a_hangup_that_is_ignored_stays_ignored(cat: Path, tmp_path: Path) -> None:
    """``nohup`` ignores it for us."""
    async with Emulator(clips=Clips.STOCK, speed=60) as at:
        code = f"""
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "kling_effects_async", "run", "squish",
    {str(cat)!r}, "-o", "a.mp4"])
"""
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", code],
            cwd=tmp_path,
            env=clean_environment(
                tmp_path,
                PYTHONPATH=os.pathsep.join(sys.path),
                KLING_SERVICE=at.url,
                KLING_API_KEY=at.api_key,
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await lines_until(process, "submitted")
        process.send_signal(signal.SIGHUP)
        out, _err = await process.communicate()
    assert (process.returncode, out) == (0, b"a.mp4\n")
