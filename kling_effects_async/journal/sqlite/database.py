"""Opening the journal's file, closing it, and saying what its errors mean.

Opening goes: what kind of file it is; the machine's lock; the marker of an earlier damage; version
and damage, read without changing a byte; migrations; the lease; whether commits are missing.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path

from kling_effects_async.errors import (
    JournalError,
    JournalVersionError,
)
from kling_effects_async.journal.paths import (
    has_our_header,
    journal_path,
    reject_foreign,
)
from kling_effects_async.journal.sqlite import commits, failures, ownership, schema, sqlite_file
from kling_effects_async.journal.sqlite.lock import Lock, number_beside
from kling_effects_async.journal.sqlite.network_share import warn_of_network_share
from kling_effects_async.journal.sqlite.quarantine import move_aside, reject_after_damage
from kling_effects_async.journal.sqlite.times import stamp_of
from kling_effects_async.log_fields import log_fields

__all__ = ["JournalFile", "open_for_reading", "open_for_writing"]

_log = logging.getLogger(__name__)

Now = Callable[[], datetime]


class JournalFile:
    """An open journal; all of it belongs to the thread that opened it.

    Args:
        held: its commits when it was opened.
        here: we as its owner, and ``lock`` our lock; ``None`` if it is open for reading.
        undo: what closing has to undo, the last thing first.

    Attributes:
        misses_rows: commits were lost, before this opening or an earlier one.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        held: commits.Commits,
        here: ownership.Owner | None = None,
        lock: Lock | None = None,
        undo: ExitStack | None = None,
    ) -> None:
        self.connection = connection
        self.misses_rows: bool = held.misses_rows
        self._inode = _inode(path)
        self._path = path
        self._here = here
        self._lock = lock
        self._number = held.number
        self._undo = undo or ExitStack()

    def verify_ownership(self) -> None:
        """Make sure that the journal is still ours, and number the transaction."""
        if self._here is None:
            return  # open for reading: there is nothing to protect
        # Linux lets an open file be moved or deleted, and SQLite goes on writing to it.
        if _inode(self._path) != self._inode:
            raise JournalError(
                f"{self._path} was moved or deleted while it was open; what is written now would "
                "be lost. Put it back and open it again"
            )
        if not commits.advance(self.connection, self._number + 1, self._here.token):
            raise ownership.busy(ownership.owner_of(self.connection))

    def committed(self) -> None:
        """Note the number beside the database: a log that gets lost is missed from now on."""
        self._number += 1
        if self._lock is not None:
            self._lock.note(self._number)

    def explain(self, error: Exception) -> Exception:
        """The error for the caller, in the journal's words where it is SQLite's."""
        return failures.explained(error, self._path)

    def close(self) -> None:
        """Release the lease, and close the file."""
        with suppress(
            sqlite3.Error
        ):  # then the row stays, and the free lock shows that we are gone
            if self._here is not None:
                ownership.release(self.connection, self._here)
        self.connection.close()
        self._undo.close()


def open_for_writing(
    given: str | os.PathLike[str], *, now: Now, start_fresh: bool = False
) -> JournalFile:
    """Open the journal, or make it, and own it.

    Raises:
        JournalError: or one of its kinds; see their docstrings for what to do.
    """
    path = Path(given)
    try:
        path = journal_path(given)
        reject_foreign(path)
        return _own(path, now, start_fresh=start_fresh)
    except (OSError, sqlite3.Error) as error:
        raise failures.explained(error, path) from error


def open_for_reading(given: str | os.PathLike[str]) -> JournalFile:
    """Open an existing journal next to its owner, who does not notice.

    Raises:
        JournalError: or one of its kinds.
    """
    path = Path(given)
    try:
        path = journal_path(given)
        if not path.exists():
            raise JournalError(f"there is no journal at {path}")
        reject_foreign(path)
        return _read(path)
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        raise failures.explained(error, path) from error


