"""The open file of a journal, for everybody in this process that reads or writes it.

It may be used from several event loops and threads. An await that is cancelled does not take back
what it wrote.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from kling_effects_async.errors import JournalError
from kling_effects_async.journal.clip_numbers import ClipNumbers
from kling_effects_async.journal.sqlite.database import (
    JournalFile,
    open_for_reading,
    open_for_writing,
)
from kling_effects_async.journal.sqlite.writer import Operation, Writer
from kling_effects_async.journal.turns import Turns

__all__ = ["Connection"]

T = TypeVar("T")


def _system_now() -> datetime:
    return datetime.now(UTC)


class Connection:
    """One file, opened once; the arguments are those of ``Journal``.

    Attributes:
        turns: the turns at its jobs.
        numbers: how far the names of clips are numbered; for its thread.
    """

    _writer: Writer | None = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] | None = None,
        read_only: bool = False,
        start_fresh: bool = False,
    ) -> None:
        self._path = os.fspath(path)
        self.now: Callable[[], datetime] = clock or _system_now
        self._is_read_only = read_only
        self._start_fresh = start_fresh
        self.turns: Turns = Turns()
        self.numbers: ClipNumbers = ClipNumbers()

    @property
    def misses_rows(self) -> bool:
        """See ``Journal.misses_rows``."""
        return self._opened().misses_rows

    async def open(self) -> None:
        """See ``Journal.open``."""
        if self._writer is not None:
            raise RuntimeError("journal is open already")
        # Set before the await, so that a second `open` meanwhile is rejected.
        self._writer = Writer(self._opener())
        try:
            await self._writer.start()
        except BaseException:
            self._writer = None
            raise

    async def aclose(self) -> None:
        """See ``Journal.aclose``."""
        writer, self._writer = self._writer, None  # before the await: nothing is queued any more
        if writer is not None:
            writer.stop()
            await writer.join()

    def __del__(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            warnings.warn(
                f"unclosed journal {self._path!r}", ResourceWarning, stacklevel=2, source=self
            )

    async def write(self, operation: Operation[T]) -> T:
        """The result of an operation that is on the disk by now."""
        if self._is_read_only:
            raise JournalError(f"{self._path} is open for reading only")
        return await self._opened().submit(operation, writes=True)

    async def read(self, operation: Operation[T]) -> T:
        """The result of an operation that sees everything written before it."""
        return await self._opened().submit(operation, writes=False)

    def _opened(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("journal is closed: use it within `async with Journal(...)`")
        return self._writer

    def _opener(self) -> Callable[[], JournalFile]:
        """Without a reference to us, or the thread would keep a forgotten journal open."""
        if self._is_read_only:
            return partial(open_for_reading, self._path)
        return partial(open_for_writing, self._path, now=self.now, start_fresh=self._start_fresh)
