"""Reports for tests: an item in one line, and a page as what is on it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from PIL import Image

from kling_effects_async.report import ItemState, ReportItem, RunReport, write_report

__all__ = [
    "STARTED",
    "ReadPage",
    "ended",
    "failed",
    "jpeg",
    "page_of",
    "report_of",
    "saved",
    "written",
]

STARTED = datetime(2026, 6, 1, 14, 3, tzinfo=timezone(timedelta(hours=2), "CEST"))


def jpeg(width_px: int = 40, height_px: int = 30, colour: str = "teal") -> bytes:
    """A picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (width_px, height_px), colour).save(stream, "JPEG")
    return stream.getvalue()


def saved(name: str = "cat.jpg", **members: Any) -> ReportItem:
    return ReportItem(name=name, state=ItemState.SAVED, **members)


def failed(name: str = "dog.jpg", reason: str = "No face was found", **members: Any) -> ReportItem:
    return ReportItem(name=name, state=ItemState.FAILED, reason=reason, **members)


def ended(submitted_s: float, ended_s: float, state: ItemState = ItemState.SAVED) -> ReportItem:
    """A task that was accepted a second after it was submitted."""
    return ReportItem(
        name="cat.jpg",
        state=state,
        submitted_s=submitted_s,
        accepted_s=submitted_s + 1,
        ended_s=ended_s,
    )


def report_of(items: Iterable[ReportItem], *, took_s: float = 600, **members: Any) -> RunReport:
    given = {"title": "photos", "scene": "squish"} | members
    return RunReport(
        started_at=STARTED, ended_at=STARTED + timedelta(seconds=took_s), items=items, **given
    )


def written(folder: Path, items: Iterable[ReportItem], **members: Any) -> Path:
    """The file of a report."""
    path = folder / "report.html"
    write_report(path, report_of(items, **members))
    return path


def page_of(folder: Path, items: Iterable[ReportItem], **members: Any) -> str:
    """The text of a report."""
    return written(folder, items, **members).read_text("utf-8")


class ReadPage(HTMLParser):
    """Every tag of a page, and its text; read by Python's parser."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())