def _read(path: Path) -> JournalFile:
    beside = number_beside(path)  # before the database, see `seen_by_reader`
    _reject_older(path, sqlite_file.check(path, thoroughly=False, is_ours=beside is not None))
    connection = sqlite_file.connect_for_reading(path)
    with ExitStack() as undo:
        undo.callback(connection.close)
        file = JournalFile(path, connection, held=commits.seen_by_reader(connection, beside))
        undo.pop_all()
    return file


def _own(path: Path, now: Now, *, start_fresh: bool) -> JournalFile:
    with ExitStack() as undo:
        lock = _lock(path)  # before anything is read that another owner could change
        undo.callback(lock.release)
        reject_after_damage(path, start_fresh=start_fresh)
        connection, beside = _open_whole(path, lock, now())
        undo.callback(connection.close)
        here = ownership.this_process(now())
        ownership.take(connection, here)
        undo.callback(ownership.mark_closed, here)
        held = _begin(connection, path, lock, beside)
        warn_of_network_share(path)
        return JournalFile(path, connection, held=held, here=here, lock=lock, undo=undo.pop_all())


def _begin(
    connection: sqlite3.Connection, path: Path, lock: Lock, beside: int | None
) -> commits.Commits:
    held, lost = commits.begin(connection, path, beside)
    if lost is not None:
        _log.warning(
            "%s: jobs may have been written down and paid for that are not in it any more, so each "
            "job is looked up at the service before it is submitted",
            lost,
            extra=log_fields("journal.commits_lost", path=str(path)),
        )
    lock.keep(held.number)
    # The database itself says from now on that it is ours, has an owner, and was written to.
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return held


def _lock(path: Path) -> Lock:
    try:
        return Lock(path)
    except BlockingIOError as error:
        raise ownership.busy(_owner(path)) from error


def _owner(path: Path) -> ownership.Owner | None:
    """Who the file says owns it; ``None`` where it does not say (yet)."""
    try:
        with closing(sqlite_file.connect_for_reading(path)) as connection:
            return ownership.owner_of(connection)
    except sqlite3.Error:
        return None


def _open_whole(path: Path, lock: Lock, now: datetime) -> tuple[sqlite3.Connection, int | None]:
    """A connection to the file in our version, if the file is whole, and the number beside it."""
    sqlite_file.create(path)
    try:
        _reject_log_without_database(path)
        sqlite_file.roll_back(path)
        version = sqlite_file.check(path, thoroughly=True, is_ours=lock.number is not None)
        beside = _number_of(lock, version)
        connection = sqlite_file.connect(path)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if not failures.is_damage(error):
            raise
        raise _damaged(path, lock, error, now) from error
    try:
        sqlite_file.migrate(connection, path, version=version, stamp=stamp_of(now))
    except BaseException:
        connection.close()
        raise
    return connection, beside


def _number_of(lock: Lock, version: int) -> int | None:
    """The number beside a database; one that is new, or older than the numbers, begins at 0."""
    if lock.number is None and version < schema.NUMBERED_SINCE:
        lock.keep(0)  # before the database has one, or a kill in between would look like a loss
        return 0
    return lock.number


def _reject_log_without_database(path: Path) -> None:
    """SQLite would delete the log of an empty file, and there the last writes are."""
    log = path.with_name(f"{path.name}-wal")
    if path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
        raise failures.damage("it is empty, and the log of its last writes is not")


def _damaged(path: Path, lock: Lock, error: Exception, now: datetime) -> JournalError:
    """Move a damaged journal aside, and leave another program's damaged database where it is."""
    is_ours = lock.number is not None or path.stat().st_size == 0 or has_our_header(path)
    if not is_ours:
        return JournalError(f"{path} is a damaged database, and no journal: choose another file")
    lock.keep(max(1, lock.number or 0))  # whatever begins in its path misses rows
    return move_aside(path, error, at=now)


def _reject_older(path: Path, version: int) -> None:
    if version < schema.VERSION:
        raise JournalVersionError(
            f"{path} has journal version {version}: open it for writing once to bring it to "
            f"{schema.VERSION}",
            ours=schema.VERSION,
            theirs=version,
        )


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
