"""The tables of the journal, and how a file of an older version becomes one of this version.

A migration is a script; the file's ``user_version`` is how many of them it has seen. A script that
has been released is never edited: add another one.

Times are whole microseconds since 1970 in UTC; units are decimal text, because they are money.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kling_effects_async.errors import JournalError, JournalVersionError
from kling_effects_async.journal.job import JobState

__all__ = [
    "MIGRATIONS",
    "NUMBERED_SINCE",
    "VERSION",
    "RowDamagedError",
    "application_of",
    "check",
    "connect",
    "connect_for_reading",
    "create",
    "damage",
    "migrate",
    "moment_of",
    "roll_back",
    "stamp_of",
    "us_of",
]

# How our files differ from other programs' databases: "KLFE" in ASCII.
APPLICATION_ID = 0x4B4C4645
# STRICT tables. Source: SQLite release notes, 3.37.0 (2021-11-27).
NEEDED_SQLITE = (3, 37, 0)
# How long a write waits for another program that holds the database, such as a shell.
BUSY_TIMEOUT_MS = 5_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_COST_TRIGGERS = """
    CREATE TRIGGER cost_of_new AFTER INSERT ON jobs WHEN new.cost IS NOT NULL BEGIN
        INSERT INTO costs VALUES (new.account, new.cost_kind, new.cost, 1)
            ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
    CREATE TRIGGER cost_of_changed AFTER UPDATE ON jobs
        WHEN (old.cost, old.cost_kind, old.account) IS NOT (new.cost, new.cost_kind, new.account)
    BEGIN
        UPDATE costs SET jobs = jobs - 1
            WHERE account = old.account AND kind = old.cost_kind AND units = old.cost;
        INSERT INTO costs SELECT new.account, new.cost_kind, new.cost, 1 WHERE new.cost IS NOT NULL
            ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
"""


def _cost_kind(uncertain: str) -> str:
    """The column with a job's kind of cost, where the state of a lost answer has this name."""
    return f"""
    ALTER TABLE jobs ADD COLUMN cost_kind TEXT AS (
        CASE WHEN units IS NOT NULL THEN 'told'
             WHEN state IN ('submitting', '{uncertain}') THEN 'unsettled'
             WHEN state = 'accepted' THEN 'running'
             ELSE 'untold' END
    ) VIRTUAL;
"""


# What counts towards a budget; see ``budget`` for the kinds. The sums are kept as numbers of jobs
# by cost, so that they are exact, and cheap however many jobs there are.
_COSTS = f"""
    ALTER TABLE jobs ADD COLUMN expected_units TEXT;
    ALTER TABLE jobs ADD COLUMN earlier_units TEXT;
    ALTER TABLE jobs ADD COLUMN cost TEXT AS (coalesce(units, expected_units)) VIRTUAL;
{_cost_kind("ambiguous")}    WITH typical AS (
        SELECT account, scene, units, max(CAST(units AS REAL)) FROM jobs
        WHERE units IS NOT NULL AND state IN ('succeeded', 'downloaded') GROUP BY account, scene
    )
    UPDATE jobs SET expected_units = coalesce(
        (SELECT t.units FROM typical AS t WHERE (t.account, t.scene) = (jobs.account, jobs.scene)),
        '3.5'
    )
    WHERE units IS NULL AND (
        state IN ('submitting', 'ambiguous', 'accepted', 'succeeded', 'downloaded')
        OR state = 'abandoned' AND (
            task_id IS NOT NULL
            OR EXISTS (
                SELECT 1 FROM transitions AS t
                WHERE t.job = jobs.id AND t.step = jobs.steps - 1 AND t.state = 'ambiguous'
            )
        )
    );
    CREATE TABLE costs (
        account TEXT NOT NULL,
        kind TEXT NOT NULL,
        units TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (account, kind, units)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO costs SELECT account, cost_kind, cost, count(*) FROM jobs
        WHERE cost IS NOT NULL GROUP BY account, cost_kind, cost;
    CREATE TRIGGER cost_of_earlier AFTER UPDATE OF account, earlier_units ON jobs BEGIN
        UPDATE costs SET jobs = jobs - 1
            WHERE account = old.account AND kind = 'untold' AND units = old.earlier_units;
        INSERT INTO costs SELECT new.account, 'untold', new.earlier_units, 1
            WHERE new.earlier_units IS NOT NULL ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
{_COST_TRIGGERS}"""

# How many commits there were, and whether some of them are lost. The lease has no heartbeat any
# more: it serves one machine.
_COMMITS = """
    CREATE TABLE commits (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        number INTEGER NOT NULL,
        misses_rows INTEGER NOT NULL
    ) STRICT;
    INSERT INTO commits VALUES (1, 0, 0);
    ALTER TABLE lease DROP COLUMN heartbeat_us;
"""

