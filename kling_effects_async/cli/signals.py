"""SIGTERM and SIGHUP, made as gentle as Ctrl-C, and a Ctrl-C that is answered."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from kling_effects_async.cli.talk import say
from kling_effects_async.cli.termination import TERMINATING

__all__ = ["answered_ctrl_c", "ended_by_sigterm"]

# Windows has no such signals, and only the main thread may ask for them.
_NOT_HERE = (NotImplementedError, RuntimeError, ValueError)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP cancel the running task, so that there are last words.

    What somebody ignores, as ``nohup`` does SIGHUP, stays ignored.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    before = {number: signal.getsignal(number) for number in TERMINATING}
    answered = [number for number in TERMINATING if before[number] is not signal.SIG_IGN]
    with suppress(*_NOT_HERE):
        for number in answered:
            loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        with suppress(*_NOT_HERE):
            for number in answered:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])  # the loop puts the default there


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
