"""``python -m tests.bench``; see the package's docstring."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from tests.bench.measuring import measured, say
from tests.bench.profiling import profile_polls
from tests.bench.rows import ROWS
from tests.bench.saved import changes, machine, read, save
from tests.bench.table import table

_LETTERS = sorted({row.letter for row in ROWS})


def _letters(text: str) -> set[str]:
    letters = set(text.replace(",", ""))
    if not letters <= set(_LETTERS):
        raise argparse.ArgumentTypeError(f"rows are {', '.join(_LETTERS)}")
    return letters


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=_letters, default=set(_LETTERS), metavar="a,b,...")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="compare with saved figures")
    parser.add_argument("--uvloop", action="store_true", help="run the clients on uvloop")
    parser.add_argument("--profile", action="store_true", help="profile one poll, and no rows")
    return parser.parse_args()


async def _main(given: argparse.Namespace) -> int:
    here = machine(is_uvloop=given.uvloop)
    print(here, flush=True)
    if given.profile:
        await profile_polls(is_uvloop=given.uvloop)
        return 0
    before = read(given.compare) if given.compare else None
    began = time.monotonic()
    rows = [row for row in ROWS if row.letter in given.rows]
    done = await measured(rows, is_uvloop=given.uvloop)
    say(f"all took {time.monotonic() - began:.0f} s")
    print(table(done))
    if given.json:
        save(given.json, done, machine=here)
    if before is not None:
        print(f"\n{changes(before, done)}")
    return 0 if all(each.ours and each.plain for each in done) else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(_main(_arguments())))
