"""Rows for a run: drawn from their files, and converted where that is wanted, in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from kling_effects_async.cli.bulk.row import Row

__all__ = ["drawn"]

# A call of a thread costs as much as reading so many rows; read by themselves they would be late.
_AT_ONCE = 100


async def drawn(rows: Iterable[Row]) -> AsyncIterator[Row]:
    """The rows, some read ahead, without blocking the event loop: a source for ``run_many``.

    Raises:
        Failure: what is read is wrong now, or has changed.
    """
    iterator = iter(rows)
    while batch := await asyncio.to_thread(_some, iterator):
        for row in batch:
            yield row


def _some(iterator: Iterable[Row]) -> list[Row]:
    return list(islice(iterator, _AT_ONCE))
