"""Downloads into targets of the caller's, which end before the client is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from kling_effects_async.errors import ClientClosedError

__all__ = ["NEXT_STEP", "OpenWrites"]

NEXT_STEP = "call download() again, with a fresh target"


class OpenWrites:
    """Those under way: who closes the client then may close the targets too."""

    def __init__(self) -> None:
        self._ended: dict[asyncio.Timeout, asyncio.Future[None]] = {}

    async def run(self, download: Awaitable[None]) -> None:
        """Await it.

        Raises:
            ClientClosedError: closed meanwhile.
        """
        limit, ended = asyncio.timeout(None), asyncio.get_running_loop().create_future()
        try:
            async with limit:
                self._ended[limit] = ended
                return await download
        except TimeoutError:
            if not limit.expired():  # the target's own
                raise
        finally:
            self._ended.pop(limit, None)
            ended.set_result(None)
        raise ClientClosedError(f"the client was closed during a download; {NEXT_STEP}")

    async def aclose(self) -> None:
        """Cancel each, and wait for its end; a write in a thread takes ``MAX_WAIT_S`` at most."""
        for limit in self._ended:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time())
        if self._ended:
            await asyncio.wait(list(self._ended.values()))
