"""``kling-effects run``: from a photograph to a file, or to a sentence before anything is sent."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from kling_effects_async.emulator import Clips, Emulator
from tests.support.command_line import Ended, clean_environment, kling, kling_at


def preview(*arguments: str | Path, folder: Path) -> Ended:
    """``run`` without a key, with a clip that needs no rendering."""
    return kling("run", *arguments, "--clips", "stock", folder=folder)


def is_mp4(path: Path) -> bool:
    return path.read_bytes()[4:8] == b"ftyp"


def test_a_photo_becomes_an_mp4_whose_path_is_all_there_is_on_stdout(
    cat: Path, tmp_path: Path
) -> None:
    ended = preview("squish", cat, "-o", "squished.mp4", folder=tmp_path)
    assert (ended.code, ended.out) == (0, "squished.mp4\n")
    assert is_mp4(tmp_path / "squished.mp4")


def test_a_rendered_preview_comes_out_of_a_whole_process(cat: Path, tmp_path: Path) -> None:
    run = ["run", "squish", str(cat), "-o", "squished.mp4", "--clips", "test"]
    ended = subprocess.run(
        [sys.executable, "-m", "kling_effects_async", *run],
        cwd=tmp_path,
        env=clean_environment(tmp_path, PYTHONPATH=os.pathsep.join(sys.path)),
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"squished.mp4\n"), ended.stderr
    assert is_mp4(tmp_path / "squished.mp4")


def test_two_photos_become_one_clip(cat: Path, astronaut: Path, tmp_path: Path) -> None:
    ended = preview("hug", cat, astronaut, "-o", "hug.mp4", folder=tmp_path)
    assert (ended.code, ended.out) == (0, "hug.mp4\n")
    assert is_mp4(tmp_path / "hug.mp4")


def test_a_preview_is_called_one_in_one_line_that_names_the_variables(
    cat: Path, tmp_path: Path
) -> None:
    ended = preview("squish", cat, "-q", folder=tmp_path)
    (line,) = ended.err.splitlines()
    assert "preview made on this machine, not Kling's model" in line
    for variable in ("KLING_API_KEY", "KLING_ACCESS_KEY", "KLING_SECRET_KEY"):
        assert variable in line


def test_json_is_one_object_that_says_all(cat: Path, tmp_path: Path) -> None:
    ended = preview("squish", cat, "--json", "--external-task-id", "order-42", folder=tmp_path)
    told = json.loads(ended.out)
    assert is_mp4(tmp_path / told["path"])
    assert (told["scene"], told["external_task_id"]) == ("squish", "order-42")
    assert (told["units"], told["is_preview"]) == ("2", True)
    assert told["task_id"]
    assert told["duration_s"] == pytest.approx(5.0, abs=0.1)


def test_without_an_output_the_file_is_named_after_scene_and_task(
    cat: Path, tmp_path: Path
) -> None:
    told = json.loads(preview("squish", cat, "--json", folder=tmp_path).out)
    assert told["path"] == f"squish-{told['task_id']}.mp4"
    assert is_mp4(tmp_path / told["path"])


def test_an_output_with_a_slash_is_a_folder(cat: Path, tmp_path: Path) -> None:
    ended = preview("squish", cat, "-o", "clips/", folder=tmp_path)
    assert ended.out.startswith(f"clips{os.sep}squish-")
    assert is_mp4(tmp_path / ended.out.rstrip("\n"))


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_a_path_that_is_no_text_is_printed_byte_for_byte(cat: Path, tmp_path: Path) -> None:
    ended = preview("squish", cat, "-o", "caf\udce9.mp4", folder=tmp_path)
    assert ended.out == "caf\udce9.mp4\n"
    assert is_mp4(tmp_path / "caf\udce9.mp4")


async def test_with_a_key_the_service_is_asked_and_nothing_is_called_a_preview(
    cat: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        ended = await kling_at(emulator, "run", "squish", cat, "-o", "a.mp4", folder=tmp_path)
    (entry,) = emulator.ledger.entries
    assert (ended.code, ended.out) == (0, "a.mp4\n")
    assert f"task {entry.task_id}: done, 2 units" in ended.err
    assert "preview" not in ended.err


# -- rejected before anything is sent


@pytest.mark.parametrize("option", ["--no-emulator", "--service=vapi"])
def test_a_missing_key_is_an_error_that_names_the_variables(
    option: str, cat: Path, tmp_path: Path
) -> None:
    ended = preview("squish", cat, option, folder=tmp_path)
    (line,) = ended.err.splitlines()
    assert (ended.code, ended.out) == (3, "")
    assert "set KLING_API_KEY for a gateway, or KLING_ACCESS_KEY and KLING_SECRET_KEY" in line


def test_half_a_pair_of_keys_is_an_error_and_no_preview(cat: Path, tmp_path: Path) -> None:
    ended = kling("run", "squish", cat, folder=tmp_path, KLING_ACCESS_KEY="access-key")
    assert (ended.code, ended.out) == (3, "")
    assert "KLING_SECRET_KEY is missing" in ended.err


async def test_an_output_that_exists_is_rejected_before_anything_is_paid(
    cat: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_text("precious")
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        ended = await kling_at(emulator, "run", "squish", cat, "-o", "a.mp4", folder=tmp_path)
    assert (ended.code, emulator.ledger.total) == (4, 0)
    assert "a.mp4 exists already" in ended.err
    assert (tmp_path / "a.mp4").read_text() == "precious"


def test_overwrite_replaces_the_output(cat: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("old")
    ended = preview("squish", cat, "-o", "a.mp4", "--overwrite", folder=tmp_path)
    assert ended.code == 0
    assert is_mp4(tmp_path / "a.mp4")


def test_an_output_below_a_file_is_rejected_before_anything_is_sent(
    cat: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").touch()
    ended = preview("squish", cat, "-o", "taken/a.mp4", folder=tmp_path)
    assert ended.code == 4
    assert "taken is no folder you may write to" in ended.err


def test_an_image_that_kling_would_reject_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture at all")
    ended = preview("squish", "notes.jpg", folder=tmp_path)
    (line,) = ended.err.splitlines()
    assert (ended.code, ended.out) == (4, "")
    assert line.startswith("kling-effects: notes.jpg: ")


def test_a_missing_image_ends_in_one_sentence(tmp_path: Path) -> None:
    ended = preview("squish", "cat.jpg", folder=tmp_path)
    assert ended.code == 4
    assert len(ended.err.splitlines()) == 1


def test_an_image_that_can_be_mended_names_the_option_that_does_it(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "small.png")
    ended = preview("squish", "small.png", folder=tmp_path)
    assert ended.code == 4
    assert "--prepare enlarges it" in ended.err


def test_prepare_mends_the_image_and_says_how(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "small.png")
    ended = preview("squish", "small.png", "--prepare", folder=tmp_path)
    assert ended.code == 0
    assert "small.png: It was enlarged to 300 x 300 px." in ended.err


def test_a_scene_that_takes_two_images_is_not_run_with_one(cat: Path, tmp_path: Path) -> None:
    ended = preview("hug", cat, folder=tmp_path)
    assert ended.code == 4
    assert ended.err == "kling-effects: scene 'hug' takes two images, not 1\n"


def test_three_images_are_a_usage_error_of_one_line(cat: Path, tmp_path: Path) -> None:
    ended = preview("hug", cat, cat, cat, folder=tmp_path)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert ended.err.endswith("See: kling-effects run --help\n")


@pytest.mark.parametrize("scene", ["Heart Gesture", "HEART-gesture"])
def test_a_scene_may_be_typed_as_people_write_it(
    scene: str, cat: Path, astronaut: Path, tmp_path: Path
) -> None:
    ended = preview(scene, cat, astronaut, "--json", folder=tmp_path)
    assert json.loads(ended.out)["scene"] == "heart_gesture"
    assert "known list" not in ended.err


def test_an_unknown_scene_is_sent_with_a_warning_in_one_plain_line(
    cat: Path, tmp_path: Path
) -> None:
    ended = preview("squich", cat, folder=tmp_path)
    (line,) = [line for line in ended.err.splitlines() if "known list" in line]
    assert line.startswith("kling-effects: scene 'squich' is in no known list")
    assert "did you mean 'squish'?" in line
    assert "UnknownSceneWarning" not in ended.err


async def test_submitting_is_not_said_of_what_is_rejected_here(cat: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture at all")
    lines = [
        ["notes.jpg"],
        [str(cat), "--external-task-id", "no id"],
        [str(cat), "--model-name", "none"],
        [str(cat), "--budget-units", "1"],
        [str(cat), "--budget-units", "1", "--journal", "jobs.db"],
    ]
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        for line in lines:
            ended = await kling_at(emulator, "run", "squish", *line, folder=tmp_path)
            assert ended.code in (4, 11), line
            assert "submitting" not in ended.err, line
    assert emulator.requests.total() == 0


@pytest.mark.parametrize("scheme", ["HTTP://", "Http://"])
async def test_the_scheme_of_a_service_may_be_in_capitals(
    scheme: str, cat: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        url = emulator.url.replace("http://", scheme)
        for option, environ in (([f"--service={url}"], {}), ([], {"KLING_SERVICE": url})):
            ended = await asyncio.to_thread(
                partial(
                    kling,
                    *["run", "squish", cat, *option],
                    folder=tmp_path,
                    KLING_API_KEY=emulator.api_key,
                    **environ,
                )
            )
            assert ended.code == 0, ended.err
    assert emulator.ledger.total == 2


# -- the settings file


def write_config(folder: Path, *lines: str) -> Path:
    config = folder / "home" / "config" / "kling-effects" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("\n".join(["[kling]", *lines]))
    return config


async def test_the_key_may_come_from_the_settings_file(cat: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e6) as emulator:
        config = write_config(
            tmp_path, f'service = "{emulator.url}"', f'api_key = "{emulator.api_key}"'
        )
        config.chmod(0o600)
        ended = await asyncio.to_thread(kling, "run", "squish", cat, "-o", "a.mp4", folder=tmp_path)
    assert (ended.code, emulator.ledger.total) == (0, 1)
    assert "chmod" not in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="other rights there")
def test_a_settings_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    config = write_config(
        tmp_path, 'api_key = "not-for-others-key"', 'service = "http://127.0.0.1:9"'
    )
    config.chmod(0o644)
    ended = kling("fetch", "1", "--timeout-s=0.01", folder=tmp_path)
    assert f"chmod 600 {config}" in ended.err
    assert "not-for-others" not in ended.err


def test_a_broken_settings_file_is_named_and_not_quoted(cat: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, 'api_key = "not-for-others')
    ended = kling("run", "squish", cat, folder=tmp_path)
    assert ended.code == 3
    assert str(config) in ended.err
    assert "not-for-others" not in ended.err
