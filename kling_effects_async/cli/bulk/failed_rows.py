"""The manifest of the rows that failed, begun with the first of them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from kling_effects_async.cli.bulk.row import Row
from kling_effects_async.cli.bulk.row_writer import Write, row_writer

__all__ = ["FailedRows"]


class FailedRows:
    """Writes rows that failed, in threads; the file is there, whole, after the block.

    Attributes:
        path: the file; ``None`` while nothing has failed.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path | None = None
        self._planned = path
        self._exits = ExitStack()
        self._write: Write | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        # Also after a Ctrl-C: what failed until then has failed.
        await asyncio.to_thread(self._exits.close)

    async def add(self, row: Row, reason: str) -> None:
        """Write one."""
        await asyncio.to_thread(self._add, row, reason)

    def _add(self, row: Row, reason: str) -> None:
        if self._write is None:
            self._write = self._exits.enter_context(row_writer(self._planned))
            self.path = self._planned
        self._write(row, {"reason": reason})
