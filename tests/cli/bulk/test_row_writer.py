"""Rows that are written are read back as the same rows."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_effects_async import DualImageEffect, SingleImageEffect
from kling_effects_async.cli.bulk.problems import Problem
from kling_effects_async.cli.bulk.row import Row
from kling_effects_async.cli.bulk.row_maker import Defaults
from kling_effects_async.cli.bulk.row_writer import row_writer, write_rows
from kling_effects_async.cli.bulk.sources import read_rows
from tests.support.manifests import rows_of, written

SUFFIXES = [".csv", ".tsv", ".jsonl", ".ndjson"]
NOTES = {"reason": 'rejected; it said:\n"no"', "advice": "take another, e.g. a cat"}

# Every byte that a name of a file can have.
NAMES = st.binary(min_size=1, max_size=30).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"0")))
PATHS = NAMES.map(Path).filter(lambda path: path.name != "")
ADDRESSES = st.from_regex(r"https?://[a-z]{1,9}\.example/[!-~]{0,20}", fullmatch=True)
IMAGES = PATHS | ADDRESSES
WORDS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1).map(str.strip)
SCENES = WORDS.filter(lambda word: word != "").map(lambda word: f"new {word}")
OPTIONS = {"model_name": st.none() | SCENES, "duration_s": st.none() | st.integers(1, 99)}
EFFECTS = st.builds(SingleImageEffect, SCENES, image=IMAGES, **OPTIONS) | st.builds(
    DualImageEffect, SCENES, left=IMAGES, right=IMAGES, mode=st.none() | SCENES, **OPTIONS
)
ROWS = st.builds(
    Row,
    EFFECTS,
    external_task_id=st.none() | st.from_regex(r"[A-Za-z0-9._:@~=+-]{5,40}", fullmatch=True),
    share=st.none() | SCENES.map(lambda word: word[:100]).map(str.strip).filter(str.isprintable),
    name=st.none() | st.from_regex(r"[a-z][a-z ,;\"'.=#-]{0,20}[a-z]", fullmatch=True),
    where=st.just("photos/"),
)


def meaning(row: Row) -> Row:
    """What a run does with the row: without where it was read, and with absolute paths."""
    names = ("image",) if isinstance(row.effect, SingleImageEffect) else ("left", "right")
    whole: dict[str, Any] = {
        name: image.absolute() if isinstance(image, Path) else image
        for name, image in zip(names, row.effect.images, strict=True)
    }
    effect = evolve(row.effect, **whole)
    return Row(
        effect,
        external_task_id=row.external_task_id,
        share=row.share,
        name=row.name,
        where="",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
@given(suffix=st.sampled_from(SUFFIXES), rows=st.lists(ROWS, max_size=3))
@settings(max_examples=40)
def test_rows_that_are_written_are_read_back(suffix: str, rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"failed{suffix}")
        write_rows(path, ((row, NOTES) for row in rows))
        with read_rows([str(path)], Defaults()) as read:
            entries = [entry for entry in read.entries() if not isinstance(entry, Problem)]
    found = [meaning(entry) if isinstance(entry, Row) else entry for entry in entries]
    assert found == [meaning(row) for row in rows]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_said_of_a_row_is_for_people(suffix: str, cat: Path, tmp_path: Path) -> None:
    source = written(tmp_path / "t.csv", f"image,id\n{cat},7\n")
    path = tmp_path / f"failed{suffix}"
    (row,) = rows_of(source)
    write_rows(path, [(row, NOTES | {"reason": "half a character: \ud800"})])
    assert "take another, e.g. a cat" in path.read_text("utf-8")
    (again,) = rows_of(path, defaults=Defaults())
    assert meaning(again) == meaning(row)


def test_pictures_below_the_manifest_have_relative_paths(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = written(tmp_path / "in" / "t.csv", "image\na.png\n../b.png\n")
    path = tmp_path / "in" / "failed.csv"
    write_rows(path, ((row, {}) for row in rows_of(source)))
    assert path.read_text("utf-8").splitlines()[1].startswith("squish,a.png,")
    path.rename(tmp_path / "failed.csv")
    assert len(rows_of(tmp_path / "failed.csv")) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="other names there")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", [" a.png", "\ta.png", "data:a.png", "=a.png", "-", 'a,\r"b'])
def test_a_name_that_could_be_misread_is_that_name(suffix: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"failed{suffix}"
    row = Row(SingleImageEffect("squish", image=tmp_path / name), where="x")
    write_rows(path, [(row, {})])
    (again,) = rows_of(path)
    assert meaning(again) == meaning(row)


def test_nothing_is_written_by_half(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    path.write_text("image\nhttps://x.y/a.png\n")
    rows = rows_of(path)

    def failing() -> Iterator[tuple[Row, dict[str, str]]]:
        yield rows[0], {}
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - ours, from above
        write_rows(path, failing())
    assert path.read_text() == "image\nhttps://x.y/a.png\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions there")
def test_addresses_with_signatures_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    write_rows(path, [])
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_suffix_is_rejected_before_anything_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"failed\.txt: a manifest ends in \.csv, \.tsv, \.jsonl"),
        row_writer(tmp_path / "failed.txt"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
