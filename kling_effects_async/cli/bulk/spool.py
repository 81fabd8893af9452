"""stdin as a file that can be read twice: once to check it, once to run it."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kling_effects_async.cli.bulk.manifest import Manifest
from kling_effects_async.cli.bulk.records import format_of
from kling_effects_async.cli.bulk.text_lines import HEAD_BYTES
from kling_effects_async.cli.failures import ExitCode, Failure

__all__ = ["spooled"]

_BLOCK_BYTES = 1 << 20


@contextmanager
def spooled(stdin: BinaryIO) -> Iterator[Manifest]:
    """Read stdin to its end into a temporary file without a name; it is gone with the process.

    Paths in it are relative to the working folder.

    Raises:
        Failure: there is no room for it.
    """
    with tempfile.TemporaryFile(buffering=0) as file:
        try:
            shutil.copyfileobj(stdin, file, _BLOCK_BYTES)
        except OSError as error:
            why = f"stdin cannot be kept in {tempfile.gettempdir()}: {error.strerror or error}"
            advice = "Set TMPDIR to a folder with room, or write it to a file and name that."
            raise Failure(ExitCode.REJECTED_HERE, [why, advice]) from error

        def open_file() -> BinaryIO:
            return io.BufferedReader(_OwnPosition(file))

        with open_file() as head:
            kind = format_of(head.read(HEAD_BYTES))
        yield Manifest("stdin", kind, Path(), open_file)


class _OwnPosition(io.RawIOBase):
    """A reader of a file that others read too, each from its own position."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only from the start")
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # as io has it
        self._file.seek(self._position)
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]  # a raw file has it
        self._position += count
        return count
