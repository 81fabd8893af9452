"""Which file a journal is, and what is no journal and must not be touched.

A journal is known by its real path: two links to one file are one journal. Everything here reads
and does not change, make or lock anything.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from kling_effects_async.downloading.replaceable import irreplaceable_kind
from kling_effects_async.errors import JournalError
from kling_effects_async.journal.sqlite import schema, sqlite_file
from kling_effects_async.journal.sqlite.lock import number_beside

__all__ = ["has_our_header", "journal_path", "reject_foreign"]

# A database begins with 100 bytes of header, and its first page has 512 at least.
# Source: sqlite.org, "Database File Format", 1.3.
_SMALLEST = 512
_MAGIC, _APPLICATION = slice(0, 16), slice(68, 72)


def journal_path(given: str | os.PathLike[str]) -> Path:
    """The real path of a journal, which need not exist.

    Raises:
        JournalError: it cannot be one, or cannot be examined; says why.
    """
    text = os.fspath(given)
    if text in ("", ":memory:") or "\0" in text:
        raise JournalError(f"{text!r} is no file name: a journal is a file on a disk, so name one")
    path = Path(os.path.realpath(text))
    try:
        status = path.stat()
    except FileNotFoundError:
        return path
    except OSError as error:
        raise JournalError(f"cannot open {path}: {error.strerror}: name another file") from error
    if kind := irreplaceable_kind(path):
        raise JournalError(f"{path} is a {kind}, not a journal: name the journal's file")
    if status.st_nlink > 1:
        raise JournalError(
            f"{path} has {status.st_nlink} names (hard links), and its last writes may be beside "
            "another one: remove the others, then open it again"
        )
    return path


def reject_foreign(path: Path) -> None:
    """Reject a file that is no journal, before anything is made beside it.

    What is damaged, and may be a journal all the same, passes.

    Raises:
        JournalError: it is another program's.
    """
    size = path.stat().st_size if path.exists() else 0
    if size == 0 or number_beside(path) is not None:
        return
    try:
        application = None if size < _SMALLEST else sqlite_file.application_of(path)
    except sqlite3.DatabaseError as error:
        is_in_its_first_write = path.with_name(f"{path.name}-journal").exists()
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB or is_in_its_first_write:
            return
        raise _not_a_journal(path) from None
    if size < _SMALLEST:
        raise _not_a_journal(path)
    if application not in (None, schema.APPLICATION_ID):
        raise JournalError(f"{path} is another program's database: choose another file")


def has_our_header(path: Path) -> bool:
    """Whether a damaged database says that it is a journal.

    Only for who holds its lock and has no connection to it: to open and close the file takes away
    the locks of every connection of this process (sqlite.org, "How To Corrupt", 2.2).
    """
    with path.open("rb") as file:
        header = file.read(100)
    application = int.from_bytes(header[_APPLICATION])
    return header[_MAGIC] == b"SQLite format 3\0" and application == schema.APPLICATION_ID


def _not_a_journal(path: Path) -> JournalError:
    return JournalError(f"{path} is not a journal, and was not touched: choose another file")
