"""Opening the journal's file, closing it, and saying what its errors mean.

Opening goes: what kind of file it is; the machine's lock; the marker of an earlier damage; version
and damage, read without changing a byte; migrations; the lease; whether commits are missing.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path

from kling_effects_async.errors import (
    JournalBusyError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalVersionError,
)
from kling_effects_async.journal.paths import (
    has_our_header,
    journal_path,
    reject_foreign,
)
from kling_effects_async.journal.sqlite import commits, ownership, schema
from kling_effects_async.journal.sqlite.lock import Lock, number_beside
from kling_effects_async.journal.sqlite.network_share import warn_of_network_share
from kling_effects_async.journal.sqlite.quarantine import move_aside, reject_after_damage

__all__ = ["JournalFile", "open_for_reading", "open_for_writing"]

_log = logging.getLogger(__name__)

Now = Callable[[], datetime]

# SQLite's primary result codes by what follows for the caller.
# Source: sqlite.org, "Result and Error Codes".
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_TAKEN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_OUT_OF_REACH = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY}
_FATAL = _DAMAGED | _FULL | _TAKEN | _OUT_OF_REACH
# What Python's sqlite3 says, without a code, of a text that is none.
_UNDECODABLE = "Could not decode"


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

    def is_fatal(self, error: Exception) -> bool:
        """Whether the next operation would fail in the same way."""
        is_of_a_row = isinstance(error, schema.RowDamagedError)
        return isinstance(error, sqlite3.Error) and _code(error) in _FATAL and not is_of_a_row

    def explain(self, error: Exception) -> Exception:
        """The error for the caller, in the journal's words where it is SQLite's."""
        return _explained(error, self._path)

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
        raise _explained(error, path) from error


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
        raise _explained(error, path) from error


def _read(path: Path) -> JournalFile:
    beside = number_beside(path)  # before the database, see `seen_by_reader`
    _reject_older(path, schema.check(path, thoroughly=False, is_ours=beside is not None))
    connection = schema.connect_for_reading(path)
    with ExitStack() as undo:
        undo.callback(connection.close)
        file = JournalFile(path, connection, held=commits.seen_by_reader(connection, beside))
        undo.pop_all()
    return file


def _own(path: Path, now: Now, *, start_fresh: bool) -> JournalFile:
    with ExitStack() as undo:
        lock = _lock(path)
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
        with closing(schema.connect_for_reading(path)) as connection:
            return ownership.owner_of(connection)
    except sqlite3.Error:
        return None


def _open_whole(path: Path, lock: Lock, now: datetime) -> tuple[sqlite3.Connection, int | None]:
    """A connection to the file in our version, if the file is whole, and the number beside it."""
    schema.create(path)
    try:
        _reject_log_without_database(path)
        schema.roll_back(path)
        version = schema.check(path, thoroughly=True, is_ours=lock.number is not None)
        beside = _number_of(lock, version)
        connection = schema.connect(path)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if not _is_damage(error):
            raise
        raise _damaged(path, lock, error, now) from error
    try:
        schema.migrate(connection, path, version=version, stamp=schema.stamp_of(now))
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
        raise schema.damage("it is empty, and the log of its last writes is not")


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


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # Python's own errors have none


def _is_damage(error: Exception) -> bool:
    is_no_text = isinstance(error, UnicodeDecodeError) or str(error).startswith(_UNDECODABLE)
    return _code(error) in _DAMAGED or is_no_text


def _explained(error: Exception, path: Path) -> Exception:
    if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
        explained = _sqlite_failure(error, path)
    elif isinstance(error, OSError):
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = f"cannot open {path}: {error.strerror or error}"
        explained = (JournalFullError if is_full else JournalError)(what)
    else:
        return error
    explained.__cause__ = error
    return explained


def _sqlite_failure(error: Exception, path: Path) -> JournalError:
    code = _code(error)
    if _is_damage(error):
        return JournalDamagedError(
            f"{path} is damaged ({error}), and nothing was sent for this: close it and open it "
            "again; if it is not moved aside then, rename it. In the journal that begins in its "
            "path each job is looked up before it is submitted",
            path=path,
        )
    if code in _FULL:
        return JournalFullError(
            f"{path} cannot be written ({error}): submit nothing until there is room; what is "
            "paid already can still be waited for"
        )
    if code in _TAKEN:
        return JournalBusyError(f"another program holds {path} ({error}): end it, and try again")
    return JournalError(f"{path}: {error}")
