"""The emulator's log of requests as lines on stderr."""

from __future__ import annotations

import logging
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kling_effects_async.cli.talk import say
from kling_effects_async.emulator.request_log import LOGGER_NAME

__all__ = ["request_lines"]


@contextmanager
def request_lines(*, is_wanted: bool) -> Iterator[None]:
    """Within the block, every request of an emulator is told in one line."""
    if not is_wanted:
        yield
        return
    logger, handler = logging.getLogger(LOGGER_NAME), _RequestLines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _RequestLines(logging.Handler):
    """Says a line if that takes no time: a full pipe that nobody reads must not stop requests."""

    def emit(self, record: logging.LogRecord) -> None:
        if _can_be_written():
            say(record.getMessage())


def _can_be_written() -> bool:
    """Whether a line fits. A pipe is writable when 4 KiB are free (POSIX, PIPE_BUF), a line less.

    ``True`` where nobody can tell: on Windows, and for a stream without a file.
    """
    try:
        poll = select.poll()
        poll.register(sys.stderr, select.POLLOUT)
        return any(event & select.POLLOUT for _file, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return True
