"""``kling-effects check``: pictures against Kling's rules, for nothing."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kling_effects_async.cli.failures import ExitCode
from tests.support.command_line import Ended, kling
from tests.support.pictures import jpeg_segment, with_segments


def rows(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.out.splitlines()]


def small(path: Path, side_px: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side_px, side_px)).save(path)
    return path


def test_pictures_that_kling_takes_are_ok_and_the_code_is_0(
    cat: Path, astronaut: Path, tmp_path: Path
) -> None:
    ended = kling("check", cat, astronaut, folder=tmp_path)
    assert (ended.code, len(ended.out.splitlines())) == (0, 2)
    assert ended.out.startswith(f"{cat}: ok, JPEG of ")
    assert ended.err == "kling-effects: 2 ok\n"


def test_one_picture_that_kling_would_reject_is_4_and_the_others_are_checked_too(
    cat: Path, tmp_path: Path
) -> None:
    small(tmp_path / "small.png")
    ended = kling("check", "small.png", "none.jpg", cat, folder=tmp_path)
    lines = ended.out.splitlines()
    assert ended.code == ExitCode.REJECTED_HERE
    assert "small.png: rejected: It measures 100 x 100 px" in lines[0]
    assert "--prepare enlarges it" in lines[0]
    assert lines[1] == "none.jpg: rejected: There is no such file."
    assert ended.err == "kling-effects: 2 rejected, 1 ok\n"


def test_prepare_tells_what_would_be_changed_and_changes_nothing(tmp_path: Path) -> None:
    picture = small(tmp_path / "small.png")
    before = picture.read_bytes()
    ended = kling("check", "small.png", "--prepare", "--json", folder=tmp_path)
    (row,) = rows(ended)
    assert (ended.code, row["state"], row["is_accepted"]) == (0, "prepared", True)
    assert row["changes"][0] == "It was enlarged to 300 x 300 px."
    assert (row["format"], row["width_px"]) == ("JPEG", 300)
    assert picture.read_bytes() == before
    assert [path.name for path in tmp_path.glob("*.*")] == ["small.png"]


def test_what_prepare_cannot_mend_stays_rejected(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture at all")
    ended = kling("check", "notes.jpg", "--prepare", folder=tmp_path)
    assert ended.code == ExitCode.REJECTED_HERE
    assert "notes.jpg: rejected: " in ended.out


def test_a_folder_stands_for_its_pictures_in_the_order_of_their_names(
    cat: Path, tmp_path: Path
) -> None:
    for name in ("b.png", "a.JPG", ".hidden.png", "inner/c.png"):
        small(tmp_path / "photos" / name, 300)
    (tmp_path / "photos" / "notes.txt").touch()
    ended = kling("check", "photos", "--json", folder=tmp_path)
    names = [os.path.join("photos", name) for name in ("a.JPG", "b.png")]
    assert [row["image"] for row in rows(ended)] == names
    ended = kling("check", "photos", "-r", "--json", folder=tmp_path)
    assert rows(ended)[-1]["image"] == os.path.join("photos", "inner", "c.png")


def test_a_folder_without_pictures_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    ended = kling("check", "photos", folder=tmp_path)
    assert ended.code == ExitCode.REJECTED_HERE
    assert "the folder photos has no picture; -r looks into" in ended.err


def test_an_address_is_left_to_the_service_and_shown_without_its_signature(
    tmp_path: Path,
) -> None:
    """Fault 67: what follows the ``?`` of an address may be a key."""
    ended = kling("check", "https://img.example/a.jpg?sign=MARKED", folder=tmp_path)
    assert ended.code == 0
    assert ended.out.startswith("https://img.example/a.jpg?...: unchecked: ")
    assert "MARKED" not in ended.out + ended.err


def test_a_picture_may_come_from_stdin(cat: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(cat.read_bytes())))
        ended = kling("check", "-", folder=tmp_path)
    assert (ended.code, ended.out[:11]) == (0, "-: ok, JPEG")


def test_damage_in_the_pixels_is_found_by_decoding(cat: Path, tmp_path: Path) -> None:
    damaged = with_segments(cat.read_bytes(), jpeg_segment(0xC4, b"no table of codes"))
    (tmp_path / "damaged.jpg").write_bytes(damaged)
    assert kling("check", "damaged.jpg", folder=tmp_path).code == 0
    assert kling("check", "damaged.jpg", "--decode", folder=tmp_path).code == 4


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_json_has_letters_as_they_are_and_escapes_what_is_not_for_reading(tmp_path: Path) -> None:
    for name in ("拥抱.png", "caf\udce9\x1b[2J\u2028.png"):
        small(tmp_path / name, 300)
    ended = kling("check", ".", "--json", folder=tmp_path)
    assert "拥抱.png" in ended.out
    assert ended.out.replace("\n", "").isprintable()
    assert [row["image"][2:] for row in rows(ended)] == ["caf\udce9\x1b[2J\u2028.png", "拥抱.png"]
