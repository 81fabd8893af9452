"""The database file itself: made, connected to, checked and brought to this version."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from kling_effects_async.errors import JournalError, JournalVersionError
from kling_effects_async.journal.job import JobState
from kling_effects_async.journal.sqlite.failures import damage
from kling_effects_async.journal.sqlite.job_row import MEMBERS
from kling_effects_async.journal.sqlite.schema import (
    APPLICATION_ID,
    MIGRATIONS,
    NAMED_SINCE,
    OLD_NAMES,
    VERSION,
)

__all__ = [
    "application_of",
    "check",
    "connect",
    "connect_for_reading",
    "create",
    "migrate",
    "roll_back",
]

# STRICT tables. Source: SQLite release notes, 3.37.0 (2021-11-27).
NEEDED_SQLITE = (3, 37, 0)
# How long a write waits for another program that holds the database, such as a shell.
BUSY_TIMEOUT_MS = 5_000


def create(path: Path) -> None:
    """Make an empty file that nobody else can read, if there is none; -wal and -shm follow it."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def roll_back(path: Path) -> None:
    """Undo a first opening that was killed before the file had its WAL.

    It leaves a rollback journal, and until that is played back the file cannot be read at all.
    """
    if path.with_name(f"{path.name}-journal").exists():
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def connect(path: Path) -> sqlite3.Connection:
    """Open for writing; a commit returns when the rows are on the disk."""
    # Without Python's implicit transactions: the writer begins and ends each batch itself.
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",  # readers beside the owner, and one sync for a whole batch
        "synchronous=FULL",  # NORMAL loses acknowledged rows in a power cut
        "fullfsync=ON",  # macOS: fsync alone leaves them in the drive's cache
        "foreign_keys=ON",  # SQLite's default is off, for each connection anew
        "cache_size=-64000",  # negative numbers are KiB, positive ones pages
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing file so that not even a leftover WAL is folded into it."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}").fetchall()
    return connection


def check(path: Path, *, thoroughly: bool, is_ours: bool = False) -> int:
    """The version of the file, which is ours and not newer; 0 if it is empty.

    Args:
        thoroughly: read the whole file for damage, too.
        is_ours: it is known for a journal, so a header that says otherwise is damaged.

    Raises:
        sqlite3.DatabaseError: it is damaged, or no database at all.
        JournalVersionError: a newer version of this package wrote it.
        JournalError: it is another program's database.
    """
    with closing(connect_for_reading(path)) as connection:
        version = _version(connection, path, is_ours=is_ours)
        if thoroughly:
            _read_through(connection, version)
    return version


def application_of(path: Path) -> int | None:
    """Whose database a file says it is, ours or another program's; ``None`` if it is empty.

    It is read as it lies there: nothing is locked, made or changed beside it.

    Raises:
        sqlite3.DatabaseError: it is damaged, or no database at all.
    """
    uri = f"{path.as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application == APPLICATION_ID:
            return APPLICATION_ID
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return int(application) if application or tables else None


def _version(connection: sqlite3.Connection, path: Path, *, is_ours: bool) -> int:
    _reject_old_sqlite()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    is_empty = (application, version, tables) == (0, 0, 0)
    if application != APPLICATION_ID and not is_empty:
        if is_ours:
            raise damage(f"its application id is {application}")
        raise JournalError(f"{path} is another program's database: choose another file")
    if version > VERSION:
        raise JournalVersionError(
            f"{path} was written by a newer kling-effects-async (journal version {version}, this "
            f"one reads {VERSION}) and was not touched: upgrade the package",
            ours=VERSION,
            theirs=int(version),
        )
    return int(version)


def _reject_old_sqlite() -> None:
    if sqlite3.sqlite_version_info < NEEDED_SQLITE:
        needed = ".".join(map(str, NEEDED_SQLITE))
        raise JournalError(
            f"the journal needs SQLite {needed} or newer, this Python has {sqlite3.sqlite_version}"
        )


def _read_through(connection: sqlite3.Connection, version: int) -> None:
    # Not quick_check: an id that is not the one in the index would be paid for again.
    (finding,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if finding != "ok":
        raise damage(f"integrity_check: {finding}")
    if version == VERSION:
        _compile(connection)
    if version:
        names = {state.value for state in JobState}
        if version < NAMED_SINCE:
            names |= OLD_NAMES
        states = ", ".join(map(repr, sorted(names)))
        rows = connection.execute(f"SELECT id FROM jobs WHERE {_UNREADABLE.format(states)}")
        if row := rows.fetchone():
            raise damage(f"row {row[0]} of jobs cannot be read")


# Together they have all names of the tables' and the triggers' texts.
_COMPILED = (
    f"INSERT INTO jobs ({MEMBERS}, steps, note) SELECT {MEMBERS}, steps, note FROM jobs",
    "UPDATE jobs SET account = account, steps = steps, earlier_units = earlier_units",
    "INSERT INTO memos (kind, key, text) SELECT kind, key, text FROM memos",
    "INSERT INTO lease (id, token, pid, host, process, since_us) VALUES (1, '', 0, '', '', 0)",
    "UPDATE commits SET number = 0, misses_rows = 0",
)


def _compile(connection: sqlite3.Connection) -> None:
    """Find a name that is damaged: SQLite compiles a trigger once it is to run, for a write."""
    for statement in _COMPILED:
        try:
            connection.execute(f"EXPLAIN {statement}").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise damage(str(error)) from error


# What a whole row never has; `job_row` rejects the same where it meets it.
_UNREADABLE = (
    "state NOT IN ({}) OR units GLOB '*[^-+.0-9E]*' "
    "OR min(created_us, updated_us) < 0 OR max(created_us, updated_us) > 253402300799999999"
)


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    *,
    version: int,
    stamp: str,
    scripts: Sequence[str] = MIGRATIONS,
) -> None:
    """Bring the file up to ``len(scripts)``, each step whole or not at all, after a copy."""
    if 0 < version < len(scripts):
        _back_up(connection, path.with_name(f"{path.name}.v{version}-{stamp}"))
    for number, script in enumerate(scripts[version:], start=version + 1):
        connection.executescript(
            # In one transaction with the version, so that no kill can leave half a migration.
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id={APPLICATION_ID}; "
            f"PRAGMA user_version={number}; COMMIT;"
        )


def _back_up(connection: sqlite3.Connection, copy: Path) -> None:
    create(copy)
    # Not a copy of the file: the last commits may be in the log beside it.
    connection.execute("VACUUM INTO ?", (str(copy),))
