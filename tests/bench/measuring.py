"""Measures rows: every order once per repeat, ours and plain in turn, calm rows all together."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import median

from attrs import frozen

from tests.bench.children import OrderFailedError, figures_of
from tests.bench.orders import Figures, Order
from tests.bench.rows import Row

__all__ = ["Measured", "measured", "say"]


@frozen
class Measured:
    """A row with its figures; empty ones where a side failed."""

    row: Row
    ours: Figures
    plain: Figures


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


async def measured(rows: Iterable[Row], *, is_uvloop: bool) -> list[Measured]:
    """Each row's medians, in the rows' order."""
    done: list[Measured] = []
    for is_calm, part in groupby(rows, key=lambda row: row.is_calm):
        together = list(part)
        groups = [together] if is_calm else [[row] for row in together]
        for group in groups:
            done += await _group(group, is_uvloop)
    return done


async def _group(rows: Sequence[Row], is_uvloop: bool) -> list[Measured]:
    """Rows whose orders run side by side; orders they share are done once."""
    found: dict[Order, list[list[Figures]]] = {}
    repeats = rows[0].repeats
    ours = list(dict.fromkeys(row.ours for row in rows))
    plain = list(dict.fromkeys(row.plain for row in rows))
    for repeat in range(repeats):
        note = f" ({repeat + 1} of {repeats})" if repeats > 1 else ""
        turns = [[*ours, *plain]] if rows[0].is_calm else [ours, plain]
        for turn in turns:
            sides = " and ".join(dict.fromkeys(order.side for order in turn))
            say(f"{rows[0].letter}: {rows[0].title}: {sides}{note}")
            again = [order for order in turn if all(found.get(order, ()))]  # none failed
            results = await asyncio.gather(*(_one(order, is_uvloop) for order in again))
            for order, batches in zip(again, results, strict=True):
                found.setdefault(order, []).append(batches)
    return [
        Measured(row, _medians(found[row.ours], row.batch), _medians(found[row.plain], 0))
        for row in rows
    ]


async def _one(order: Order, is_uvloop: bool) -> list[Figures]:
    began = time.monotonic()
    try:
        batches = await figures_of(order, is_uvloop=is_uvloop)
    except OrderFailedError as error:
        say(f"   {order.side} failed: {error}")
        return []
    say(f"   {order.side} took {time.monotonic() - began:.0f} s")
    return batches


def _medians(runs: Sequence[Sequence[Figures]], batch: int) -> Figures:
    """Figure by figure; of a run that failed there is nothing."""
    chosen = [batches[batch] for batches in runs if len(batches) > batch]
    names = chosen[0] if chosen else ()
    return {name: median(figures[name] for figures in chosen) for name in names}
