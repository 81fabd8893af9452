"""The file beside a journal: the operating system's lock on it, and the number of its last commit.

    effects.db        counts its commits, inside
    effects.db.lock   is locked by the owner, and contains the same number

The lock dies with its process, even by SIGKILL. The number is written after each commit and is not
synced: a kill keeps it, and a power cut can only leave it lower than the one inside. So a number
that is higher than the one inside proves that the database lost commits. That there is a number
shows that the database is a journal, whatever its content is now.
"""

from __future__ import annotations

import os
import stat
import sys
import weakref
from contextlib import suppress
from pathlib import Path

from kling_effects_async.errors import JournalError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["Lock", "lock_path", "number_beside"]

# Always as many, so that a lower number overwrites a higher one whole; SQLite's integers have 19.
_DIGITS = 20
# On Windows nobody can read what is locked, so the byte that is locked lies behind the number.
_LOCKED_BYTE = 1 << 30


def lock_path(journal: Path) -> Path:
    """The side file of a journal."""
    return journal.with_name(f"{journal.name}.lock")


def number_beside(journal: Path) -> int | None:
    """The number of the last commit, as the side file has it; ``None`` if it has none."""
    with suppress(OSError), _Descriptor(lock_path(journal), os.O_RDONLY) as file:
        return _read(file)
    return None


class Lock:
    """The side file, locked until ``release`` or our death.

    Attributes:
        number: of the last commit when it was locked; ``None`` if it had none.

    Raises:
        BlockingIOError: another process of this machine holds it, or another journal of ours.
        JournalError: it is no file, or its file system has no locks.
    """

    def __init__(self, journal: Path) -> None:
        self._path = lock_path(journal)
        self._file = _opened(self._path, os.O_RDWR | os.O_CREAT)
        try:
            _lock(self._file, self._path)
            self.number: int | None = _read(self._file)
        except BaseException:
            self.release()
            raise
        _held.add(self)

    def note(self, number: int) -> None:
        """Write the number of a commit that is on the disk.

        Where that fails the number is too low, which is harmless.
        """
        with suppress(OSError):
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, b"%0*d\n" % (_DIGITS, number))

    def keep(self, number: int) -> None:
        """Write a number and have it survive a power cut."""
        self.note(number)
        with suppress(OSError):  # a folder cannot be synced on every system
            os.fsync(self._file)
            with _Descriptor(self._path.parent, os.O_RDONLY) as folder:
                os.fsync(folder)

    def release(self) -> None:
        """Let others have it; the file stays, or two could lock two different files."""
        if self._file >= 0:
            # A child that is being started has the descriptor until its exec, and would hold the
            # lock for so long. Where only closing unlocks there is no fork.
            if sys.platform != "win32":
                with suppress(OSError):
                    fcntl.flock(self._file, fcntl.LOCK_UN)
            self.close()

    def close(self) -> None:
        """Close the file alone; whoever else has it open keeps the lock."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


class _Descriptor:
    """An open file or folder that is closed in the end."""

    def __init__(self, path: Path, flags: int) -> None:
        self._file = os.open(path, flags | _NO_WAITING)

    def __enter__(self) -> int:
        return self._file

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


_NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # a named pipe would wait for somebody to write


def _opened(path: Path, flags: int) -> int:
    file = os.open(path, flags | _NO_WAITING, 0o600)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise JournalError(f"{path} is no file, and a journal needs one of this name: remove it")
    return file


def _read(file: int) -> int | None:
    os.lseek(file, 0, os.SEEK_SET)
    text = os.read(file, _DIGITS + 1)
    is_number = len(text) == _DIGITS + 1 and text[:_DIGITS].isdigit()
    return int(text) if is_number else None


# A forked child inherits the open file, and would hold our lock after our death.
_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _release_inherited() -> None:
    for lock in tuple(_held):
        lock.close()  # to unlock here would unlock the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_inherited)


def _lock(file: int, path: Path) -> None:
    try:
        if sys.platform == "win32":
            os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            # Not lockf: its locks are the process's, and end where it closes any descriptor of it.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except PermissionError as error:  # what Windows calls it
        raise BlockingIOError(*error.args) from error
    except OSError as error:
        raise JournalError(
            f"{path} cannot be locked ({error.strerror}), so two processes could use the journal "
            "at once: put it on a local disk"
        ) from error
