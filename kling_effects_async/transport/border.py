"""Where the HTTP library ends: what comes out of an await has none of its frames."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from kling_effects_async.protocol.shown import bare

__all__ = ["frameless"]

T = TypeVar("T")


async def frameless(act: Awaitable[T]) -> T:
    """Await it; an error or a cancellation is raised as if it began here.

    It stays the very object that was raised, so that ``asyncio.timeout`` and task groups know it.
    """
    try:
        return await act
    except BaseException as error:  # whatever it is, it is raised again
        ended = bare(error)
    try:
        raise ended  # out here, so that its context is the caller's
    finally:
        del ended  # its traceback holds this frame
