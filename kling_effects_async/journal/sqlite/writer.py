"""One thread that writes for everybody, so that one trip to the disk serves hundreds of writes.

A caller puts an operation into the queue and awaits its future. The thread takes all that waits (up
to a limit), runs it in one transaction, commits, and only then resolves the futures: a result means
that it is durable. An operation that fails leaves the others alone, because it writes with one
statement at most, and SQLite undoes a failing statement as a whole. Operations that only read take
part in their turn, so everybody reads what was written before.

A cancelled future does not stop its operation. Where the event loop of a future is closed, nobody
waits for its result.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from kling_effects_async.journal.sqlite.failures import is_fatal

__all__ = ["File", "Operation", "Writer"]

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

# More gains nothing, and the first of a batch waits for the last.
BATCH_LIMIT = 512


class File(Protocol):
    """An open journal file, which lives on the writer's thread; see ``JournalFile``."""

    connection: sqlite3.Connection
    misses_rows: bool

    def verify_ownership(self) -> None:
        """Inside the transaction of a batch: raise if nothing may be written any more."""

    def committed(self) -> None:
        """After the transaction of a batch, and before its futures are resolved."""

    def explain(self, error: Exception) -> Exception:
        """The error for the caller; the same one if its message says enough."""

    def close(self) -> None: ...


class _Item(Generic[T]):
    """An operation, and the future of its caller."""

    __slots__ = ("error", "future", "loop", "operation", "value", "writes")

    def __init__(self, operation: Operation[T], writes: bool) -> None:
        self.operation = operation
        self.writes = writes
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self.value: T | None = None
        self.error: Exception | None = None


class Writer:
    """The thread and its queue.

    Args:
        open_file: runs on the thread, first of all; what it raises is what ``start`` raises.
    """

    def __init__(self, open_file: Callable[[], File]) -> None:
        self._open_file = open_file
        # Its put() may be called in a destructor, while another put() runs in the same thread.
        self._queue: queue.SimpleQueue[_Item[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._main, name="kling-effects-journal", daemon=True
        )
        self._pid = os.getpid()
        self._is_gone = False
        self.misses_rows: bool = False

    async def start(self) -> None:
        """Open the file on the thread; when this is cancelled, the thread closes it again."""
        opened = self.submit(_nothing, writes=False)
        self._thread.start()
        try:
            await opened
        except asyncio.CancelledError:
            self.stop()
            raise

    def submit(self, operation: Operation[T], *, writes: bool) -> asyncio.Future[T]:
        """Queue an operation; the future is of the running loop, which may be any.

        Raises:
            RuntimeError: the thread has ended, or lives in the parent of this forked process.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("the journal belongs to the parent process: open it again here")
        item = _Item(operation, writes)
        self._queue.put(item)
        if (
            self._is_gone
        ):  # checked after the put: `_fail_waiting` sets it first and empties the queue then
            raise _closed()
        return item.future

    def stop(self) -> None:
        """Have the thread end once everything in the queue is done; returns at once."""
        self._queue.put(None)

    async def join(self) -> None:
        """Wait for the thread's end."""
        await asyncio.to_thread(self._thread.join)

    # -- on the thread

    def _main(self) -> None:
        reason: Exception = _closed()
        try:
            file = self._open_file()
            self.misses_rows = file.misses_rows  # before ``start`` returns
            try:
                self._serve(file)
            finally:
                file.close()
        except Exception as error:
            # The outermost edge of the thread: whoever waits gets it.
            reason = error
        finally:
            self._fail_waiting(reason)

    def _serve(self, file: File) -> None:
        is_running = True
        while is_running:
            batch, is_running = self._next_batch()
            if any(item.writes for item in batch):
                _write(file, batch)
            else:
                _read(file, batch)
            _deliver(batch)

    def _next_batch(self) -> tuple[list[_Item[Any]], bool]:
        """What waits in the queue; ``False`` at the end of it all."""
        batch: list[_Item[Any]] = []
        with suppress(queue.Empty):
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if len(batch) >= BATCH_LIMIT:
                    return batch, True
                item = self._queue.get_nowait()
            return batch, False
        return batch, True

    def _fail_waiting(self, reason: Exception) -> None:
        self._is_gone = True
        batch: list[_Item[Any]] = []
        with suppress(queue.Empty):
            while True:
                item = self._queue.get_nowait()
                if item is not None:
                    item.error = reason
                    batch.append(item)
        _deliver(batch)


def _write(file: File, batch: list[_Item[Any]]) -> None:
    try:
        _transact(file, batch)
    except Exception as error:
        # Nothing of the batch was written; what only reads can still do so.
        for item in batch:
            if item.writes:
                item.error = file.explain(error)
        _read(file, [item for item in batch if not item.writes])


def _transact(file: File, batch: Iterable[_Item[Any]]) -> None:
    connection = file.connection
    # A deferred transaction would find another writer only in the middle of the batch.
    connection.execute("BEGIN IMMEDIATE")
    try:
        file.verify_ownership()
        for item in batch:
            _attempt(file, item)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it itself on some errors of the disk
            connection.execute("ROLLBACK")
        raise
    file.committed()  # after the commit: a number that is ahead would look like a loss


def _attempt(file: File, item: _Item[Any]) -> None:
    try:
        item.value = item.operation(file.connection)
    except Exception as error:
        # The edge of one operation: its caller gets the error, and the others go on.
        if is_fatal(error):
            raise
        item.error = file.explain(error)


def _read(file: File, batch: Iterable[_Item[Any]]) -> None:
    for item in batch:
        item.error = None
        try:
            item.value = item.operation(file.connection)
        except Exception as error:
            # As above: the edge of one operation.
            item.error = file.explain(error)


def _deliver(batch: Iterable[_Item[Any]]) -> None:
    """Schedule one callback a loop for the whole batch: to wake a loop is what costs."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Item[Any]]] = {}
    for item in batch:
        by_loop.setdefault(item.loop, []).append(item)
    for loop, items in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed, and nobody waits in it
            loop.call_soon_threadsafe(_settle, items)


def _settle(batch: Iterable[_Item[Any]]) -> None:
    for item in batch:
        if item.future.done():
            continue  # cancelled; its operation is done all the same
        if item.error is not None:
            item.future.set_exception(item.error)
        else:
            item.future.set_result(item.value)


def _nothing(_connection: sqlite3.Connection) -> None:
    """The operation of waiting for one's turn."""


def _closed() -> RuntimeError:
    return RuntimeError("journal is closed: use it within `async with Journal(...)`")
