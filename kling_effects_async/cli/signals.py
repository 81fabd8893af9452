"""SIGTERM, made as gentle as Ctrl-C, and a Ctrl-C that is answered."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from kling_effects_async.cli.talk import say

__all__ = ["answered_ctrl_c", "ended_by_sigterm"]

# Windows has no such signals, and only the main thread may ask for them.
_NOT_HERE = (NotImplementedError, RuntimeError, ValueError)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM cancels the running task, so that there are last words."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    with suppress(*_NOT_HERE):
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        with suppress(*_NOT_HERE):
            loop.remove_signal_handler(signal.SIGTERM)


@contextmanager
def answered_ctrl_c() -> Iterator[None]:
    """Within the block the first Ctrl-C is answered at once; both do what asyncio makes of them.

    The first cancels the running task, which may take a while to write down what it sent; the
    second ends the loop.
    """
    loop, asyncios = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)

    def answer(number: int, frame: FrameType | None) -> None:
        assert callable(asyncios)
        signal.signal(signal.SIGINT, asyncios)
        # Not from here: a handler may have interrupted somebody who prints.
        loop.call_soon_threadsafe(say, "stopping; Ctrl-C again leaves at once")
        asyncios(number, frame)

    with suppress(*_NOT_HERE):
        if callable(asyncios):
            signal.signal(signal.SIGINT, answer)
    try:
        yield
    finally:
        with suppress(*_NOT_HERE):
            if callable(asyncios):
                signal.signal(signal.SIGINT, asyncios)
