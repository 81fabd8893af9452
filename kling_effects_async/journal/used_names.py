"""Names of clips where there is no journal, in a temporary file: however many, memory is flat."""

from __future__ import annotations

import threading
import weakref
from functools import cached_property
from typing import TYPE_CHECKING

from kling_effects_async.clip_names import clip_key
from kling_effects_async.errors import JournalFullError
from kling_effects_async.journal.clip_numbers import ClipNumbers

if TYPE_CHECKING:
    import sqlite3

__all__ = ["UsedNames"]

_TABLE = """
    PRAGMA journal_mode = OFF;
    CREATE TABLE names (
        folder INTEGER, key TEXT, job TEXT, name TEXT, PRIMARY KEY (folder, key)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX names_by_job ON names (folder, job);
"""


class UsedNames:
    """Which job has which name in which folder, while this lives; call it off the loop.

    Args:
        max_pages: how large the file may become, in pages of 4096 bytes.
    """

    def __init__(self, *, max_pages: int | None = None) -> None:
        self._max_pages = max_pages
        self._numbers = ClipNumbers()
        self._folders: dict[str, int] = {}
        self._turn = threading.Lock()

    def name_of(self, job: str, folder: str, wished: str) -> str:
        """The job's name in the folder: the one it has, or the first that is free.

        Raises:
            JournalFullError: the folder for temporary files is full.
        """
        import sqlite3

        with self._turn:
            try:
                number = self._folders.setdefault(folder, len(self._folders))
                return self._held(job, number) or self._given(job, folder, number, wished)
            except sqlite3.OperationalError as error:
                raise JournalFullError(
                    f"the names of clips cannot be kept in a temporary file ({error}): make room "
                    "in the folder for temporary files (TMPDIR), or give the client a journal"
                ) from error

    def _held(self, job: str, folder: int) -> str | None:
        row = self._connection.execute(
            "SELECT name FROM names WHERE folder = ? AND job = ?", (folder, job)
        ).fetchone()
        return None if row is None else str(row[0])

    def _given(self, job: str, folder: str, number: int, wished: str) -> str:
        name = self._numbers.free_name(folder, wished, lambda key: self._is_taken(number, key))
        if (key := clip_key(name)) is not None:
            self._connection.execute(
                "INSERT INTO names VALUES (?, ?, ?, ?)", (number, key, job, name)
            )
        return name

    def _is_taken(self, folder: int, key: str) -> bool:
        row = self._connection.execute(
            "SELECT 1 FROM names WHERE folder = ? AND key = ?", (folder, key)
        ).fetchone()
        return row is not None

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        import sqlite3

        # A database without a name is a file that nobody else sees, and that is removed with it.
        connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, connection.close)
        connection.executescript(_TABLE)
        if self._max_pages is not None:
            connection.execute(f"PRAGMA max_page_count = {self._max_pages}").fetchone()
        return connection
