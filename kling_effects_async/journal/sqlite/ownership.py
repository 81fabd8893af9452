"""Who owns a journal: one process at a time, and a dead one no longer.

Two things show it. The lock of ``lock`` is on the real path, whichever link leads there, and dies
with its process. A row in the journal says who the owner is. That process may live although its
lock is free: somebody removed the lock file, or moved the database under another name. So who gets
the lock looks for the process as well, by what no later process can have: the boot and its own
start time. The row of another boot or machine, whose lock nobody holds, is a dead process's.

No clock decides anything, and nothing is decided between machines: SQLite's log serves one host.

Every commit looks for its own token in the row, so an owner that lost the journal writes nothing.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
from datetime import datetime
from pathlib import Path

from attrs import frozen

from kling_effects_async.errors import JournalBusyError
from kling_effects_async.journal.sqlite.times import moment_of, us_of

__all__ = [
    "Owner",
    "busy",
    "is_alive",
    "mark_closed",
    "owner_of",
    "release",
    "take",
    "this_process",
]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# The tokens of the journals that are open in this process.
_open_here: set[str] = set()


@frozen(kw_only=True)
class Owner:
    """A process that owns the journal, by its row.

    Attributes:
        token: random, one for each opening.
        process: boot and start time, which no later process with its pid has; ``""`` where the
            system does not report them.
    """

    token: str
    pid: int
    host: str
    process: str
    since: datetime


def this_process(now: datetime) -> Owner:
    """We as an owner, with a new token."""
    return Owner(
        token=secrets.token_hex(16),
        pid=os.getpid(),
        host=socket.gethostname(),
        process=process_mark(os.getpid()),
        since=now,
    )


def process_mark(pid: int) -> str:
    """Boot id and start time of a living process; ``""`` without it, or without ``/proc``."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        boot = _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
    # The name in the second field may hold spaces and brackets. 3 is the state, of which Z and X
    # are dead and only not yet taken note of; 22 is the start time in ticks.
    # Source: proc_pid_stat(5).
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def is_alive(owner: Owner, *, here: Owner) -> bool:
    """Whether that owner may still write, although we hold the lock.

    Args:
        here: we, now.
    """
    if not owner.process:  # then only the lock can show it, and we have that
        return False
    if (owner.pid, owner.process) == (here.pid, here.process):
        return owner.token in _open_here
    return process_mark(owner.pid) == owner.process


# -- the row


def take(connection: sqlite3.Connection, here: Owner) -> None:
    """Become the owner; we hold the lock.

    Raises:
        JournalBusyError: somebody else is, and lives.
    """
    connection.execute("BEGIN IMMEDIATE")
    owner = owner_of(connection)
    if owner is not None and is_alive(owner, here=here):
        connection.execute("ROLLBACK")
        raise busy(owner)
    connection.execute(
        "INSERT OR REPLACE INTO lease (id, token, pid, host, process, since_us) "
        "VALUES (1, ?, ?, ?, ?, ?)",
        (here.token, here.pid, here.host, here.process, us_of(here.since)),
    )
    connection.execute("COMMIT")
    _open_here.add(here.token)


def owner_of(connection: sqlite3.Connection) -> Owner | None:
    """Who the row says owns the journal; ``None`` after an orderly end."""
    row = connection.execute("SELECT token, pid, host, process, since_us FROM lease").fetchone()
    if row is None:
        return None
    token, pid, host, process, since_us = row
    return Owner(
        token=token,
        pid=pid,
        host=host,
        process=process,
        since=moment_of(since_us),
    )


def release(connection: sqlite3.Connection, here: Owner) -> None:
    """Leave in order, so that the next owner has nothing to find out."""
    connection.execute("DELETE FROM lease WHERE token = ?", (here.token,))


def mark_closed(here: Owner) -> None:
    """The journal is closed in this process, whether or not its row could be deleted."""
    _open_here.discard(here.token)


def busy(owner: Owner | None) -> JournalBusyError:
    """The error that names the owner, as far as it is known."""
    if owner is None:
        return JournalBusyError(
            "another process is opening the journal: wait for its end, or open it read-only"
        )
    return JournalBusyError(
        f"process {owner.pid} on {owner.host} has owned the journal since "
        f"{owner.since:%Y-%m-%d %H:%M:%S} UTC: wait for its end, or open it read-only",
        pid=owner.pid,
        host=owner.host,
        since=owner.since,
    )
