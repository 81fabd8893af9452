"""Which event loop a process of the benchmark runs on."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

__all__ = ["has_uvloop", "runner"]


def has_uvloop() -> bool:
    """Whether the extra ``[speed]`` brought it."""
    return find_spec("uvloop") is not None


def runner(*, is_uvloop: bool) -> asyncio.Runner:
    """A runner on asyncio's own loop, or on uvloop where it is wanted and there."""
    if is_uvloop and has_uvloop():
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()
