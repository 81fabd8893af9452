"""Both outputs of a command: stdout for programs, stderr for people.

stdout gets paths and JSON. stderr gets whole lines, each with the command's name in front; words
that came from elsewhere (a service, a file name) lose what would steer a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.streams import NotPrinted, write_err, write_out

__all__ = [
    "not_printed",
    "one_line",
    "print_json",
    "print_json_lines",
    "print_lines",
    "print_result",
    "say",
]

# Whatever ``str.splitlines`` takes for the end of a line, and a tab.
_BREAK = re.compile(r"[ ]*[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")


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
    """What the command was run for: a reader that has left has missed it.

    Raises:
        Failure: it cannot be printed; says ``else_say``.
    """
    try:
        write_out(line)
    except NotPrinted as error:
        raise Failure(ExitCode.NOT_PRINTED, [else_say, not_printed(error)]) from error


def not_printed(error: NotPrinted) -> str:
    """What to say of it."""
    return f"stdout cannot be written: {error}"


def print_json(value: object) -> None:
    """One JSON value on one line, in ASCII, which no terminal or pipe can garble."""
    _print(json.dumps(value))


def print_json_lines(values: Iterable[object]) -> None:
    """One JSON value on each line."""
    _print("\n".join(map(json.dumps, values)))


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
