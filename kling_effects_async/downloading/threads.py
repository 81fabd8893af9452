"""Calls that block, in threads: our own in the loop's pool, the caller's each in one of its own.

A thread cannot be stopped, and must not write to a file that is closed under it: so a call that is
cancelled waits for the thread. Our own files end; the caller's may be a pipe that nobody reads, so
that wait is bounded, and such a thread holds neither a place in the pool, which images and names of
hosts need, nor the end of the process.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import ParamSpec, TypeAlias, TypeVar, cast

from kling_effects_async.log_fields import log_fields

__all__ = ["MAX_WAIT_S", "in_own_thread", "off_loop"]

_log = logging.getLogger(__name__)

MAX_WAIT_S = 5.0  # for a write that hangs, once nobody wants it any more

P = ParamSpec("P")
T = TypeVar("T")
_Outcome: TypeAlias = tuple[T | None, BaseException | None]


async def off_loop(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what blocks in a thread of the pool, and wait for its end, also if cancelled."""
    ended = asyncio.get_running_loop().run_in_executor(
        None, _outcome, partial(call, *args, **kwargs)
    )
    return await _result(ended, max_wait_s=None)


async def in_own_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the caller's ``write`` in a new thread, and wait for its end.

    A cancellation waits for it too, but at most ``MAX_WAIT_S``.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[_Outcome[T]] = loop.create_future()

    def run() -> None:
        outcome = _outcome(partial(call, *args, **kwargs))
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ended.set_result, outcome)

    Thread(target=run, name="kling-effects-write", daemon=True).start()
    return await _result(ended, max_wait_s=MAX_WAIT_S)


async def _result(ended: asyncio.Future[_Outcome[T]], max_wait_s: float | None) -> T:
    try:
        value, error = await asyncio.shield(ended)
    except asyncio.CancelledError:
        await _wait(ended, max_wait_s)
        raise
    if error is not None:
        try:
            raise error
        finally:
            del error, ended  # its traceback holds this frame
    return cast(T, value)


async def _wait(ended: asyncio.Future[_Outcome[T]], max_wait_s: float | None) -> None:
    """Wait for the end of a thread, however often this is cancelled."""
    loop = asyncio.get_running_loop()
    until = math.inf if max_wait_s is None else loop.time() + max_wait_s
    while not ended.done() and loop.time() < until:
        with suppress(asyncio.CancelledError):
            left_s = None if until == math.inf else until - loop.time()
            await asyncio.wait([ended], timeout=left_s)
    if not ended.done():
        _log_hanging()


def _log_hanging() -> None:
    _log.warning(
        "a write to the target of a download hangs: the download ended %.0f s after it was "
        "cancelled or its client closed, and the write may still end",
        MAX_WAIT_S,
        extra=log_fields("clip.write_hangs", waited_s=MAX_WAIT_S),
    )


def _outcome(call: Callable[[], T]) -> _Outcome[T]:
    # Raised in a future, a TimeoutError would become another object, and a StopIteration no end of
    # the wait.
    try:
        return call(), None
    except BaseException as error:  # raised again in the loop
        return None, error
