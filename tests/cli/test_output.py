"""Where the video goes, and every other word of the command line, is checked before anything."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.effects import image_label
from kling_effects_async.emulator import Clips, Emulator
from tests.support.command_line import Ended, kling, kling_at

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="other files there")
AT_ONCE = 1e6  # tasks take 40 to 90 emulated seconds


async def rejected(*line: object, folder: Path, **environ: str) -> Ended:
    """Run a line that must end in one sentence, with the folder as it was and nothing sent."""
    before = sorted(folder.iterdir())
    async with Emulator(clips=Clips.STOCK, speed=AT_ONCE) as emulator:
        key = {"KLING_SERVICE": emulator.url, "KLING_API_KEY": emulator.api_key}
        ended = await asyncio.to_thread(kling, *line, folder=folder, **key, **environ)
        assert emulator.requests.total() == 0
    assert (ended.code, len(ended.err.splitlines())) == (ExitCode.REJECTED_HERE, 1), ended.err
    assert sorted(folder.iterdir()) == before
    return ended


# -- what may not be replaced


@POSIX
@pytest.mark.parametrize("is_link", [False, True])
@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--overwrite", "--journal=j.db"]])
async def test_a_pipe_is_no_output(
    is_link: bool, options: list[str], cat: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    name = "link" if is_link else "pipe"
    ended = await rejected("run", "squish", cat, "-o", name, *options, folder=tmp_path)
    assert f"{name} is a named pipe, not a file" in ended.err
    assert pipe.is_fifo()


@POSIX
@pytest.mark.parametrize("name", ["a.mp4.part", "a.mp4.part.json"])
async def test_a_pipe_beside_the_output_is_rejected_before_anything_is_paid(
    name: str, cat: Path, tmp_path: Path
) -> None:
    """Fault 96: the download could not use it, and the task would be paid by then."""
    os.mkfifo(tmp_path / name)
    ended = await rejected("run", "squish", cat, "-o", "a.mp4", folder=tmp_path)
    assert f"{name} is a named pipe, not a file; remove it, or choose another name" in ended.err


@POSIX
async def test_a_pipe_is_no_output_of_fetch(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    await rejected("fetch", "1", "-o", "a.mp4", "--overwrite", folder=tmp_path)


@pytest.mark.parametrize(
    "output", ["j.db", "./j.db", "j.db-wal", "j.db-shm", "j.db.lock", "sub/../j.db"]
)
@pytest.mark.parametrize("exists", [False, True])
async def test_the_journal_is_no_output(
    output: str, exists: bool, cat: Path, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    if exists:
        (tmp_path / "j.db").write_bytes(b"")
    line = ["-o", output, "--overwrite"]
    ended = await rejected("run", "squish", cat, *line, "--journal=j.db", folder=tmp_path)
    assert "the journal j.db would use the same file" in ended.err
    await rejected("fetch", "1", *line, folder=tmp_path, KLING_JOURNAL="j.db")
    # Named in the environment, but not used now.
    await rejected(
        *["run", "squish", cat, *line, "--journal=other.db"],
        folder=tmp_path,
        KLING_JOURNAL="j.db",
    )


@pytest.mark.parametrize("suffix", [".part", ".part.json"])
async def test_the_side_files_of_the_video_replace_nothing_either(
    suffix: str, cat: Path, tmp_path: Path
) -> None:
    picture = tmp_path / f"a.mp4{suffix}"
    picture.write_bytes(cat.read_bytes())
    await rejected("run", "squish", picture.name, "-o", "a.mp4", folder=tmp_path)
    line = ["run", "squish", cat, "-o", "j.mp4", f"--journal=j.mp4{suffix}"]
    await rejected(*line, folder=tmp_path)


@POSIX
@pytest.mark.parametrize("name", ["cat.jpg", "link.jpg", "hard.jpg"])
async def test_a_picture_is_no_output(name: str, cat: Path, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(cat.read_bytes())
    (tmp_path / "link.jpg").symlink_to("cat.jpg")
    (tmp_path / "hard.jpg").hardlink_to(tmp_path / "cat.jpg")
    line = ["run", "squish", "cat.jpg", "-o", name, "--overwrite"]
    ended = await rejected(*line, folder=tmp_path)
    assert "the picture cat.jpg would use the same file" in ended.err
    assert (tmp_path / "cat.jpg").read_bytes() == cat.read_bytes()


async def test_a_picture_is_no_journal(cat: Path, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(cat.read_bytes())
    await rejected("run", "squish", "cat.jpg", "--journal=cat.jpg", folder=tmp_path)


# -- names


@POSIX
@pytest.mark.parametrize(
    "output",
    [
        "n" * 300,
        "n" * 246,  # fits, and its longest side name does not
        "é" * 130,
        "n" * 300 + "/a.mp4",
        "new/" + "n" * 300 + "/",
        "d/" * 2100 + "a.mp4",
    ],
)
@pytest.mark.parametrize("options", [[], ["--journal=j.db"]])
async def test_a_name_that_is_too_long_is_rejected_before_anything_is_sent(
    output: str, options: list[str], cat: Path, tmp_path: Path
) -> None:
    ended = await rejected("run", "squish", cat, "-o", output, *options, folder=tmp_path)
    assert "is too long" in ended.err
    assert len(ended.err) < 200


@POSIX
def test_the_longest_name_that_fits_is_taken(cat: Path, tmp_path: Path) -> None:
    name = "n" * (os.pathconf(tmp_path, "PC_NAME_MAX") - len(".part.json"))
    ended = kling("run", "squish", cat, "-o", name, "--clips=stock", folder=tmp_path)
    assert (ended.code, ended.out) == (0, f"{name}\n")


@POSIX
async def test_a_folder_that_takes_no_new_file_is_found_by_trying(cat: Path) -> None:
    if not os.path.isdir("/proc/self/fdinfo"):
        pytest.skip("no such folder")
    ended = await asyncio.to_thread(
        kling, "run", "squish", cat, "-o", "/proc/a.mp4", folder=cat.parent
    )
    assert ended.code == ExitCode.REJECTED_HERE
    assert "the video cannot be saved: /proc" in ended.err


NO_TEXT = "a\udcffb"
WRONG = [
    ["run", "squish", "cat.jpg", "-o", ""],
    ["run", "squish", "cat.jpg", "-o", "a\0b"],
    ["run", "squish", ""],
    ["run", "", "cat.jpg"],
    ["run", NO_TEXT, "cat.jpg"],
    ["run", "squish", "cat.jpg", "--external-task-id", ""],
    ["run", "squish", "cat.jpg", "--external-task-id", NO_TEXT],
    ["run", "squish", "cat.jpg", "--model-name", ""],
    ["run", "squish", "cat.jpg", "--mode", NO_TEXT],
    ["run", "squish", "cat.jpg", "--account", NO_TEXT],
    ["run", "squish", "cat.jpg", "--timeout-s", "nan"],
    ["run", "squish", "cat.jpg", "--journal", "a\0b"],
    ["fetch", ""],
    ["fetch", NO_TEXT],
    ["fetch", "--external-task-id", ""],
    ["fetch", "--external-task-id", NO_TEXT],
    ["fetch", "1", "-o", ""],
    ["fetch", "1", "--timeout-s", "nan"],
    ["jobs", "show", ""],
    ["jobs", "show", NO_TEXT],
    ["jobs", "settle", NO_TEXT],
    ["jobs", "adopt", NO_TEXT],
    ["jobs", "--account", NO_TEXT],
    ["jobs", "resume", "--account", NO_TEXT],
    ["jobs", "resume", "--download-to", ""],
    ["jobs", "resume", "--timeout-s", "nan"],
    ["emulate", "--speed", "inf"],
    ["emulate", "--speed", "nan"],
    ["emulate", "--refresh-s", "inf"],
    ["emulate", "--refresh-s", "nan"],
    ["emulate", "--task-seconds", "9" * 400],
    ["emulate", "--host", ""],
    ["emulate", "--host", NO_TEXT],
]


@pytest.mark.parametrize("line", WRONG, ids=range(len(WRONG)))
def test_a_word_that_cannot_be_meant_is_a_usage_error(line: list[str], tmp_path: Path) -> None:
    ended = kling(*line, folder=tmp_path, KLING_API_KEY="test-key", KLING_JOURNAL="j.db")
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (ExitCode.USAGE, "", 1)
    assert ended.err.endswith("--help\n")
    assert sorted(tmp_path.iterdir()) == []


# -- sentences


@pytest.mark.parametrize("name", [".", "/"])
def test_a_folder_in_place_of_a_picture_is_named(name: str, tmp_path: Path) -> None:
    ended = kling("run", "squish", name, folder=tmp_path)
    assert ended.code == ExitCode.REJECTED_HERE
    assert ended.err.startswith(f"kling-effects: {image_label(Path(name))}: It is a folder")
    assert image_label(Path(name)) == name


@POSIX
@pytest.mark.parametrize("command", [["jobs"], ["jobs", "show", "a"], ["run", "squish", "{cat}"]])
@pytest.mark.parametrize(("name", "kind"), [(".", "folder"), ("pipe", "named pipe")])
def test_a_journal_that_is_no_file_is_told_in_one_sentence(
    command: list[str], name: str, kind: str, cat: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    line = [word.format(cat=cat) for word in command]
    ended = kling(*line, "--journal", name, folder=tmp_path, KLING_API_KEY="test-key")
    (said,) = ended.err.splitlines()
    assert ended.code == ExitCode.SETTINGS
    assert said.endswith(f" is a {kind}, not a journal: name the journal's file")


async def test_advice_on_a_scene_comes_once_and_before_it_is_submitted(
    cat: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=AT_ONCE) as emulator:
        ended = await kling_at(emulator, "run", "squsih", cat, folder=tmp_path)
    first, second, *rest = ended.err.splitlines()
    assert "did you mean 'squish'?" in first
    assert second.endswith("submitting squsih")
    assert "known list" not in "".join(rest)
