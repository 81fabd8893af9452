"""The page as a file: items pass by once, and the file has its name when it is whole."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

from attrs import evolve

from kling_effects_async.report.cards import card, picture_bytes
from kling_effects_async.report.page import PER_PAGE, page
from kling_effects_async.report.run_report import ReportItem, RunReport
from kling_effects_async.report.sheet import Sheet
from kling_effects_async.report.tally import Tally

__all__ = ["relative_url", "write_report"]


def write_report(path: Path, report: RunReport) -> None:
    """Write the page. Blocks: call it in a thread.

    A file of that name is replaced once the new one is whole; until then, and after a failure, it
    stays as it was. Memory does not grow with the pictures: items go through a temporary file.

    Raises:
        OSError: the file cannot be written; nothing of it is left behind.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=path.parent) as cards:
        tally, sheet = _write_cards(cards, report)
        cards.seek(0)
        before, after = page(report, tally, sheet)
        part = path.with_name(f".{secrets.token_hex(6)}.part")  # short, as the name may be long
        try:
            _write(part, before, cards, after)
            os.replace(part, path)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def _write_cards(cards: IO[str], report: RunReport) -> tuple[Tally, Sheet]:
    tally, sheet = Tally(), Sheet()
    cost_unit = None if report.is_preview else report.cost_unit
    for item in report.items:
        number = tally.add(item)
        if sheet.has_room(item):
            cards.write(_card(number, item, tally, sheet, cost_unit))
    return tally, sheet


def _card(number: int, item: ReportItem, tally: Tally, sheet: Sheet, cost_unit: str | None) -> str:
    size_bytes = picture_bytes(item)
    if size_bytes and not sheet.has_room_for_pictures(size_bytes):
        item = evolve(item, input_thumbnail=None, first_frame=None)
    return card(
        number,
        item,
        group=tally.group_number(item),
        is_hidden=sheet.cards > PER_PAGE,
        cost_unit=cost_unit,
    )


def _write(path: Path, before: str, cards: IO[str], after: str) -> None:
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(before)
        shutil.copyfileobj(cards, file)
        file.write(after)
        file.flush()
        os.fsync(file.fileno())  # before the name: after a power cut it must not be an empty file


def relative_url(file: Path, page: Path) -> str | None:
    """The address of a file as a page beside it, or elsewhere, links to it.

    Returns:
        Percent-encoded, such as ``clips/cat-squish.mp4``; ``None`` where there is no way from one
        to the other, as between two drives of Windows.
    """
    try:
        way = os.path.relpath(file.absolute(), page.absolute().parent)
    except ValueError:
        return None
    return quote(os.fsencode(Path(way).as_posix()))
