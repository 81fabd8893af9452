"""What the command says to people: whole lines on stderr, each with its name in front.

Words that came from elsewhere (a service, a file name) lose what would steer a terminal.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from kling_effects_async.cli.streams import write_err

__all__ = ["one_line", "plain_talk", "say"]

# Whatever ``str.splitlines`` takes for the end of a line, and a tab.
_BREAK = re.compile(r"[ ]*[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")

_log = logging.getLogger("kling_effects_async")


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


@contextmanager
def plain_talk() -> Iterator[None]:
    """Within the block, the package's warnings and log messages come as lines of the command."""
    handler = _Lines(level=logging.WARNING)
    _log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            from kling_effects_async import UnknownSceneWarning

            warnings.simplefilter("always", UnknownSceneWarning)
            warnings.showwarning = _say_warning
            yield
    finally:
        _log.removeHandler(handler)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    say(str(message))
