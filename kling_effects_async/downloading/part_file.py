"""The file that a video grows in before it gets its name.

``clip.mp4.part`` holds the bytes, ``clip.mp4.part.json`` what they are the beginning of, so that a
later process can go on. The name ``clip.mp4`` appears only once everything is there and on disk.

Its methods wait for the disk: call them off the loop, one at a time.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from attrs import asdict, field, frozen
from attrs.validators import instance_of, optional

from kling_effects_async.downloading.mp4 import flaw_of
from kling_effects_async.downloading.replaceable import (
    irreplaceable_kind,
    odd_side_file,
    side_files,
)
from kling_effects_async.errors import DownloadError

if sys.platform != "win32":
    import fcntl

__all__ = ["PartFile", "Source"]

# A link in place of our file would send the bytes elsewhere; Windows has no such flag, and wants
# special rights to make links. A pipe in its place would be waited for. O_BINARY exists on Windows
# alone.
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


_NOTE_MAX_LETTERS = 2**20  # an address has some hundred letters

# What file systems answer that know no fsync: CIFS, FUSE and WSL among them. Any other answer
# means that the disk lost something.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@frozen(kw_only=True)
class Source:
    """What the bytes are the beginning of.

    Attributes:
        address: where they came from, without its signature.
        etag: the server's strong name for this very content; ``None``: cannot be resumed.
        total: the size of the whole in bytes; ``None`` if not announced.
    """

    address: str = field(validator=instance_of(str))
    etag: str | None = field(default=None, validator=optional(instance_of(str)))
    total: int | None = field(default=None, validator=optional(instance_of(int)))


class PartFile:
    """The bytes so far of one video.

    Attributes:
        source: what they are the beginning of; ``None`` while nothing usable is there.
        length_bytes: how many of them are usable.
    """

    def __init__(self, target: Path) -> None:
        if not target.name:
            raise DownloadError(f"{target} names no file")
        self.target = target
        self.path: Path
        self.path, self._sidecar = side_files(target)
        self.source: Source | None = None
        self.length_bytes: int = 0
        self._descriptor = -1
        self._is_ours = False

    @property
    def is_whole(self) -> bool:
        """As many bytes as the server announced are there."""
        return self.source is not None and 0 < self.length_bytes == self.source.total

    def prepare(self, *, overwrite: bool) -> None:
        """Make the folder, and reject what is in the way before anything is fetched."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._reject_irreplaceable()
        if odd := odd_side_file(self.target):
            raise DownloadError(odd)
        if not overwrite and os.path.lexists(self.target):
            raise _taken(self.target)

    def open(self, address: str) -> None:
        """Open the file for this download alone, and see what an earlier one left."""
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _SAFELY, 0o666)
        self._claim()
        self.source = self._remembered(address)
        self.length_bytes = os.fstat(self._descriptor).st_size if self.source else 0
        os.lseek(self._descriptor, self.length_bytes, os.SEEK_SET)

    def restart(self, source: Source) -> None:
        """Drop the bytes, then note what comes next. In this order: see ``open`` after a crash."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.length_bytes = 0
        self.source = source
        self._sidecar.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY
        with open(os.open(self._sidecar, flags, 0o666), "w", encoding="utf-8") as file:
            json.dump(asdict(source), file)

    def append(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            written = os.write(self._descriptor, rest)
            self.length_bytes += written
            rest = rest[written:]

    def flaw(self) -> str | None:
        """Why the bytes are not the whole video; ``None`` if they are."""
        return flaw_of(self._descriptor, os.fstat(self._descriptor).st_size)

    def publish(self, *, overwrite: bool) -> None:
        """Give the file its name, for good: it is there after a power cut too.

        Once it has its name, the video is there, and nothing that fails after that matters.
        """
        # Before the name: after a power cut a name without its bytes would pass for a whole video.
        _sync(self._descriptor)
        if sys.platform == "win32":
            self.close()  # an open file cannot be renamed there
        if overwrite:
            self._reject_irreplaceable()  # it may have come while the video was fetched
            os.replace(self.path, self.target)
        else:
            _name_once(self.path, self.target)
        with suppress(OSError):
            self._sidecar.unlink(missing_ok=True)
        with suppress(OSError):
            self.close()
        with suppress(OSError):
            _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Drop bytes that are of no use."""
        os.ftruncate(self._descriptor, 0)
        self.source, self.length_bytes = None, 0

    def close(self) -> None:
        """Close the file; one without a byte in it is not worth keeping."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        is_ours, self._is_ours = self._is_ours, False
        try:
            if is_ours and os.fstat(descriptor).st_size == 0:
                # While it is still ours. Windows lets nobody remove an open file: there it stays.
                with suppress(PermissionError):
                    self.path.unlink(missing_ok=True)
                    self._sidecar.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _reject_irreplaceable(self) -> None:
        kind = irreplaceable_kind(self.target)
        if kind == "folder":
            raise DownloadError(f"{self.target} is a folder; name a file in it")
        if kind is not None:
            raise DownloadError(f"{self.target} is a {kind}, not a file; choose another name")

    def _claim(self) -> None:
        facts = os.fstat(self._descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise DownloadError(f"{self.path} is not a file; remove it, or choose another name")
        if not _is_locked(self._descriptor):
            raise DownloadError(f"another download is writing to {self.path}")
        # Between our open and our lock another download may have given the file its final name.
        if not self.path.exists() or not os.path.samestat(facts, self.path.lstat()):
            raise DownloadError(f"another download has just ended at {self.path}; call again")
        if facts.st_nlink > 1:
            # A crash between naming the file and dropping its old name: this is finished work.
            self._leave_as_it_is()
        self._is_ours = True

    def _leave_as_it_is(self) -> None:
        self.close()
        self.path.unlink()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY
        self._descriptor = os.open(self.path, flags, 0o666)
        self._claim()

    def _remembered(self, address: str) -> Source | None:
        try:
            with open(os.open(self._sidecar, os.O_RDONLY | _SAFELY), encoding="utf-8") as file:
                source = Source(**json.loads(_note(file)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None  # none, a link, cut by a crash, not ours
        return source if source.address == address and source.etag else None


def _note(file: TextIO) -> str:
    """What is in a regular file; a device in its place could be read for ever."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return ""
    return file.read(_NOTE_MAX_LETTERS)


def _is_locked(descriptor: int) -> bool:
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network folders know no locks; one process alone is fine there too
            return True
    return True


def _name_once(path: Path, target: Path) -> None:
    try:
        os.link(path, target)  # a rename would replace what has come there meanwhile
    except FileExistsError:
        raise _taken(target, path) from None
    except OSError:  # exFAT and some network folders have no hard links
        _reserve(target)
        try:
            os.replace(path, target)
        except OSError:
            target.unlink()  # ours, and empty
            raise
        return
    with suppress(OSError):  # the next download to this name finds it and drops it
        path.unlink()


def _reserve(target: Path) -> None:
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        raise _taken(target) from None


def _taken(target: Path, path: Path | None = None) -> DownloadError:
    kept = f" (the new video is kept as {path})" if path else ""
    return DownloadError(f"{target} exists already{kept}; pass overwrite=True to replace it")


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return  # a folder cannot be opened there; its journal keeps renames
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
