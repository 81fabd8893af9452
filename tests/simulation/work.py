"""Running many scripts, in several processes, with one count of all."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import TypeVar

from attrs import evolve, field, frozen

from tests.simulation.run import Result, run
from tests.simulation.script import Event, Script
from tests.simulation.search import Family, random_script, simpler

__all__ = ["Count", "by_families", "by_seeds", "make_quiet", "run_counted", "run_seeds", "shrunk"]

T = TypeVar("T")

# A script takes milliseconds, and to hand one over takes as long as a few.
_SEEDS_EACH = 50
_REAL_SEEDS_EACH = 5


@frozen
class Count:
    """What was run, and what failed.

    Attributes:
        failures: scripts that broke a rule, with what they broke; at most a few.
    """

    lives: int = 0
    points: int = 0
    paid_twice: int = 0
    lost: int = 0
    other: int = 0
    failures: tuple[tuple[Script, str], ...] = field(default=(), repr=False)

    def __add__(self, more: Count) -> Count:
        return Count(
            self.lives + more.lives,
            self.points + more.points,
            self.paid_twice + more.paid_twice,
            self.lost + more.lost,
            self.other + more.other,
            (*self.failures, *more.failures)[:3],
        )

    @property
    def is_right(self) -> bool:
        return not (self.paid_twice or self.lost or self.other)

    def __str__(self) -> str:
        others = f", {self.other} otherwise wrong" if self.other else ""
        return (
            f"{self.lives:,} lives, {self.points:,} crash points, "
            f"{self.paid_twice} paid twice, {self.lost} lost{others}"
        )


def counted(script: Script, result: Result) -> Count:
    """One run."""
    what = result.violations[0] if result.violations else ""
    is_twice, is_lost = "paid twice" in what, "lost" in what
    return Count(
        lives=result.lives,
        points=result.deaths,
        paid_twice=int(is_twice),
        lost=int(is_lost),
        other=int(bool(what) and not is_twice and not is_lost),
        failures=((script, what),) if what else (),
    )


def run_counted(script: Script) -> Count:
    """Run it; a fault of the simulator itself counts as a failure."""
    return counted(script, _run(script))


def _run(script: Script) -> Result:
    try:
        if not script.needs_folder:
            return run(script)
        with tempfile.TemporaryDirectory() as folder:
            return run(script, Path(folder))
    except Exception:  # delivered as what came of the run
        return Result(1, 0, 0, 0, (f"a fault: {traceback.format_exc(limit=-4)}",))


def run_family(family: Family) -> Count:
    """The script alone, and with an event at each of its points, or steps."""
    whole = _run(family.script)
    count = counted(family.script, whole)
    for kind in family.kinds:
        for at in range(1, (whole.points if kind == "die" else whole.steps) + 1):
            count += run_counted(evolve(family.script, events=(Event(kind, at),)))
    return count


def run_seeds(seeds: range, *, is_real: bool = False) -> Count:
    count = Count()
    for seed in seeds:
        count += run_counted(evolve(random_script(seed), is_real=is_real))
    return count


def by_families(families: Iterable[Family], workers: int, until: float) -> Iterator[Count]:
    """Counts of whole families, as they come; after ``until`` no more is begun."""
    yield from _spread(run_family, families, workers, until)


def by_seeds(first: int, workers: int, until: float, *, is_real: bool = False) -> Iterator[Count]:
    """Counts of random scripts from this seed on, until the time is over."""
    each = _REAL_SEEDS_EACH if is_real else _SEEDS_EACH
    ranges = (range(start, start + each) for start in count_from(first, each))
    yield from _spread(partial(run_seeds, is_real=is_real), ranges, workers, until)


def _spread(
    work: Callable[[T], Count], items: Iterable[T], workers: int, until: float
) -> Iterator[Count]:
    in_time = _until(items, until)
    if workers == 1:
        yield from map(work, in_time)
        return
    with multiprocessing.get_context("fork").Pool(workers, make_quiet) as pool:
        # A few at a time: ``imap`` alone would draw all items at once, whatever the time is.
        while batch := list(islice(in_time, 8 * workers)):
            yield from pool.imap_unordered(work, batch)


def _until(items: Iterable[T], moment: float) -> Iterator[T]:
    for item in items:
        if time.monotonic() >= moment:
            return
        yield item


def make_quiet() -> None:
    """The dead are collected at any time, and complain: their coroutines never came to an end."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _unraisable: None
    gc.set_threshold(20_000)


def shrunk(script: Script, what: str) -> tuple[Script, str]:
    """The smallest script on the way that still breaks a rule, and what it breaks."""
    while True:
        for smaller in filter(lambda each: each.is_fair, simpler(script)):
            failures = run_counted(smaller).failures
            if failures:
                script, what = failures[0]
                break
        else:
            return script, what
