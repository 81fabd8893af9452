"""Folders, patterns, addresses and stdin as rows."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_effects_async.cli.bulk.checks import check_rows, left_out_line
from kling_effects_async.cli.bulk.drawing import drawn
from kling_effects_async.cli.bulk.problems import Kept
from kling_effects_async.cli.bulk.row_maker import Defaults
from kling_effects_async.cli.bulk.sources import Rows, read_rows
from tests.support.manifests import SQUISH, checked, images_of, problems, rows_of, written
from tests.support.pictures import encoded, gradient

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="other files there")
PREPARED = Defaults(scene="squish", is_to_prepare=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder as people have it."""
    folder = tmp_path / "photos"
    (folder / "more" / "deep").mkdir(parents=True)
    (folder / ".thumbs").mkdir()
    for name in (
        "cat10.jpg cat2.JPG Cat1.png b.jpeg .hidden.jpg notes.txt old.webp scan.tiff a.mp4 "
        "x.mp4.part more/dog.jpg more/deep/d.png .thumbs/cat.jpg"
    ).split():
        (folder / name).write_bytes(b"x")
    return folder


def test_a_folder_is_its_pictures_in_the_order_of_people(photos: Path) -> None:
    rows = rows_of(photos)
    assert images_of(rows, photos) == ["b.jpeg", "Cat1.png", "cat2.JPG", "cat10.jpg"]
    assert [row.where for row in rows] == [str(photos / name) for name in images_of(rows, photos)]
    assert {row.line for row in rows} == {None}


def test_what_is_left_out_of_a_folder_is_counted(photos: Path) -> None:
    found = checked(photos)
    assert found.left_out == {
        Kept.HIDDEN: 2,
        Kept.OTHER: 2,
        Kept.TO_PREPARE: 2,
        Kept.OURS: 1,
        Kept.FOLDER: 1,
    }
    line = left_out_line(found) or ""
    assert "2 hidden files (such as " in line
    assert f"1 folder that is not entered (such as {photos / 'more'})" in line
    assert found.rows == 4


def test_nothing_is_said_where_nothing_is_left_out(photos: Path) -> None:
    assert left_out_line(checked(photos / "b.jpeg")) is None


def test_a_folder_is_entered_on_wish_after_its_own_files(photos: Path) -> None:
    (photos / "loop").symlink_to(photos, target_is_directory=True)
    rows = rows_of(photos, is_recursive=True)
    assert images_of(rows, photos)[-2:] == ["more/dog.jpg", "more/deep/d.png"]
    assert checked(photos, is_recursive=True).left_out[Kept.FOLDER] == 1  # the link


def test_pictures_that_can_be_converted_are_taken_if_that_is_wanted(photos: Path) -> None:
    images = images_of(rows_of(photos, defaults=PREPARED), photos)
    assert {"old.webp", "scan.tiff"} < set(images)


def test_what_the_run_writes_itself_is_no_picture(photos: Path) -> None:
    own = [photos / "more", photos / "b.jpeg"]
    rows = rows_of(photos, is_recursive=True, own=own)
    assert images_of(rows, photos) == ["Cat1.png", "cat2.JPG", "cat10.jpg"]
    assert checked(photos, is_recursive=True, own=own).left_out[Kept.OURS] == 3


@pytest.mark.parametrize(
    ("pattern", "images"),
    [
        ("*.jp*g", ["b.jpeg", "cat10.jpg"]),
        ("cat[0-9]*", ["cat2.JPG", "cat10.jpg"]),
        ("*", ["b.jpeg", "Cat1.png", "cat2.JPG", "cat10.jpg"]),
        ("**/*.jpg", ["cat10.jpg", "more/dog.jpg"]),
        ("**", "b.jpeg Cat1.png cat2.JPG cat10.jpg more/deep/d.png more/dog.jpg".split()),
    ],
)
def test_a_pattern_in_quotes_is_the_files_that_match(
    pattern: str, images: list[str], photos: Path
) -> None:
    assert images_of(rows_of(photos / pattern), photos) == images


def test_a_file_whose_name_is_a_pattern_is_that_file(photos: Path) -> None:
    (photos / "b[1].jpg").write_bytes(b"x")
    assert images_of(rows_of(photos / "b[1].jpg"), photos) == ["b[1].jpg"]


def test_arguments_are_read_in_their_order_up_to_the_limit(photos: Path) -> None:
    manifest = written(photos / "t.csv", "image\nmore/dog.jpg\nhttps://x.y/a.png\n")
    arguments = (manifest, photos / "cat2.JPG", "https://x.y/b.png?sig=topsecret", photos)
    images = ["more/dog.jpg", "https://x.y/a.png", "cat2.JPG", "https://x.y/b.png?sig=topsecret"]
    rows = rows_of(*arguments, limit=5)
    assert images_of(rows, photos) == [*images, "b.jpeg"]
    assert rows[3].where == "https://x.y/b.png?..."
    assert checked(*arguments, limit=3).rows == 3
    assert rows_of(*arguments, limit=0) == []


