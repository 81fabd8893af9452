"""SIGTERM and SIGHUP where no event loop answers them: an exception, as Ctrl-C is one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["TERMINATING", "Terminated", "raised_sigterm"]

# A closed terminal (SIGHUP, which Windows does not have) ends a command as SIGTERM does.
TERMINATING = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


class Terminated(BaseException):
    """Somebody wants the process to end."""


@contextmanager
def raised_sigterm() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise ``Terminated``, except where they are ignored."""
    before = {number: signal.getsignal(number) for number in TERMINATING}
    with suppress(ValueError):  # not in the main thread
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, _raise)
    try:
        yield
    finally:
        with suppress(ValueError):
            for number, handler in before.items():
                signal.signal(number, handler)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
