"""Ctrl-C, SIGTERM and SIGHUP outside an event loop; ``runner`` has those within.

While the program loads they end it at once and without a word: nothing is open and nothing was sent
then. An exception would be no way out: many a module meets one in the middle of its import with
another. Later they are exceptions.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType, ModuleType

__all__ = ["TERMINATING", "Terminated", "end_quietly", "loaded", "loading", "raised_sigterm"]

# ``ExitCode.INTERRUPTED`` and ``TERMINATED``, which may not be imported before this is in force.
_INTERRUPTED, _TERMINATED = 130, 143
# A closed terminal (SIGHUP, which Windows does not have) ends a command as SIGTERM does.
TERMINATING = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@contextmanager
def loading() -> Iterator[None]:
    """Within the block (imports, nothing else) Ctrl-C, SIGTERM and SIGHUP end the process."""
    before = {number: signal.getsignal(number) for number in _numbers()}
    end_quietly()
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(ValueError):  # not in the main thread
                signal.signal(number, handler)


def loaded(name: str) -> ModuleType:
    """The module of this name, imported within ``loading``."""
    with loading():
        return import_module(name)


def end_quietly() -> None:
    """From now on Ctrl-C, SIGTERM and SIGHUP end the process, except those that are ignored.

    ``nohup`` ignores SIGHUP, and a shell ignores Ctrl-C for what it starts in the background.
    """
    for number in _numbers():
        if signal.getsignal(number) is not signal.SIG_IGN:
            with suppress(ValueError):  # not in the main thread
                signal.signal(number, _end)


def _numbers() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _end(number: int, _frame: FrameType | None) -> None:
    # Not ``sys.exit``: an exception in the middle of an import can be caught there.
    os._exit(_INTERRUPTED if number == signal.SIGINT else _TERMINATED)


class Terminated(BaseException):
    """The process is to end."""


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
