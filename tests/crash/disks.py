"""Disks that get full: by a limit of the process, and by a small file system."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

__all__ = ["Disk", "LimitedFiles", "SmallDisk", "can_mount"]

# Source: Linux, include/uapi/linux/sched.h.
_NEW_USER, _NEW_MOUNTS = 0x10000000, 0x00020000
_SMALL_DISK_BYTES = 2**20


class Disk(Protocol):
    """Where a process has the journal."""

    def place(self, journal: Path) -> Path:
        """Put the journal on it; where it is then, for this process alone."""

    def fill(self) -> None:
        """Be full, but for a few bytes."""

    def make_room(self) -> None:
        """Be full no longer."""

    def leave(self, journal: Path) -> None:
        """Put the journal back to where it was before; it is closed."""


class LimitedFiles:
    """No file may grow further than so many bytes beyond the journal's log."""

    def __init__(self, bytes_left: int) -> None:
        self._bytes_left = bytes_left
        self._journal = Path()

    def place(self, journal: Path) -> Path:
        self._journal = journal
        return journal

    def fill(self) -> None:
        log = self._journal.with_name(f"{self._journal.name}-wal")
        _limit_files((log.stat().st_size if log.exists() else 0) + self._bytes_left)

    def make_room(self) -> None:
        _limit_files(resource.getrlimit(resource.RLIMIT_FSIZE)[1])

    def leave(self, journal: Path) -> None:
        self.make_room()


class SmallDisk:
    """A file system of one megabyte, in a namespace of this process, which has one thread."""

    def __init__(self, bytes_left: int) -> None:
        self._bytes_left = bytes_left
        self._folder = Path()

    def place(self, journal: Path) -> Path:
        self._folder = journal.with_name(f"{journal.stem}-disk")
        self._folder.mkdir()
        _mount_small(self._folder)
        for file in _files(journal):
            shutil.copy(file, self._folder)
        return self._folder / journal.name

    def fill(self) -> None:
        ballast = os.open(self._ballast, os.O_CREAT | os.O_WRONLY)
        free = os.fstatvfs(ballast)
        with suppress(OSError):
            os.posix_fallocate(ballast, 0, free.f_bavail * free.f_frsize - self._bytes_left)
        os.close(ballast)

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def leave(self, journal: Path) -> None:
        for file in _files(journal):
            file.unlink()
        for file in _files(self._folder / journal.name):
            shutil.copy(file, journal.parent)

    @property
    def _ballast(self) -> Path:
        return self._folder / "ballast"


def can_mount(folder: Path) -> bool:
    """Whether this system lets a process have a file system of its own."""
    if sys.platform != "linux":
        return False
    child = os.fork()
    if child == 0:
        try:
            _mount_small(folder)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _files(journal: Path) -> list[Path]:
    """All files of the journal that are copied with it; the log's index is made anew."""
    files = journal.parent.glob(f"{journal.name}*")
    return [file for file in files if file.is_file() and not file.name.endswith("-shm")]


def _limit_files(size: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def _mount_small(folder: Path) -> None:
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    _succeed(libc.unshare(_NEW_USER | _NEW_MOUNTS))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    options = f"size={_SMALL_DISK_BYTES}".encode()
    _succeed(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options))


def _succeed(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
