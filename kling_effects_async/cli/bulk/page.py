"""The report of a run as a page: its recorded rows in their order, with small pictures."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from kling_effects_async.cli.bulk.arguments import BulkArguments
from kling_effects_async.cli.bulk.record import RecordedRow, RunRecord
from kling_effects_async.cli.bulk.row_maker import image_label_of
from kling_effects_async.report import (
    ItemState,
    ReportItem,
    RunReport,
    first_frame,
    relative_url,
    thumbnail,
    thumbnail_px,
    write_report,
)

__all__ = ["PageFacts", "write_page"]

# Pillow and FFmpeg work beside Python, and there are few processors.
_THREADS = max(1, min(4, os.cpu_count() or 1))

_STATES = {str(state): state for state in ItemState}


@frozen(kw_only=True)
class PageFacts:
    """What the page says of the whole run.

    Attributes:
        started_at, ended_at: of this command.
        slots: when the account had how many slots, in seconds of POSIX time.
        failed: the manifest of the rows that failed, if there are any.
        is_over: nothing is left to be done.
    """

    started_at: datetime
    ended_at: datetime
    slots: tuple[tuple[float, int], ...]
    failed: Path | None
    is_over: bool
    is_preview: bool


def write_page(
    path: Path,
    record: RunRecord,
    arguments: BulkArguments,
    facts: PageFacts,
    *,
    on_item: Callable[[int], object] = lambda _number: None,
) -> None:
    """Write the page. Blocks.

    Args:
        on_item: called after each row with the number of rows so far.

    Raises:
        OSError: it cannot be written.
    """
    first_s = record.first_s()
    # A run that was begun by an earlier process began then.
    started_s = min(facts.started_at.timestamp(), first_s or facts.started_at.timestamp())
    report = RunReport(
        title=", ".join(map(_label, arguments.sources)),
        scene=arguments.scene or "",
        started_at=datetime.fromtimestamp(started_s, UTC),
        ended_at=facts.ended_at,
        items=_items(path, record, started_s, on_item),
        slots=[(max(0.0, at - started_s), size) for at, size in facts.slots],
        budget_units=arguments.budget_units,
        is_preview=facts.is_preview,
        retry_command=None if facts.failed is None else arguments.command_for(facts.failed),
        continue_command=None if facts.is_over else arguments.again_command(),
    )
    write_report(path, report)


def _label(source: str) -> str:
    return image_label_of(source) if "://" in source else source


def _items(
    page: Path, record: RunRecord, started_s: float, on_item: Callable[[int], object]
) -> Iterator[ReportItem]:
    """The rows in their order; some of their pictures are made ahead, in threads."""
    longest_px = thumbnail_px(len(record))
    pending: deque[Future[ReportItem]] = deque()
    number = 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="kling-report") as pool:
        for row in record:
            pending.append(pool.submit(_item, page, row, started_s, longest_px))
            if len(pending) >= 4 * _THREADS:
                number += 1
                yield pending.popleft().result()
                on_item(number)
        while pending:
            number += 1
            yield pending.popleft().result()
            on_item(number)


def _item(page: Path, row: RecordedRow, started_s: float, longest_px: int) -> ReportItem:
    files = [Path(image) for image in row.images if "://" not in image]
    clip = None if row.clip is None else Path(row.clip)
    times = (row.times.submitted_s, row.times.accepted_s, row.times.ended_s)
    submitted_s, accepted_s, ended_s = (None if at is None else at - started_s for at in times)
    return ReportItem(
        name=row.name,
        where=row.where,
        state=_STATES[row.state],
        input_thumbnail=thumbnail(*files, longest_px=longest_px) if files else None,
        first_frame=None if clip is None else first_frame(clip, longest_px),
        clip=None if clip is None else relative_url(clip, page),
        reason=row.reason,
        advice=row.advice,
        external_task_id=row.external_task_id or None,
        task_id=row.task_id,
        submitted_s=submitted_s,
        accepted_s=accepted_s,
        ended_s=ended_s,
        units=row.units,
    )
