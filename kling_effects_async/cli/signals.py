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

    The second one cancels all that runs, as asyncio does after a second Ctrl-C: nothing is waited
    for any more. What somebody ignores, as ``nohup`` does SIGHUP, stays ignored.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    was_told = False

    def end() -> None:
        nonlocal was_told
        for each in asyncio.all_tasks(loop) if was_told else [task]:
            each.cancel()
        was_told = True

    before = {number: signal.getsignal(number) for number in TERMINATING}
    answered = [number for number in TERMINATING if before[number] is not signal.SIG_IGN]
    with suppress(*_NOT_HERE):
        for number in answered:
            loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        with suppress(*_NOT_HERE):
            for number in answered:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number])  # the loop puts the default there


@contextmanager
def answered_ctrl_c() -> Iterator[None]:
    """Within the block the first Ctrl-C is answered at once, and the second is never lost.

    The first does what asyncio makes of it: it cancels the running task, which may take a while to
    write down what it sent. The second ends the loop, and asyncio cancels all that still runs. A
    third raises where it is: whatever holds the loop up.
    """
    loop, asyncios = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)

    def answer(number: int, frame: FrameType | None) -> None:
        assert callable(asyncios)
        signal.signal(signal.SIGINT, leave)
        # Not from here: a handler may have interrupted somebody who prints.
        loop.call_soon_threadsafe(say, "stopping; Ctrl-C again leaves at once")
        asyncios(number, frame)

    def leave(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, asyncios)
        # Nor is this raised here: from where Python drops exceptions (a weak reference's callback,
        # a destructor) it would print a traceback, and end nothing.
        loop.call_soon_threadsafe(_interrupt)

    with suppress(*_NOT_HERE):
        if callable(asyncios):
            signal.signal(signal.SIGINT, answer)
    try:
        yield
    finally:
        with suppress(*_NOT_HERE):
            if callable(asyncios):
                signal.signal(signal.SIGINT, asyncios)


def _interrupt() -> None:
    raise KeyboardInterrupt
