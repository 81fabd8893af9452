"""SIGTERM, made as gentle as Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["ended_by_sigterm"]

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
