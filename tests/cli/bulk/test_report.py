"""``kling-effects bulk --report``: the page about a run, also of one that failed or was stopped."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path

import pytest

from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.emulator import Clips, Emulator, Fault
from tests.support.command_line import kling, kling_at
from tests.support.pictures import encoded, gradient

BOOK = ("--journal", "jobs.db", "--report", "run.html", "-q")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of four pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        (folder / f"cat <{number}>.jpg").write_bytes(encoded(gradient(320 + number)))
    return folder


def text_of(page: Path) -> str:
    """What a reader sees, roughly: no styles, no scripts, no tags."""
    content = page.read_text("utf-8")
    bare = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", content, flags=re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare)))


async def test_the_page_shows_every_row_and_why_some_failed(photos: Path, tmp_path: Path) -> None:
    async with Emulator(clips=Clips.STOCK, speed=600) as at:
        at.fail_next(Fault.task_failed("Failure to pass the risk control system"))
        line = ("bulk", "squish", "photos", "-o", "clips", *BOOK)
        ended = await kling_at(at, *line, folder=tmp_path)
    assert ended.code == ExitCode.TASK_FAILED
    page = (tmp_path / "run.html").read_text("utf-8")
    text = text_of(tmp_path / "run.html")
    assert "3 of 4 clips saved" in text
    assert "Failure to pass the risk control system" in text
    assert "kling-effects bulk clips/failed.csv -o clips" in text
    for number in range(4):
        assert f"cat <{number}>.jpg" in text
    assert page.count("data:image/jpeg;base64,") >= 7  # four pictures, and three first frames
    assert page.count('href="clips/cat%20') >= 3
    assert re.search(r"p50 [\d.]+ s|alike", text)  # there are durations, from the journal


async def test_what_an_earlier_run_made_is_on_the_page_with_its_times(
    photos: Path, tmp_path: Path
) -> None:
    async with Emulator(clips=Clips.STOCK, speed=600) as at:
        line = ("bulk", "squish", "photos", "-o", "clips", *BOOK)
        await kling_at(at, *line, folder=tmp_path)
        first = text_of(tmp_path / "run.html")
        await kling_at(at, *line, folder=tmp_path)
        assert at.ledger.total == 4
    again = text_of(tmp_path / "run.html")
    for text in (first, again):
        assert "4 of 4 clips saved" in text
        assert "Each task, in the first free row" in text


def test_previews_are_called_so_and_have_no_cost(photos: Path, tmp_path: Path) -> None:
    line = ("bulk", "squish", "photos", "-o", "clips", "--clips", "stock", *BOOK[2:])
    assert kling(*line, folder=tmp_path).code == 0
    text = text_of(tmp_path / "run.html")
    assert "not by Kling's model" in text
    assert "units" not in text


async def test_a_report_that_cannot_be_written_loses_no_clip(photos: Path, tmp_path: Path) -> None:
    name = f"{'long' * 70}.html"  # longer than file systems take
    async with Emulator(clips=Clips.STOCK, speed=600) as at:
        environ = {"KLING_SERVICE": at.url, "KLING_API_KEY": at.api_key}
        line = ("bulk", "squish", "photos", "-o", "clips", *BOOK, "--report", name)
        ended = await asyncio.to_thread(kling, *line, folder=tmp_path, **environ)
    assert (ended.code, len(ended.out.splitlines())) == (0, 4)
    assert ".html cannot be written" in ended.err


@pytest.mark.parametrize("page", ["nowhere/run.html", "photos"])
def test_a_report_that_can_be_no_file_is_rejected_before_anything_is_sent(
    photos: Path, tmp_path: Path, page: str
) -> None:
    line = ("bulk", "squish", "photos", "-o", "clips", "--clips", "stock", "--report", page)
    ended = kling(*line, folder=tmp_path)
    assert ended.code == ExitCode.REJECTED_HERE
    assert "report" in ended.err
    assert not (tmp_path / "clips").exists()
