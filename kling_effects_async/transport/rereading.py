"""To read a file again, for a while, when this machine cannot read it now."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from kling_effects_async.errors import ImageUnreadableError

__all__ = ["SHORT_PAUSES_S", "read_patiently"]

T = TypeVar("T")

# Descriptors are free again as soon as other uploads end, and a network's file system that comes
# back at all mostly does so within some seconds. 30 s in all.
_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 8.0, 10.0)

# For whoever occupies a connection meanwhile: where all descriptors are connections that wait for a
# file, one of them has to give its own back. 0.75 s in all.
SHORT_PAUSES_S = (0.05, 0.1, 0.2, 0.4)


async def read_patiently(
    read: Callable[[], Awaitable[T]],
    *,
    pauses_s: Sequence[float] = _PAUSES_S,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    rng: Callable[[], float] = random.random,
) -> T:
    """What ``read`` returns, tried again after pauses while the file cannot be read.

    Args:
        pauses_s: on average; each is drawn between half of it and one and a half, so that those
            who wait for the same thing do not try, or stop trying, at the same moment.

    Raises:
        ImageUnreadableError: it still cannot be read after the last pause.
    """
    for pause_s in pauses_s:
        try:
            return await read()
        except ImageUnreadableError:
            await pause(pause_s * (0.5 + rng()))
    return await read()
