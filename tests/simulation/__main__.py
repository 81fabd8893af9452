"""``python -m tests.simulation``; see the package's docstring."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator

from tests.simulation.planted import find_planted
from tests.simulation.script import Script
from tests.simulation.search import families, few_families, quick_families, real_families
from tests.simulation.work import (
    Count,
    by_families,
    by_seeds,
    make_quiet,
    run_counted,
    run_seeds,
    shrunk,
)

_SHOWN_EACH_S = 5.0
# The seeds of the second part are others than those of the first.
_LATER = 1_000_000
_FEW = 20


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.simulation")
    options.add_argument("--seconds", type=float, default=290.0, help="for random scripts, in all")
    options.add_argument("--seed", type=int, default=1, help="the first of the random scripts")
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options.add_argument("--quick", action="store_true", help="the most telling scripts alone")
    options.add_argument("--few", action="store_true", help="some of those, in this process")
    options.add_argument("--stop", action="store_true", help="stop at the first script that fails")
    options.add_argument("--replay", metavar="JSON", help="run one script")
    options.add_argument("--planted", action="store_true", help="find rules broken on purpose")
    given = options.parse_args()
    make_quiet()
    if given.planted:
        return find_planted()
    if given.replay is not None:
        try:
            script = Script.from_json(given.replay)
        except Exception as error:  # cattrs has a class of its own for each mistake
            options.error(f"--replay takes a line that a failing run printed: {error!r}")
        return _judge(run_counted(script), is_shrunk=True)
    return _judge(_sum_of(_counts(given), stops=given.stop))


def _counts(given: argparse.Namespace) -> Iterator[Count]:
    workers, until = given.workers, time.monotonic() + given.seconds
    if given.few:
        yield from by_families(few_families(), 1, float("inf"))
        yield run_seeds(range(given.seed, given.seed + _FEW))
        return
    # Some of each first, so that what is wrong is found early.
    yield from by_seeds(given.seed, workers, time.monotonic() + given.seconds / 20)
    yield from by_families(real_families(), workers, until)
    yield from by_families(quick_families(), workers, until)
    if given.quick:
        return
    yield from by_families(families(), workers, float("inf"))
    later = given.seed + _LATER
    yield from by_seeds(later, workers, until - given.seconds / 20)
    yield from by_seeds(later, workers, until, is_real=True)


def _sum_of(counts: Iterable[Count], *, stops: bool) -> Count:
    total, shown_at, began = Count(), time.monotonic(), time.monotonic()
    for count in counts:
        total += count
        if stops and not total.is_right:
            break
        if time.monotonic() - shown_at >= _SHOWN_EACH_S:
            shown_at = time.monotonic()
            print(f"  {shown_at - began:4.0f} s: {total}", file=sys.stderr, flush=True)
    return total


def _judge(total: Count, *, is_shrunk: bool = False) -> int:
    for script, what in total.failures:
        print(f"{what}\n  seed {script.seed}: {script.to_json()}")
        if not is_shrunk:
            smallest, what = shrunk(script, what)
            print(f"  shrunk: {what}")
            print(f"  python -m tests.simulation --replay '{smallest.to_json()}'")
    print(total)
    return 0 if total.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
