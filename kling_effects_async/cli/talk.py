"""What the command says to people: whole lines on stderr, each with its name in front.

Words that came from elsewhere (a service, a file name) lose what would steer a terminal.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["one_line", "plain_talk", "say"]

_log = logging.getLogger("kling_effects_async")


def one_line(text: str) -> str:
    """The text with line breaks as spaces, and without characters that are not for reading."""
    joined = " ".join(text.split())
    return (
        joined if joined.isprintable() else "".join(c if c.isprintable() else "?" for c in joined)
    )


def say(text: str) -> None:
    """Write one line to stderr; a closed stderr is no reason to lose a paid task."""
    line = f"kling-effects: {one_line(text)}"
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)
    except OSError:
        return


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
