"""Both outputs of a command: stdout for programs, stderr for people.

stdout gets paths and JSON. stderr gets whole lines, each with the command's name in front; words
that came from elsewhere (a service, a file name) lose what would steer a terminal. A process may
get either stream closed, full, or without a reader.

Loads nothing that is slow: the version is printed with it.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable
from typing import TextIO

from kling_effects_async.cli.failures import ExitCode, Failure

__all__ = [
    "NotPrinted",
    "json_line",
    "lost_stdout",
    "not_printed",
    "occupy_descriptors",
    "one_line",
    "print_json",
    "print_json_lines",
    "print_lines",
    "print_result",
    "say",
    "write_err",
    "write_out",
]

# Whatever ``str.splitlines`` takes for the end of a line, and a tab.
_BREAK = re.compile(r"[ ]*[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
# What a stream that cannot be written raises; ValueError: it is closed.
_UNUSABLE = (OSError, ValueError)


def one_line(text: str) -> str:
    """The text with line breaks as spaces, and without characters that are not for reading.

    Spaces stay as many as they are: a command line to copy may have a file name with two.
    """
    joined = _BREAK.sub(" ", text.strip())
    return (
        joined if joined.isprintable() else "".join(c if c.isprintable() else "?" for c in joined)
    )


def say(text: str) -> None:
    """Write one line to stderr; a stderr that is closed is no reason to lose a paid task."""
    write_err(f"kling-effects: {one_line(text)}")


def print_result(line: str | bytes, *, else_say: str) -> None:
    """Print what the command was run for; a reader that has left has missed it.

    Raises:
        Failure: it cannot be printed; says ``else_say``.
    """
    try:
        write_out(line)
    except NotPrinted as error:
        raise Failure(ExitCode.NOT_PRINTED, [else_say, not_printed(error)]) from error


def not_printed(error: NotPrinted) -> str:
    """The sentence about it."""
    return f"stdout cannot be written: {error}"


def json_line(value: object) -> bytes:
    """One JSON value on one line, in UTF-8 whatever the terminal has, and letters as they are.

    What is not for reading is escaped: it could steer a terminal, or be taken for a line's end, and
    a file name need not be text.
    """
    import json

    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    return text.encode()


def print_json(value: object) -> None:
    """One JSON value on one line."""
    _print(json_line(value))


def print_json_lines(values: Iterable[object]) -> None:
    """One JSON value on each line."""
    _print(b"\n".join(map(json_line, values)))


def print_lines(lines: Iterable[str]) -> None:
    """Text for people, in an encoding that has every letter of it."""
    _print("\n".join(lines).encode("utf-8", "backslashreplace"))


def _print(lines: str | bytes) -> None:
    """Lines of a list: a reader that has left, like ``head``, has seen enough.

    Raises:
        NotPrinted: they cannot be printed for any other reason.
    """
    try:
        write_out(lines)
    except NotPrinted as error:
        if not error.has_no_reader:
            raise


class NotPrinted(Exception):
    """A line did not get to stdout; the text says why, in the system's words.

    Attributes:
        has_no_reader: the reader has left, as ``head`` does.
    """

    def __init__(self, reason: str, *, has_no_reader: bool = False) -> None:
        super().__init__(reason)
        self.has_no_reader = has_no_reader


def occupy_descriptors() -> None:
    """Open what is closed of the descriptors 0 to 2.

    Otherwise the journal or a connection gets one of them, and what writes to "stderr" without
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
    """Write one line to stderr; where that is not possible it is dropped."""
    if sys.stderr is None:
        return
    # Not every terminal has every letter; an escaped letter is better than no line.
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    try:
        _write(sys.stderr, line.encode(encoding, "backslashreplace").decode(encoding))
    except _UNUSABLE:
        sys.stderr = None  # as Python itself does for a closed one


def _write(stream: TextIO, line: str | bytes) -> None:
    if isinstance(line, bytes):
        # Text that was written before lies in a buffer above this one, and comes first.
        stream.flush()
        stream.buffer.write(line + b"\n")
    else:
        stream.write(line + "\n")
    stream.flush()


class _Lost(io.TextIOBase):
    """Replaces stdout: each further write raises the same error."""

    def __init__(self, error: NotPrinted) -> None:
        self.error = error

    def write(self, _text: str) -> int:
        raise self.error


def _point_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
