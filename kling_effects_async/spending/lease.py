"""Who owns a journal: one process at a time, and a dead one no longer.

Two things say so. A lock of the operating system on ``effects.db.lock`` decides between processes
of one machine; it dies with its process, even by SIGKILL. A row in the journal says who the owner
is, and decides between machines that share a folder: an owner elsewhere is dead when its heartbeat
is older than a minute. Every commit looks for its own token in the row, so an owner that was taken
for dead (a machine that slept) writes nothing more.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import sys
import weakref
from datetime import datetime, timedelta
from pathlib import Path

from attrs import frozen

from kling_effects_async.errors import JournalBusyError
from kling_effects_async.spending.schema import moment_of, us_of

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["Lock", "Owner", "beat", "is_alive", "owner_of", "release", "take", "this_process"]

HEARTBEAT_S = 10.0
DEAD_AFTER = timedelta(seconds=60)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@frozen(kw_only=True)
class Owner:
    """A process that owns the journal, as its row tells.

    Attributes:
        token: random, one for each opening.
        process: what tells the process from a later one with its pid: boot and start time; ``""``
            where the system does not tell.
        heartbeat: when it was last seen alive.
    """

    token: str
    pid: int
    host: str
    process: str
    since: datetime
    heartbeat: datetime


def this_process(now: datetime) -> Owner:
    """We as an owner, with a new token."""
    return Owner(
        token=secrets.token_hex(16),
        pid=os.getpid(),
        host=socket.gethostname(),
        process=process_mark(os.getpid()),
        since=now,
        heartbeat=now,
    )


def process_mark(pid: int) -> str:
    """Boot id and start time of a running process; ``""`` without it, or without ``/proc``."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        boot = _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
    # The name in the second field may hold spaces and brackets; 22 is the start time in ticks.
    # Source: proc_pid_stat(5).
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"


def is_alive(owner: Owner, *, here: Owner, is_locked: bool) -> bool:
    """Whether that owner may still write.

    Args:
        here: we, now.
        is_locked: we hold the machine's lock, so nobody else on this machine does.
    """
    if owner.host == here.host:
        if is_locked:
            return False
        if owner.process:
            return process_mark(owner.pid) == owner.process
    return here.heartbeat - owner.heartbeat < DEAD_AFTER


# -- the row


def take(connection: sqlite3.Connection, here: Owner, *, is_locked: bool) -> None:
    """Become the owner.

    Raises:
        JournalBusyError: somebody else is, and lives.
    """
    connection.execute("BEGIN IMMEDIATE")
    owner = owner_of(connection)
    if owner is not None and is_alive(owner, here=here, is_locked=is_locked):
        connection.execute("ROLLBACK")
        raise busy(owner)
    connection.execute(
        "INSERT OR REPLACE INTO lease (id, token, pid, host, process, since_us, heartbeat_us) "
        "VALUES (1, ?, ?, ?, ?, ?, ?)",
        (here.token, here.pid, here.host, here.process, us_of(here.since), us_of(here.since)),
    )
    connection.execute("COMMIT")


def owner_of(connection: sqlite3.Connection) -> Owner | None:
    """Who the row says owns the journal; ``None`` after an orderly end."""
    row = connection.execute(
        "SELECT token, pid, host, process, since_us, heartbeat_us FROM lease"
    ).fetchone()
    if row is None:
        return None
    token, pid, host, process, since_us, heartbeat_us = row
    return Owner(
        token=token,
        pid=pid,
        host=host,
        process=process,
        since=moment_of(since_us),
        heartbeat=moment_of(heartbeat_us),
    )


def is_ours(connection: sqlite3.Connection, here: Owner) -> bool:
    """The row still has our token."""
    row = connection.execute("SELECT 1 FROM lease WHERE token = ?", (here.token,)).fetchone()
    return row is not None


def beat(connection: sqlite3.Connection, here: Owner, now: datetime) -> None:
    """Say that we are alive."""
    connection.execute(
        "UPDATE lease SET heartbeat_us = ? WHERE token = ?", (us_of(now), here.token)
    )


def release(connection: sqlite3.Connection, here: Owner) -> None:
    """Leave in order, so that the next owner has nothing to find out."""
    connection.execute("DELETE FROM lease WHERE token = ?", (here.token,))


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


# -- the machine's lock


class Lock:
    """The operating system's lock on a side file, held until ``release`` or our death.

    Attributes:
        is_held: whether we have it; ``False`` on file systems without locks, where the row decides.

    Raises:
        BlockingIOError: another process of this machine holds it, or another journal of ours.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self.is_held: bool = _lock(self._file)
        except BlockingIOError:
            self.release()
            raise
        _held.add(self)

    def release(self) -> None:
        """Let others have it; the side file stays, or two could lock two different files."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


# A forked child inherits the open file, and would hold our lock after our death.
_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_locks() -> None:
    for lock in tuple(_held):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


def _lock(file: int) -> bool:
    """Whether the file system knows locks; it raises where somebody else has this one."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except PermissionError as error:  # what Windows calls it
        raise BlockingIOError(*error.args) from error
    except OSError:
        return False
    return True