# Two states got other names. What names them is made anew; see ``_COSTS``.
_OLD_NAMES = {"ambiguous", "refused"}
_NAMES = f"""
    DROP TRIGGER cost_of_new;
    DROP TRIGGER cost_of_changed;
    ALTER TABLE jobs DROP COLUMN cost_kind;
    UPDATE jobs SET state = 'uncertain' WHERE state = 'ambiguous';
    UPDATE jobs SET state = 'rejected' WHERE state = 'refused';
    UPDATE transitions SET state = 'uncertain' WHERE state = 'ambiguous';
    UPDATE transitions SET state = 'rejected' WHERE state = 'refused';
{_cost_kind("uncertain")}{_COST_TRIGGERS}"""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        external_task_id TEXT NOT NULL CHECK (external_task_id <> ''),
        scene TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        effect TEXT NOT NULL,
        run TEXT,
        download_to TEXT,
        callback_url TEXT,
        state TEXT NOT NULL,
        task_id TEXT,
        message TEXT NOT NULL,
        units TEXT,
        result TEXT,
        path TEXT,
        created_us INTEGER NOT NULL,
        updated_us INTEGER NOT NULL,
        steps INTEGER NOT NULL,
        note TEXT NOT NULL,
        UNIQUE (external_task_id, account)
    ) STRICT;
    CREATE INDEX jobs_by_task ON jobs (task_id) WHERE task_id IS NOT NULL;
    CREATE INDEX jobs_by_cost ON jobs (account, scene, id, units) WHERE units IS NOT NULL;
    CREATE TABLE transitions (
        job INTEGER NOT NULL REFERENCES jobs (id),
        step INTEGER NOT NULL,
        state TEXT NOT NULL,
        at_us INTEGER NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (job, step)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER first_step AFTER INSERT ON jobs BEGIN
        INSERT INTO transitions VALUES (new.id, new.steps, new.state, new.updated_us, new.note);
    END;
    CREATE TRIGGER next_step AFTER UPDATE OF steps ON jobs BEGIN
        INSERT INTO transitions VALUES (new.id, new.steps, new.state, new.updated_us, new.note);
    END;
    CREATE TABLE memos (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE lease (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token TEXT NOT NULL,
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        process TEXT NOT NULL,
        since_us INTEGER NOT NULL,
        heartbeat_us INTEGER NOT NULL
    ) STRICT;
    """,
    # Which service the account belongs to, and whether bytes of a submit may have reached it. The
    # trigger on ``steps`` writes no history for this.
    """
    ALTER TABLE jobs ADD COLUMN service TEXT;
    ALTER TABLE jobs ADD COLUMN was_sent INTEGER NOT NULL DEFAULT 0;
    UPDATE jobs SET was_sent = 1
        WHERE id IN (SELECT job FROM transitions WHERE state = 'submitting');
    """,
    _COSTS,
    _COMMITS,
    _NAMES,
)
VERSION = len(MIGRATIONS)
NUMBERED_SINCE = 1 + MIGRATIONS.index(_COMMITS)
_NAMED_SINCE = 1 + MIGRATIONS.index(_NAMES)


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
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # NORMAL loses acknowledged rows in a power cut
        "fullfsync=ON",  # macOS: fsync alone leaves them in the drive's cache
        "foreign_keys=ON",
        "cache_size=-64000",
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
    if sqlite3.sqlite_version_info < NEEDED_SQLITE:
        needed = ".".join(map(str, NEEDED_SQLITE))
        raise JournalError(
            f"the journal needs SQLite {needed} or newer, this Python has {sqlite3.sqlite_version}"
        )
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
            f"one knows {VERSION}) and was not touched: upgrade the package",
            ours=VERSION,
            theirs=int(version),
        )
    return int(version)


def _read_through(connection: sqlite3.Connection, version: int) -> None:
    # Not quick_check: an id that is not the one in the index would be paid for again.
    (finding,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if finding != "ok":
        raise damage(f"integrity_check: {finding}")
    if version:
        names = {state.value for state in JobState}
        if version < _NAMED_SINCE:
            names |= _OLD_NAMES
        states = ", ".join(map(repr, sorted(names)))
        rows = connection.execute(f"SELECT id FROM jobs WHERE {_UNREADABLE.format(states)}")
        if row := rows.fetchone():
            raise damage(f"row {row[0]} of jobs cannot be read")


# What a whole row never has; `job_row` rejects the same where it meets it.
_UNREADABLE = (
    "state NOT IN ({}) OR units GLOB '*[^-+.0-9E]*' "
    "OR min(created_us, updated_us) < 0 OR max(created_us, updated_us) > 253402300799999999"
)


class RowDamagedError(sqlite3.DatabaseError):
    """One row cannot be read; the rest of the file may be whole."""


def damage(finding: str, kind: type[sqlite3.DatabaseError] = sqlite3.DatabaseError) -> Exception:
    """What SQLite itself would raise, had it come upon it."""
    error = kind(finding)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


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
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id={APPLICATION_ID}; "
            f"PRAGMA user_version={number}; COMMIT;"
        )


def _back_up(connection: sqlite3.Connection, copy: Path) -> None:
    create(copy)
    connection.execute("VACUUM INTO ?", (str(copy),))


def us_of(moment: datetime) -> int:
    """How the journal stores a moment; exact, and several times as fast as text."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """The moment that was stored."""
    return _EPOCH + timedelta(microseconds=us)


def stamp_of(moment: datetime) -> str:
    """A moment in UTC as part of a file name."""
    return moment.strftime("%Y%m%dT%H%M%S.%fZ")
