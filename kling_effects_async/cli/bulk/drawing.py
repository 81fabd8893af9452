"""Rows for a run: drawn from their files, and converted where that is wanted, in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from attrs import evolve

import kling_effects_async as kling
from kling_effects_async.cli.bulk.row import Row, prepared

__all__ = ["drawn"]

# A call of a thread costs as much as reading so many rows; read by themselves they would be late.
_AT_ONCE = 100


async def drawn(rows: Iterable[Row]) -> AsyncIterator[Row]:
    """The rows, some read ahead, without blocking the event loop: a source for ``run_many``.

    Those that are to be prepared are converted when they are drawn, one at a time. One that cannot
    be comes as it is: the run rejects its image itself, and goes on with the others.

    Raises:
        Failure: what is read is wrong now, or has changed.
    """
    iterator, number = iter(rows), 0
    while batch := await asyncio.to_thread(_some, iterator):
        for row in batch:
            number += 1
            numbered = evolve(row, number=number)
            yield await asyncio.to_thread(_prepared, numbered) if row.is_to_prepare else numbered


def _prepared(row: Row) -> Row:
    try:
        return prepared(row)
    except (kling.ImageRejectedError, kling.ImageUnreadableError):
        return row


def _some(iterator: Iterable[Row]) -> list[Row]:
    return list(islice(iterator, _AT_ONCE))
