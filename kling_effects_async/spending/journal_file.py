"""Opening the journal's file, closing it, and saying what its errors mean.

Opening goes: the machine's lock; the marker of an earlier damage; version and damage, read without
changing a byte; migrations; the lease.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timedelta
from pathlib import Path

from kling_effects_async.errors import (
    JournalBusyError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalVersionError,
)
from kling_effects_async.spending import lease, schema
from kling_effects_async.spending.damage import move_aside, refuse_after_damage

__all__ = ["JournalFile", "open_for_reading", "open_for_writing"]

Now = Callable[[], datetime]

# SQLite's primary result codes by what follows for the caller.
# Source: sqlite.org, "Result and Error Codes".
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_TAKEN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_OUT_OF_REACH = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY}
_SPOILING = _DAMAGED | _FULL | _TAKEN | _OUT_OF_REACH


class JournalFile:
    """An open journal; all of it belongs to the thread that opened it.

    Args:
        here: we as its owner; ``None`` if it is open for reading.
        undo: what closing has to undo, the last thing first.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        now: Now,
        here: lease.Owner | None = None,
        heartbeat_s: float = lease.HEARTBEAT_S,
        undo: ExitStack | None = None,
    ) -> None:
        self.connection = connection
        self._inode = _inode(path)
        self._path = path
        self._now = now
        self._here = here
        self._heartbeat = timedelta(seconds=heartbeat_s)
        self._seen_at = now()
        self._undo = undo or ExitStack()

    def guard(self) -> None:
        """Make sure that the journal is still ours, and say now and then that we are alive."""
        if self._here is None:
            return  # open for reading: nobody's business
        if _inode(self._path) != self._inode:
            raise JournalError(
                f"{self._path} was moved or deleted while it was open; what is written now would "
                "be lost. Put it back and open it again"
            )
        if not lease.is_ours(self.connection, self._here):
            raise lease.busy(lease.owner_of(self.connection))
        now = self._now()
        if abs(now - self._seen_at) >= self._heartbeat:
            lease.beat(self.connection, self._here, now)
            self._seen_at = now

    def spoils_batch(self, error: Exception) -> bool:
        """Whether the next act would meet the same trouble."""
        return isinstance(error, sqlite3.Error) and (_code(error) in _SPOILING)

    def explain(self, error: Exception) -> Exception:
        """The error for the caller, in the journal's words where it is SQLite's."""
        return _explained(error, self._path)

    def close(self) -> None:
        """Give up the lease and let go of the file."""
        with suppress(sqlite3.Error):  # then the row stays, and the lock tells that we are gone
            if self._here is not None:
                lease.release(self.connection, self._here)
        self.connection.close()
        self._undo.close()


def open_for_writing(
    path: str | os.PathLike[str], *, now: Now, start_fresh: bool, heartbeat_s: float
) -> JournalFile:
    """Open the journal, or make it, and own it.

    Raises:
        JournalError: or one of its kinds; see their docstrings for what to do.
    """
    place = Path(os.path.abspath(path))
    try:
        return _own(place, now, start_fresh, heartbeat_s)
    except (OSError, sqlite3.Error) as error:
        raise _explained(error, place) from error


def open_for_reading(path: str | os.PathLike[str], *, now: Now) -> JournalFile:
    """Open an existing journal next to its owner, who does not notice.

    Raises:
        JournalError: or one of its kinds.
    """
    place = Path(os.path.abspath(path))
    if not place.exists():
        raise JournalError(f"there is no journal at {place}")
    try:
        _refuse_older(place, schema.check(place, thoroughly=False))
        return JournalFile(place, schema.connect_for_reading(place), now=now)
    except sqlite3.Error as error:
        raise _explained(error, place) from error


def _own(place: Path, now: Now, start_fresh: bool, heartbeat_s: float) -> JournalFile:
    with ExitStack() as undo:
        lock = _lock(place)
        undo.callback(lock.release)
        refuse_after_damage(place, start_fresh=start_fresh)
        connection = undo.enter_context(closing(_open_whole(place, now())))
        here = lease.this_process(now())
        lease.take(connection, here, is_locked=lock.is_held)
        stays = undo.pop_all()
    return JournalFile(place, connection, now=now, here=here, heartbeat_s=heartbeat_s, undo=stays)


def _lock(place: Path) -> lease.Lock:
    try:
        return lease.Lock(place.with_name(f"{place.name}.lock"))
    except BlockingIOError as error:
        raise lease.busy(_owner(place)) from error


def _owner(place: Path) -> lease.Owner | None:
    """Who the file says owns it; ``None`` where it does not say (yet)."""
    try:
        with closing(schema.connect_for_reading(place)) as connection:
            return lease.owner_of(connection)
    except sqlite3.Error:
        return None


def _open_whole(place: Path, now: datetime) -> sqlite3.Connection:
    """A connection to the file in our version, if the file is whole."""
    schema.create(place)
    try:
        schema.roll_back(place)
        version = schema.check(place, thoroughly=True)
        connection = schema.connect(place)
    except sqlite3.DatabaseError as error:
        if _code(error) not in _DAMAGED:
            raise
        raise move_aside(place, error, at=now) from error
    try:
        schema.migrate(connection, place, version=version, stamp=schema.stamp_of(now))
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_older(place: Path, version: int) -> None:
    if version < schema.VERSION:
        raise JournalVersionError(
            f"{place} has journal version {version}: open it for writing once to bring it to "
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


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # Python's own errors have none


def _explained(error: Exception, path: Path) -> Exception:
    if isinstance(error, sqlite3.Error):
        told = _trouble(error, path)
    elif isinstance(error, OSError):
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        told = (JournalFullError if is_full else JournalError)(f"cannot open {path}: {error}")
    else:
        return error
    told.__cause__ = error
    return told


def _trouble(error: sqlite3.Error, path: Path) -> JournalError:
    code = _code(error)
    if code in _FULL:
        return JournalFullError(
            f"{path} cannot be written ({error}): submit nothing until there is room; what is "
            "paid already can still be waited for"
        )
    if code in _DAMAGED:
        return JournalDamagedError(
            f"{path} is damaged ({error}): close it, and the next opening moves it aside",
            path=path,
        )
    if code in _TAKEN:
        return JournalBusyError(f"another program holds {path} ({error}): end it, and try again")
    return JournalError(f"{path}: {error}")
