"""What to do about a video's address that its server rejects.

- Its task has just ended, or when it did is not known, and the server does not have the video: the
  task is queried again for some seconds, with growing pauses, and each address it has is tried.
- Its task ended long ago, or the address has expired: the task is queried for another address, and
  that is tried once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from attrs import field, frozen

from kling_effects_async.downloading.reply import NotThereError
from kling_effects_async.errors import KlingEffectsError, VideoExpiredError
from kling_effects_async.models import without_query
from kling_effects_async.policy import backoff_s
from kling_effects_async.transport.clock import Clock, sleep

__all__ = ["Renewed", "download_renewed"]

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0


@frozen
class Renewed:
    """What a new query of its task returns for a video.

    Attributes:
        is_new: its task may have ended a moment ago.
    """

    url: str = field(repr=without_query)
    is_new: bool


async def download_renewed(
    fetch: Callable[[str], Awaitable[T]],
    renew: Callable[[], Awaitable[Renewed | None]],
    url: str,
    *,
    grace_s: float,
    clock: Clock,
    rng: Callable[[], float],
) -> T:
    """Fetch a video, over rejections as the top of this file says.

    Args:
        renew: queries the task; ``None`` if it has the video no more, or cannot be queried.
        grace_s: how long a new video may stay away.

    Raises:
        VideoExpiredError: rejected in the end; says for how long it was tried.
        KlingEffectsError: from ``fetch``, or from ``renew`` after the first rejection.
    """
    began_at = clock.monotonic()
    known: Renewed | None = None
    for tries in count(1):
        try:
            return await fetch(url)
        except VideoExpiredError as rejected:
            rejection = rejected
        known = await _renewed(renew, known)
        if known is None:
            break
        elapsed_s = clock.monotonic() - began_at
        may_come = known.is_new and isinstance(rejection, NotThereError)
        pause_s = 0.0
        if may_come:
            pause_s = backoff_s(
                tries, None, rng, base_s=_FIRST_PAUSE_S, max_pause_s=_LONGEST_PAUSE_S
            )
        if tries == 1 and known.url != url:
            pause_s = 0.0  # another address, and no reason yet to wait for it
        elif may_come and elapsed_s + pause_s > grace_s:
            raise _still_missing(rejection, elapsed_s)
        elif tries > 1 and not may_come:
            break
        await sleep(clock, pause_s)
        url = known.url
    raise rejection


async def _renewed(
    renew: Callable[[], Awaitable[Renewed | None]], known: Renewed | None
) -> Renewed | None:
    """What a query returns now; what it returned before, where it fails now."""
    try:
        return await renew() or known
    except KlingEffectsError:
        if known is None:
            raise
        return known


def _still_missing(rejection: VideoExpiredError, elapsed_s: float) -> VideoExpiredError:
    return VideoExpiredError(
        f"{rejection}; its task is new, so it was tried for {elapsed_s:.0f} s: "
        "call download() again later"
    )
