"""``python -m tests.soak``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TextIO

from attrs import frozen

from kling_effects_async.emulator import RepeatedId
from tests.soak.measures import Held, Sample, held_now, sample, slope, slope_within
from tests.soak.part import Part, Totals, work_through

# A part ends after so many openings of the client, and an opening after so long at most.
_OPENINGS = 3
_MAX_OPENING_S = 120.0
_PARTS = 4
# Until then Python and the C library still take what they will have.
_WARM_UP = 0.3
_MIN_TASKS_TO_JUDGE = 1_500
_FIRST_OF_OPENING = 1_000
_MAX_PAUSE_S = 3.0

# Growth for each 1,000 tasks. A task that is kept takes dozens of blocks; a run of two minutes was
# seen to end anywhere between 100 and 700 without one.
MAX_BLOCKS = 2_000.0
# An open client remembers when its last tasks ended, up to a limit: three blocks each.
MAX_OPEN_BLOCKS = 6_000.0
# SQLite keeps what it has read of the present part's journal: 1.5 kB a task, up to 64 MB.
MAX_RSS_BYTES = 1_500_000.0


@frozen(kw_only=True)
class Growth:
    """By how much memory grows with 1,000 tasks; ``None`` where there were too few tasks.

    Attributes:
        blocks, rss_bytes: over the whole run, after its warm-up.
        open_blocks: while one client is open.
    """

    blocks: float | None = None
    open_blocks: float | None = None
    rss_bytes: float | None = None

    @property
    def is_within_bounds(self) -> bool:
        within = [
            self.blocks is None or self.blocks <= MAX_BLOCKS,
            self.open_blocks is None or self.open_blocks <= MAX_OPEN_BLOCKS,
            self.rss_bytes is None or self.rss_bytes <= MAX_RSS_BYTES,
        ]
        return all(within)


def growth(samples: Sequence[Sample]) -> Growth:
    """The growth after the warm-up."""
    last = samples[-1].tasks if samples else 0
    warm = [one for one in samples if one.tasks >= _WARM_UP * last]
    if not warm or last - warm[0].tasks < _MIN_TASKS_TO_JUDGE:
        return Growth()
    return Growth(
        blocks=_per_thousand(slope((one.tasks, one.blocks) for one in warm)),
        open_blocks=_open_blocks(samples),
        rss_bytes=_per_thousand(slope((one.tasks, one.rss_bytes) for one in warm)),
    )


def _open_blocks(samples: Sequence[Sample]) -> float | None:
    """The growth within an opening, once its first tasks have brought all that it needs."""
    began: dict[int, int] = {}
    for one in samples:
        began.setdefault(one.opening, one.tasks)
    warm = [one for one in samples if one.tasks - began[one.opening] >= _FIRST_OF_OPENING]
    last = {one.opening: one.tasks for one in warm}
    seen = sum(last[opening] - began[opening] - _FIRST_OF_OPENING for opening in last)
    if seen < _MIN_TASKS_TO_JUDGE:
        return None
    return _per_thousand(slope_within((one.opening, one.tasks, one.blocks) for one in warm))


def _per_thousand(found: float | None) -> float | None:
    return None if found is None else 1_000 * found


async def _soak(
    seconds: float, seed: int, folder: Path, samples: list[Sample]
) -> tuple[Totals, int]:
    """The totals, and how many asyncio tasks were left."""
    totals, random = Totals(), Random(seed)
    count_unclosed(asyncio.get_running_loop(), totals)
    end = time.monotonic() + seconds
    measuring = asyncio.create_task(_measure(totals, samples, seconds))
    opening_s = min(_MAX_OPENING_S, seconds / _PARTS / _OPENINGS)
    while time.monotonic() < end:
        part = Part(
            folder=folder,
            repeated=[RepeatedId.ACCEPT, RepeatedId.REJECT][totals.parts % 2],
            openings=_OPENINGS,
            opening_s=opening_s,
            random=random,
        )
        await work_through(part, totals)
    measuring.cancel()
    await asyncio.gather(measuring, return_exceptions=True)
    return totals, len(asyncio.all_tasks() - {asyncio.current_task()})


def count_unclosed(loop: asyncio.AbstractEventLoop, totals: Totals) -> None:
    """Count what is collected unclosed, and exceptions of tasks that nobody awaited."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        note(str(message))

    def note(what: str) -> None:
        totals.unclosed += 1
        print(f"  unclosed: {what}")

    loop.set_exception_handler(lambda _loop, context: note(str(context)))
    warnings.simplefilter("always", ResourceWarning)
    warnings.showwarning = show


async def _measure(totals: Totals, samples: list[Sample], seconds: float) -> None:
    """Sample the memory, and print how it goes."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(min(_MAX_PAUSE_S, seconds / 40))
        if not totals.is_working:  # the comparison at the end of a part holds all its jobs
            continue
        samples.append(sample(totals.done, totals.openings))
        if len(samples) % 5 == 0 or seconds >= 40 * _MAX_PAUSE_S:
            print(
                f"{time.monotonic() - began:.0f} s: {totals.done} tasks done, part "
                f"{totals.parts}, opening {totals.openings}, {samples[-1].blocks:,} blocks, "
                f"{samples[-1].rss_bytes / 1e6:.1f} MB",
                flush=True,
            )


def report(totals: Totals, tasks: int, left: Held, grown: Growth) -> bool:
    """Print the last lines; whether everything is right."""
    print(
        f"soak: done={totals.done} uncertain={totals.uncertain} lost={len(totals.lost)} "
        f"doubled={len(totals.doubled)} openings={totals.openings} parts={totals.parts}"
    )
    for word, names in (("lost", totals.lost), ("doubled", totals.doubled)):
        if names:
            print(f"  {word}: {', '.join(names[:20])}")
    print(
        f"left: sockets={left.sockets} threads={left.threads} asyncio_tasks={tasks} "
        f"descriptors={left.descriptors} unclosed={totals.unclosed}"
    )
    print(
        f"growth for 1,000 tasks: blocks={_shown(grown.blocks)} (at most {MAX_BLOCKS:,.0f}), "
        f"while a client is open {_shown(grown.open_blocks)} (at most {MAX_OPEN_BLOCKS:,.0f}), "
        f"rss_bytes={_shown(grown.rss_bytes)} (at most {MAX_RSS_BYTES:,.0f})"
    )
    is_paid_once = not (totals.lost or totals.doubled)
    is_closed = left == Held(0, 0, 0) and not tasks and not totals.unclosed
    return is_paid_once and is_closed and grown.is_within_bounds


def _shown(found: float | None) -> str:
    return "not judged" if found is None else f"{found:,.0f}"


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.soak")
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--seconds", type=float, default=None, help="instead of --minutes")
    options.add_argument("--seed", type=int, default=None)
    given = options.parse_args()
    seconds = 60 * given.minutes if given.seconds is None else given.seconds
    seed = Random().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    # It warns of what is done to it, as it should.
    logging.getLogger("kling_effects_async").addHandler(logging.NullHandler())
    samples: list[Sample] = []
    before = held_now()
    with tempfile.TemporaryDirectory() as name:
        totals, tasks = asyncio.run(_soak(seconds, seed, Path(name), samples))
    is_right = report(totals, tasks, held_now().beyond(before), growth(samples))
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
