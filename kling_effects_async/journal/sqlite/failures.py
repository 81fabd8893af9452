"""What SQLite's errors mean: for a batch of operations, and for the caller."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from kling_effects_async.errors import (
    JournalBusyError,
    JournalDamagedError,
    JournalError,
    JournalFullError,
)

__all__ = ["RowDamagedError", "damage", "explained", "is_damage", "is_fatal"]

# SQLite's primary result codes by what follows for the caller.
# Source: sqlite.org, "Result and Error Codes".
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_TAKEN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_OUT_OF_REACH = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY}
_FATAL = _DAMAGED | _FULL | _TAKEN | _OUT_OF_REACH
# What Python's sqlite3 says, without a code, of a text that is none.
_UNDECODABLE = "Could not decode"


class RowDamagedError(sqlite3.DatabaseError):
    """One row cannot be read; the rest of the file may be whole."""


def damage(finding: str, kind: type[sqlite3.DatabaseError] = sqlite3.DatabaseError) -> Exception:
    """What SQLite itself would raise, had it met it."""
    error = kind(finding)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def is_fatal(error: Exception) -> bool:
    """Whether the next operation on the file would fail in the same way."""
    is_of_a_row = isinstance(error, RowDamagedError)
    return isinstance(error, sqlite3.Error) and _code(error) in _FATAL and not is_of_a_row


def is_damage(error: Exception) -> bool:
    """Whether the error shows that the file, or a text in it, is damaged."""
    is_no_text = isinstance(error, UnicodeDecodeError) or str(error).startswith(_UNDECODABLE)
    return _code(error) in _DAMAGED or is_no_text


def explained(error: Exception, path: Path) -> Exception:
    """The error for the caller, in the journal's words where it is SQLite's or the system's."""
    if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
        ours: JournalError = _sqlite_failure(error, path)
    elif isinstance(error, OSError):
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = f"cannot open {path}: {error.strerror or error}"
        ours = (JournalFullError if is_full else JournalError)(what)
    else:
        return error
    ours.__cause__ = error
    return ours


def _sqlite_failure(error: Exception, path: Path) -> JournalError:
    code = _code(error)
    if is_damage(error):
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


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # Python's own errors have none
