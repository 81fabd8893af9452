"""Manifests: tables and JSON lines, as people and their programs write them."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from kling_effects_async import DualImageEffect, SingleImageEffect
from kling_effects_async.cli.bulk.row_maker import Defaults
from kling_effects_async.cli.bulk.sources import read_rows
from kling_effects_async.cli.failures import ExitCode, Failure
from tests.support.manifests import SQUISH, problems, rows_of, written

NO_SCENE = Defaults()
TABLE = "scene,image,external_task_id,name,share,model_name,duration_s\n"
ROW = "squish,cat.jpg,o-1,katze,ann,kling-v1-6,5\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", TABLE + ROW),
        ("t.csv", (TABLE + ROW).replace(",", ";").replace("\n", "\r\n")),
        ("t.csv", "sep=;\r\n" + (TABLE + ROW).replace(",", ";")),
        ("t.csv", (TABLE + ROW).replace("\n", "\r")),
        ("t.csv", codecs.BOM_UTF8 + (TABLE + ROW).encode()),
        ("t.CSV", (TABLE + ROW).replace(",", "\t").encode("utf-16")),
        ("t.csv", codecs.BOM_UTF16_BE + (TABLE + ROW).encode("utf-16-be")),
        ("t.tsv", (TABLE + ROW).replace(",", "\t")),
        ("t.csv", TABLE.replace(",", ", ") + ROW.replace(",", ", ") + "\n,,,,,,\n"),
        ("t.csv", TABLE.replace("external_task_id", "External ID") + ROW.replace("5\n", "5.0\n")),
        (
            "t.jsonl",
            '{"scene": "squish", "image": "cat.jpg", "external_task_id": "o-1", "name": "katze", '
            '"share": "ann", "model_name": "kling-v1-6", "duration_s": 5}\n\n',
        ),
        (
            "t.ndjson",
            '{"Effect": "Squish", "file": "cat.jpg", "id": "o-1", "name": "katze", "mode": null, '
            '"share": "ann", "model": "kling-v1-6", "duration": "5", "reason": "was rejected"}',
        ),
    ],
)
def test_a_manifest_is_read_however_it_was_saved(
    name: str, content: str | bytes, tmp_path: Path
) -> None:
    path = written(tmp_path / name, content)
    (row,) = rows_of(path, defaults=NO_SCENE)
    assert row.effect == SingleImageEffect(
        "squish", image=tmp_path / "cat.jpg", model_name="kling-v1-6", duration_s=5
    )
    assert (row.external_task_id, row.name, row.share) == ("o-1", "katze", "ann")
    assert row.image_texts == ("cat.jpg",)
    assert row.where == f"{path}:{row.line}"


def test_two_images_are_left_and_right(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "scene,left,right,mode\nHug,a.png,https://x.y/b.png,pro\n")
    (row,) = rows_of(path, defaults=NO_SCENE)
    assert row.effect == DualImageEffect(
        "hug", left=tmp_path / "a.png", right="https://x.y/b.png", mode="pro"
    )


def test_the_command_line_says_what_a_row_does_not(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "image,scene,share,duration\na.png,,,\nb.png,hug me,bob,7\n")
    defaults = Defaults(scene="squish", share="ann", duration_s=5, mode="pro", is_to_prepare=True)
    first, second = rows_of(path, defaults=defaults)
    assert (first.effect.scene, first.share, first.effect.duration_s) == ("squish", "ann", 5)
    assert (second.effect.scene, second.share, second.effect.duration_s) == ("hug me", "bob", 7)
    assert first.is_to_prepare


def test_a_line_break_within_quotes_belongs_to_the_name_and_lines_are_counted(
    tmp_path: Path,
) -> None:
    content = 'image,name\n"a\nb.png",one\n\n"c.png",two\n'
    first, second = rows_of(written(tmp_path / "t.csv", content))
    assert first.image_texts == ("a\nb.png",)
    assert (first.line, second.line) == (2, 5)


def test_a_file_may_have_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    (row,) = rows_of(written(tmp_path / "t.csv", b"image\ncaf\xe9.png\n"))
    assert row.effect.images == (tmp_path / os.fsdecode(b"caf\xe9.png"),)


def test_an_address_stays_an_address_and_is_never_shown_with_its_signature(tmp_path: Path) -> None:
    content = "image\n HTTPS://u:topsecret@x.example/a.png?sig=topsecret\n"
    (row,) = rows_of(written(tmp_path / "t.csv", content))
    assert row.effect.images == ("https://u:topsecret@x.example/a.png?sig=topsecret",)
    assert "topsecret" not in repr(row)


@pytest.mark.parametrize(
    ("name", "content", "sentences"),
    [
        ("t.csv", "", ["t.csv:1: it is empty: write a first row such as scene,image,name."]),
        ("t.csv", "\n \n", ["t.csv:1: it is empty: write a first row such as scene,image,name."]),
        ("t.jsonl", "", ['t.jsonl:1: it is empty: write a line such as {"image": "cat.jpg"}.']),
        (
            "t.csv",
            "image,scnee\na,b\n",
            ["t.csv:1: there is no column 'scnee': did you mean scene"],
        ),
        ("t.csv", "image,qqqqq\na,b\n", ["t.csv:1: there is no column 'qqqqq': the columns are "]),
        ("t.csv", "image,photo\na,b\n", ["t.csv:1: two columns mean image: keep one of them."]),
        ("t.csv", "scene\nsquish\n", ["t.csv:1: there is no column image (or left and right, "]),
        ("t.csv", "a.jpg\nb.jpg\n", ["t.csv:1: the first row must name the columns, such as "]),
        ("t.csv", "image\na,b\n", ["t.csv:2: it has 2 cells, and the first row has 1: "]),
        ("t.csv", "image,\na,b\n", ["t.csv:2: 'b' is in a column without a name: name it."]),
        ("t.csv", 'image\nx\n"a\nb\n', ["t.csv:2: column image", "t.csv:3: a quotation mark is "]),
        ("t.csv", 'image\n"a"b\n', ["t.csv:2: it cannot be read as CSV ("]),
        ("t.csv", b"image,name\na,caf\xe9\n", ["t.csv:2: column name: it has bytes that are not "]),
        ("t.csv", b"PK\x03\x04...", ["t.csv:1: it is an Excel workbook or another archive, and "]),
        ("t.csv", "image\na".encode("utf-32"), ["t.csv:1: it is UTF-32, and not a table as text"]),
        ("t.csv", "image\na".encode("utf-16-le"), ["t.csv:1: it is no text, or UTF-16 without a "]),
        (
            "t.csv",
            "image\n".encode("utf-16") + b"x",
            ["t.csv:2: here or below it is not UTF-16"],
        ),
        ("t.csv", "image\n" + "x" * 1_000_000, ["t.csv:2: a line of a million characters"]),
        ("t.jsonl", "{\n", ["t.jsonl:1: it is no JSON ("]),
        ("t.jsonl", "[" * 100_000, ["t.jsonl:1: it is a JSON array: write one object a line"]),
        ("t.jsonl", '{"image": ' + "[" * 100_000, ["t.jsonl:1: it is no JSON (too deep"]),
        ("t.jsonl", "5\n", ["t.jsonl:1: it is no object: write a line such as "]),
        ("t.jsonl", '{"imag": "a"}', ["t.jsonl:1: there is no column 'imag': did you mean image?"]),
        ("t.jsonl", '{"image": true}', ["t.jsonl:1: column image: it must be a text, such as "]),
        (
            "t.jsonl",
            '{"image": {"a": 1}}',
            ["t.jsonl:1: column image: it must be a text, such as "],
        ),
        ("t.jsonl", '{"image": "a", "file": "b"}', ["t.jsonl:1: two values for image: keep one "]),
        ("t.jsonl", '{"image": "\\ud800"}', ["t.jsonl:1: column image: \ud800: no file can have "]),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    name: str,
    content: str | bytes,
    sentences: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / name, content)
    found = problems(name)
    assert len(found) == len(sentences), found
    for one, beginning in zip(found, sentences, strict=True):
        assert one.startswith(beginning)


@pytest.mark.parametrize(
    ("columns", "row", "sentence"),
    [
        ("image,id", "cat.jpg,a b", "external_task_id 'a b' is not safe in a path: use 1 to 128 "),
        ("image,share", f"cat.jpg,{'x' * 129}", "share must have at most 128 characters, not 129."),
        ("image,name", "cat.jpg,a/b", "name 'a/b' names a folder"),
        ("image,scene", "cat.jpg,squish\x07", "scene must be plain text; it holds the character "),
        ("image,scene", "cat.jpg,hug", "scene hug takes two images: fill the columns left and "),
        ("left,right,scene", "cat.jpg,cat.jpg,", "scene squish takes one image: fill the column "),
        ("image,left,scene", "cat.jpg,cat.jpg,new", "it has image, and left or right as well: "),
        ("left,right,scene", "cat.jpg,,new", "column right: it is empty; fill it."),
        ("left,right,scene", ",cat.jpg,hug", "scene hug takes two images: fill the columns left "),
        ("image,name", ",one", "scene squish takes one image: fill the column image."),
        ("image,scene", ",new", "it has no image: fill the column image, or left and right."),
        ("image,mode", "cat.jpg,pro", "column mode: it is for scenes with two images; leave it "),
        ("image,model", "cat.jpg,kling-v9", "vapi does not take model_name='kling-v9' for this "),
        ("image,duration", "cat.jpg,7", "vapi does not take duration_s=7 for this effect: use 5."),
        ("image,duration", "cat.jpg,0", "column duration_s: use whole seconds such as 5, not '0'."),
        ("image,duration", "cat.jpg,long", "column duration_s: use whole seconds such as 5, not "),
        ("image", "ftp://x.example/a.png", "column image: ftp://x.example/a.png: It must be an "),
        (
            "image",
            "file:///a.png",
            "column image: file:///a.png: it is no path: leave out file://.",
        ),
        ("image", "http:///a.png", "column image: http:///a.png: It names no host."),
        ("image", "data:image/png;base64", "column image: data:image/png;base64: it is a data: "),
        ("image", "nope.jpg", "column image: nope.jpg: there is no such file. Paths begin at the "),
        ("image", "folder", "column image: folder: it is a folder: name the picture in it."),
        ("image", "empty.jpg", "column image: empty.jpg: it is empty."),
        ("image", "folder\\cat.jpg", "column image: folder\\cat.jpg: there is no such file: write"),
        (
            "image",
            '"cat.jpg "',
            "column image: cat.jpg : there is no such file: its name begins or",
        ),
    ],
)
def test_what_cannot_be_sent_is_named_with_its_line(
    columns: str,
    row: str,
    sentence: str,
    cat: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("cat.jpg", "folder/cat.jpg"):
        (tmp_path / name).write_bytes(cat.read_bytes())
    (tmp_path / "empty.jpg").touch()
    written(tmp_path / "t.csv", f"{columns}\n{row}\n")
    (found,) = problems("t.csv")
    assert found.startswith(f"t.csv:2: {sentence}")


def test_a_bad_row_is_checked_to_its_end_and_so_are_the_others(tmp_path: Path) -> None:
    content = "image,id,name\nnope.jpg,a b,x/y\nhttps://x.y/a,1,\nalso-nope.jpg,1,\n"
    found = problems(written(tmp_path / "t.csv", content))
    assert [text.split(" ")[0].rsplit(":", 2)[-2] for text in found] == ["2", "2", "2", "4", "4"]
    assert "external_task_id '1' is that of " in found[3]
    assert "t.csv:3 already" in found[3]


def test_an_id_may_not_occur_in_two_manifests_either(tmp_path: Path) -> None:
    one = written(tmp_path / "1.csv", "image,id\nhttps://x.y/a,7\n")
    other = written(tmp_path / "2.jsonl", '{"image": "https://x.y/b", "id": 7}')
    (found,) = problems(one, other)
    assert found.startswith(f"{other}:1: external_task_id '7' is that of {one}:2 already: ")


@pytest.mark.parametrize("is_before", [True, False])
def test_a_manifest_that_changes_between_its_readings_ends_the_run(
    is_before: bool, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    written(path, "image\n" + "https://x.y/a\n" * 3)
    with read_rows([str(path)], SQUISH) as rows:
        assert len(list(rows)) == 3
        second = iter(rows)
        if not is_before:
            next(second)
        written(path, "image\n" + "https://x.y/b\n" * 4)
        with pytest.raises(Failure) as caught:
            list(second)
    assert caught.value.code is ExitCode.REJECTED_HERE
    assert caught.value.lines[0].startswith(f"{path}: it has changed since the command began: run ")


def test_a_manifest_that_is_gone_at_its_second_reading_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    written(path, "image\nhttps://x.y/a\n")
    with read_rows([str(path)], SQUISH) as rows:
        assert len(list(rows)) == 1
        path.unlink()
        with pytest.raises(Failure, match=str(int(ExitCode.REJECTED_HERE))) as caught:
            list(rows)
    assert caught.value.lines == (f"{path}: it cannot be read: No such file or directory.",)
