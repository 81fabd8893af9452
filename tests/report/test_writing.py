"""The page as a file."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from kling_effects_async.report import ReportItem, relative_url, write_report
from tests.support.reports import ReadPage, jpeg, report_of, saved, written


def breaking_off() -> Iterator[ReportItem]:
    yield saved()
    raise RuntimeError("the journal went away")


def test_a_report_replaces_the_one_before_it_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for name in ("first.jpg", "second.jpg"):
        path = written(tmp_path, [saved(name)])
    assert "second.jpg" in path.read_text("utf-8")
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_failure_leaves_the_report_before_it_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path, [saved("first.jpg")])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="journal"):
        write_report(path, report_of(breaking_off()))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_name_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match=r"report\.html"):
        written(tmp_path, [saved()])
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path / "missing" / "report.html", report_of([]))


def test_the_longest_file_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'r' * 250}.html"
    write_report(path, report_of([saved()]))
    assert path.exists()


def test_a_report_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = written(tmp_path, [])
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    """1,000 items with 20 kB of pictures each: 20 MB pass by, and 2 MB are used."""
    items = (saved(input_thumbnail=os.urandom(20_000)) for _ in range(1_000))
    tracemalloc.start()
    try:
        path = written(tmp_path, items)
        _now, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 2_000_000
    assert path.stat().st_size > 20_000_000


@pytest.mark.parametrize("name", ["cat squish.mp4", "50%.mp4", "a?b#c.mp4", "a:b.mp4", "חתול.mp4"])
def test_a_clip_with_any_name_is_linked_by_an_address_that_leads_to_it(
    tmp_path: Path, name: str
) -> None:
    address = relative_url(tmp_path / "clips" / name, tmp_path / "report.html")
    assert unquote(address or "") == f"clips/{name}"
    page = ReadPage(written(tmp_path, [saved(clip=address)]).read_text("utf-8"))
    assert address in [link["href"] for link in page.all("a")]


def test_a_clip_elsewhere_is_linked_through_its_parents(tmp_path: Path) -> None:
    address = relative_url(tmp_path / "clips" / "cat.mp4", tmp_path / "out" / "report.html")
    assert address == "../clips/cat.mp4"


def test_pictures_are_in_the_page_itself(tmp_path: Path) -> None:
    page = ReadPage(written(tmp_path, [saved(input_thumbnail=jpeg())]).read_text("utf-8"))
    (picture,) = page.all("img")
    assert (picture["src"] or "").startswith("data:image/jpeg;base64,/9j/")
