"""The manifest of the rows that failed, begun with the first of them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from kling_effects_async.cli.bulk.row import Row
from kling_effects_async.cli.bulk.row_writer import Write, row_writer

__all__ = ["FailedRows"]


class FailedRows:
    """Writes rows that failed; the file is there, whole, once the exits are closed.

    Attributes:
        path: the file; ``None`` while nothing has failed.
    """

    def __init__(self, path: Path, exits: ExitStack) -> None:
        self.path: Path | None = None
        self._planned = path
        self._exits = exits
        self._write: Write | None = None

    def add(self, row: Row, reason: str) -> None:
        """Write one."""
        if self._write is None:
            self._write = self._exits.enter_context(row_writer(self._planned))
            self.path = self._planned
        self._write(row, {"reason": reason})