@pytest.mark.parametrize(
    "text",
    [
        b"cat2.JPG\nhttps://x.y/a.png\n\n",
        b"\xef\xbb\xbfcat2.JPG\r\nhttps://x.y/a.png",
        b"cat2.JPG\0https://x.y/a.png\0",
        "cat2.JPG\r\nhttps://x.y/a.png".encode("utf-16"),
        b"image\ncat2.JPG\nhttps://x.y/a.png\n",
        b"sep=;\nimage;id\ncat2.JPG;1\nhttps://x.y/a.png;2\n",
        "image\tid\ncat2.JPG\t\nhttps://x.y/a.png\t\n".encode("utf-16"),
        b'{"image": "cat2.JPG"}\n{"image": "https://x.y/a.png"}\n',
    ],
)
def test_stdin_is_a_list_or_a_manifest(
    text: bytes, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    rows = rows_of("-", stdin=text)
    assert [row.effect.images[0] for row in rows] == [Path("cat2.JPG"), "https://x.y/a.png"]
    assert {row.where.partition(":")[0] for row in rows} == {"stdin"}
    assert problems("-", stdin=text) == []


def test_a_list_may_have_names_that_are_no_utf_8(tmp_path: Path) -> None:
    for text in (b"caf\xe9.png\n", b"caf\xe9.png\0"):
        (row,) = rows_of("-", stdin=text)
        assert row.effect.images == (Path(os.fsdecode(b"caf\xe9.png")),)


def test_stdin_is_read_from_two_places_at_once() -> None:
    text = b"".join(b"https://x.example/%d.png\n" % number for number in range(600))
    with read_rows(["-"], SQUISH, stdin=io.BytesIO(text)) as rows:
        for number, (one, other) in enumerate(zip(rows, rows, strict=True)):
            assert one == other
            assert one.effect.images == (f"https://x.example/{number}.png",)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["photso"], "photso: there is no such file or folder; did you mean photos?"),
        (["photos/cat3.JPG"], "there is no such file or folder; did you mean photos/cat2.JPG?"),
        (["photos/notes.txt"], "it is no picture: a list of pictures goes to stdin: "),
        (["photos/*.heic"], "there is no picture in it, or none that can be sent as it is."),
        (["photos/*.webp"], "there is no picture in it, or none that can be sent as it is."),
        (["photos/.thumbs/x*"], "there is no picture in it, or none that can be sent as it is."),
        (
            ["ftp://x.y/a.png?sig=topsecret"],
            "ftp://x.y/a.png?...: It must be an http(s) URL, with ",
        ),
        (["-"], "-: there is nothing on stdin."),
        ([], "rows: there is none: name pictures, a folder or a manifest."),
    ],
)
def test_an_argument_that_is_nothing_is_named(
    arguments: list[str], sentence: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    (found,) = problems(*arguments)
    assert sentence in found
    assert "topsecret" not in found


def test_stdin_is_named_once(tmp_path: Path) -> None:
    (found,) = problems("-", "-", stdin=b"https://x.y/a.png\n")
    assert found == "-: stdin can be read once: name it once."


@pytest.mark.parametrize("name", ["photos", "photos/*.jpg", "photos/b.jpeg", "https://x.y/a.png"])
def test_pictures_alone_are_no_pairs(
    name: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    (found,) = problems(name, defaults=Defaults(scene="Hug"))
    assert found.startswith(f"{name}: scene hug takes two images, and which belong together cannot")
    (found,) = problems(name, defaults=Defaults())
    assert found.startswith(f"{name}: which scene? Name one on the command line, or use a manifest")


@POSIX
def test_a_folder_that_cannot_be_read_is_named(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    with read_rows(["photos"], SQUISH) as rows:
        photos.rename(photos.parent / "moved")
        (found,) = check_rows(rows).problems
    assert str(found) == "photos: the folder cannot be read: No such file or directory."


@POSIX
def test_a_link_that_leads_back_to_itself_spoils_no_folder(photos: Path) -> None:
    (photos / "a.png").symlink_to("a.png")
    (found,) = problems(photos)
    assert found == f"{photos}/a.png: it cannot be read: Too many levels of symbolic links."


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Rows]:
    """250 rows of a manifest; opened outside the loop, as a command does it."""
    path = written(tmp_path / "t.csv", "image\n" + "https://x.y/a.png\n" * 250)
    with read_rows([path], SQUISH) as rows:
        yield rows


async def test_rows_are_drawn_beside_the_loop(many: Rows) -> None:
    """The guard raises if a row is read in the loop."""
    assert [row.line async for row in drawn(many)] == list(range(2, 252))


@pytest.fixture
def to_prepare(tmp_path: Path) -> Iterator[Rows]:
    """A picture that can be converted, one that cannot, and one that need not be."""
    (tmp_path / "1.webp").write_bytes(encoded(gradient(), "WebP"))
    (tmp_path / "2.png").write_text("no picture")
    (tmp_path / "3.png").write_bytes(encoded(gradient(), "PNG"))
    with read_rows([str(tmp_path)], PREPARED) as rows:
        yield rows


async def test_rows_are_converted_beside_the_loop(to_prepare: Rows, tmp_path: Path) -> None:
    images = [row.effect.images[0] async for row in drawn(to_prepare)]
    assert isinstance(images[0], bytes)
    assert images[1:] == [tmp_path / "2.png", tmp_path / "3.png"]
