"""All rows are checked before anything is sent, in flat memory for any number of them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from attrs import frozen

import kling_effects_async as kling
from kling_effects_async.cli.bulk.external_ids import MetIds, met_ids
from kling_effects_async.cli.bulk.images import file_problems, picture_problems
from kling_effects_async.cli.bulk.problems import (
    MAX_SHOWN,
    Kept,
    LeftOut,
    Problem,
    problems_failure,
)
from kling_effects_async.cli.bulk.row import Flawed, Row
from kling_effects_async.cli.bulk.row_maker import Defaults
from kling_effects_async.cli.bulk.sources import Entry, Rows
from kling_effects_async.cli.failures import Failure
from kling_effects_async.protocol.requests import scene_advice

__all__ = ["CheckedRows", "check_rows", "left_out_line"]

# Threads read and walk the files; more than these only wait for the disk.
_THREADS = 8
# Pictures under way, so that the files of a million rows are not queued at once.
_AHEAD = 4 * _THREADS


@frozen(kw_only=True)
class CheckedRows:
    """What one pass over all rows has found.

    Attributes:
        rows: those that can be sent.
        scenes: how many of them each scene has.
        problems: the first ones, in the order of the rows.
        problem_count: how many there are in all.
        warnings: sentences about scenes that a service may reject.
        left_out: how many files and folders were left out, by reason,
        examples: and the first one of each.
    """

    rows: int
    scenes: Mapping[str, int]
    problems: tuple[Problem, ...]
    problem_count: int
    warnings: tuple[str, ...]
    left_out: Mapping[Kept, int]
    examples: Mapping[Kept, str]

    def failure(self) -> Failure | None:
        """How the command ends on problems; ``None`` without any."""
        return problems_failure(self.problems, self.problem_count) if self.problems else None


def check_rows(
    rows: Rows,
    *,
    with_pictures: bool = False,
    on_row: Callable[[int], object] = lambda _count: None,
) -> CheckedRows:
    """Go through all rows once, and see whether they can be sent. Blocks.

    Files are looked for; they are opened only where that is wanted.

    Args:
        with_pictures: read every picture and hold it against Kling's rules, in threads.
        on_row: called in this thread after each row, in order, with the number of rows so far.

    Raises:
        Failure: the check itself is not possible, for want of room in the temporary folder.
    """
    tally = _Tally(rows.defaults)
    with met_ids() as ids:
        for entry, problems in _looked_at(rows.entries(), with_pictures=with_pictures):
            tally.add(entry, [*_repeated(_row_of(entry), ids), *problems])
            if isinstance(entry, (Row, Flawed)):
                on_row(tally.seen)
    return tally.checked()


def left_out_line(checked: CheckedRows) -> str | None:
    """What was left out of folders, as one line for people; ``None``: nothing."""
    parts = [
        f"{count:,} {why.value[count > 1]} (such as {checked.examples[why]})"
        for why, count in checked.left_out.items()
    ]
    return f"left out: {', '.join(parts)}" if parts else None


class _Tally:
    """Counts what was met; of everything that may be long, the beginning alone."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self.seen = 0
        self._good = 0
        self._pairs = 0
        self._scenes: Counter[str] = Counter()
        self._problems: list[Problem] = []
        self._problem_count = 0
        self._left_out: Counter[Kept] = Counter()
        self._examples: dict[Kept, str] = {}

    def add(self, entry: Entry, problems: list[Problem]) -> None:
        if isinstance(entry, LeftOut):
            self._left_out[entry.why] += 1
            self._examples.setdefault(entry.why, entry.path)
        elif isinstance(entry, Problem):
            self._note([entry])
        else:
            flaws = [] if isinstance(entry, Row) else list(entry.problems)
            self.seen += 1
            self._add_row(_row_of(entry), [*flaws, *problems])

    def _add_row(self, row: Row | None, problems: list[Problem]) -> None:
        if row is not None:
            self._pairs += len(row.effect.images) == 2
            self._scenes[row.effect.scene] += not problems
        self._good += not problems
        self._note(problems)

    def _note(self, problems: list[Problem]) -> None:
        self._problem_count += len(problems)
        self._problems += problems[: MAX_SHOWN - len(self._problems)]

    def checked(self) -> CheckedRows:
        if self._defaults.mode is not None and self.seen and not self._pairs:
            self._note([Problem("--mode", "it is for scenes with two images: leave it out.")])
        if not self.seen and not self._problem_count:
            self._note([Problem("rows", "there is none: name pictures, a folder or a manifest.")])
        return CheckedRows(
            rows=self._good,
            scenes=dict(self._scenes),
            problems=tuple(self._problems),
            problem_count=self._problem_count,
            warnings=tuple(self._warnings()),
            left_out=dict(self._left_out),
            examples=dict(self._examples),
        )

    def _warnings(self) -> Iterator[str]:
        service = self._defaults.service or kling.Service.vapi()
        advice = (scene_advice(service, scene) for scene in self._scenes)
        yield from islice(filter(None, advice), MAX_SHOWN)


def _row_of(entry: Entry) -> Row | None:
    return entry.row if isinstance(entry, Flawed) else entry if isinstance(entry, Row) else None


def _repeated(row: Row | None, ids: MetIds) -> Iterator[Problem]:
    if row is None or row.external_task_id is None:
        return
    first = ids.first_place(row.external_task_id, row.where)
    if first is not None:
        yield Problem(
            row.where,
            f"external_task_id {row.external_task_id!r} is that of {first} already: an id stands "
            "for one task, so change one of them.",
        )


def _looked_at(
    entries: Iterator[Entry], *, with_pictures: bool
) -> Iterator[tuple[Entry, list[Problem]]]:
    """Each entry, and what is wrong with its images."""
    if with_pictures:
        yield from _looked_at_in_threads(entries)
        return
    for entry in entries:
        row = _row_of(entry)
        yield entry, [] if row is None else file_problems(row)


def _looked_at_in_threads(entries: Iterator[Entry]) -> Iterator[tuple[Entry, list[Problem]]]:
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="kling-pictures")
    pending: deque[tuple[Entry, Future[list[Problem]] | None]] = deque()
    try:
        for entry in entries:
            row = _row_of(entry)
            look = None if row is None else pool.submit(picture_problems, row)
            pending.append((entry, look))
            if len(pending) >= _AHEAD:
                yield _finished(*pending.popleft())
        while pending:
            yield _finished(*pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(entry: Entry, look: Future[list[Problem]] | None) -> tuple[Entry, list[Problem]]:
    return entry, [] if look is None else look.result()
