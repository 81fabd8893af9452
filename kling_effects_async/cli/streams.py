"""The standard streams as a process may get them: closed, full, or with nobody who reads.

Loads nothing that is slow: the version is printed with it.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

__all__ = ["NotPrinted", "lost_stdout", "occupy_descriptors", "write_err", "write_out"]

# What a stream that cannot be written raises; ValueError: it is closed.
_UNUSABLE = (OSError, ValueError)


class NotPrinted(Exception):
    """A line did not get to stdout; the text says why, in the system's words.

    Attributes:
        has_no_reader: who was to read has left, as ``head`` does.
    """

    def __init__(self, reason: str, *, has_no_reader: bool = False) -> None:
        super().__init__(reason)
        self.has_no_reader = has_no_reader


def occupy_descriptors() -> None:
    """Open what is closed of the descriptors 0 to 2.

    Otherwise the journal or a connection gets one of them, and whoever writes to "stderr" without
    Python (a video library, a crash report) writes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _point_to_null(number)


def write_out(line: str | bytes) -> None:
    """Write one line to stdout, at once; bytes as they are.

    Raises:
        NotPrinted: it could not be written, as any line after it.
    """
    if sys.stdout is None:
        raise NotPrinted("it is closed")
    if isinstance(sys.stdout, _Lost):
        raise sys.stdout.error
    try:
        _write(sys.stdout, line)
    except _UNUSABLE as error:
        raise lost_stdout(error) from error


def lost_stdout(error: OSError | ValueError) -> NotPrinted:
    """What to raise for an error that stdout raised; from now on nothing is written to it."""
    reason = getattr(error, "strerror", None) or "it is closed"
    lost = NotPrinted(reason, has_no_reader=isinstance(error, BrokenPipeError))
    sys.stdout = _Lost(lost)
    return lost


def write_err(line: str) -> None:
    """Write one line to stderr; where that is not possible nobody is left to be told."""
    if sys.stderr is None:
        return
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    try:
        _write(sys.stderr, line.encode(encoding, "backslashreplace").decode(encoding))
    except _UNUSABLE:
        sys.stderr = None  # as Python itself does for a closed one


def _write(stream: TextIO, line: str | bytes) -> None:
    if isinstance(line, bytes):
        stream.flush()
        stream.buffer.write(line + b"\n")
    else:
        stream.write(line + "\n")
    stream.flush()


class _Lost(io.TextIOBase):
    """Stands where stdout was; whoever writes to it meets the same again."""

    def __init__(self, error: NotPrinted) -> None:
        self.error = error

    def write(self, _text: str) -> int:
        raise self.error


def _point_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
