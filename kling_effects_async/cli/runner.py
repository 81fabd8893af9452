"""The event loop of a command, and what stops it.

The first signal stops gently, a second one of any kind at once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

from kling_effects_async.cli.console import say
from kling_effects_async.cli.failures import ExitCode, Failure
from kling_effects_async.cli.signals import TERMINATING, Terminated

__all__ = ["run", "run_free", "stopped_gently"]

T = TypeVar("T")
# Windows has no such signals, and only the main thread may handle them.
_NOT_HERE = (NotImplementedError, RuntimeError, ValueError)


def run(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, on uvloop where the extra ``[speed]`` is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def run_free(main: Coroutine[Any, Any, T], *, said: str = "") -> T:
    """The same for what pays nothing, so that a signal may end it anywhere.

    Args:
        said: what a person should know then.

    Raises:
        Failure: a signal ended it.
    """
    lines = [said] if said else []
    try:
        return run(_stopped_by_signals(main))
    except KeyboardInterrupt:
        raise Failure(ExitCode.INTERRUPTED, lines) from None
    except (asyncio.CancelledError, Terminated):  # the loop has ended: no one awaits it
        raise Failure(ExitCode.TERMINATED, lines) from None


async def _stopped_by_signals(main: Coroutine[Any, Any, T]) -> T:
    with stopped_gently():
        return await main


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextmanager
def stopped_gently(drain: Callable[[], None] | None = None) -> Iterator[None]:
    """Within the block the first signal cancels the running task, which may take a while.

    With ``drain`` a first Ctrl-C calls that instead, and the next one counts as the first signal.

    It records what it sent, and its summary is printed. A second signal, of the same kind or
    another, ends the loop, and asyncio cancels all that still runs; a third Ctrl-C raises where it
    is, whatever blocks the loop. An ignored signal, as SIGHUP is under ``nohup``, stays ignored.
    """
    stopping = _Stopping(drain)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *TERMINATING)}
    answered = [n for n in TERMINATING if before[n] is not signal.SIG_IGN]
    with suppress(*_NOT_HERE):
        for number in answered:
            stopping.loop.add_signal_handler(number, stopping.terminate)
        if callable(before[signal.SIGINT]):
            signal.signal(signal.SIGINT, stopping.interrupt)
    try:
        yield
    finally:
        with suppress(*_NOT_HERE):
            for number in answered:
                stopping.loop.remove_signal_handler(number)
                signal.signal(number, before[number])  # the loop puts the default there
            if callable(before[signal.SIGINT]):
                signal.signal(signal.SIGINT, before[signal.SIGINT])


class _Stopping:
    """What the signals have done so far to the running task."""

    def __init__(self, drain: Callable[[], None] | None) -> None:
        self._drain = drain
        self.loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._asyncios = signal.getsignal(signal.SIGINT)
        self._was_stopped = False

    def terminate(self) -> None:
        """SIGTERM or SIGHUP."""
        assert self._task is not None
        # A second signal also ends what the first one lets finish, such as a pending submit.
        for each in asyncio.all_tasks(self.loop) if self._was_stopped else [self._task]:
            each.cancel()
        self._was_stopped = True

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C. The first one does what asyncio makes of it."""
        assert callable(self._asyncios)
        if self._drain is not None:
            drain, self._drain = self._drain, None
            self.loop.call_soon_threadsafe(drain)
            return
        if self._was_stopped:
            signal.signal(signal.SIGINT, self._asyncios)
            # Not raised here: from where Python drops exceptions (a weak reference's callback, a
            # destructor) it would print a traceback, and end nothing.
            self.loop.call_soon_threadsafe(_interrupt)
            return
        self._was_stopped = True
        # Not printed here: the handler may have interrupted a print.
        self.loop.call_soon_threadsafe(say, "stopping; Ctrl-C again leaves at once")
        self._asyncios(number, frame)


def _interrupt() -> None:
    raise KeyboardInterrupt
