"""A clip as a stream of chunks: one task fetches it, no faster than its reader takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

from kling_effects_async.downloading.passing_sink import PassingSink
from kling_effects_async.downloading.reply import Promise

__all__ = ["ClipStream", "opened_stream"]

# One that waits for the reader, beside the one that the reader has.
_READ_AHEAD = 1


class ClipStream:
    """The bytes of a clip, in chunks of up to 384 KiB; made by ``EffectsClient.open_video``.

    ::

        async with client.open_video(result.video) as stream:
            async for chunk in stream:
                await response.write(chunk)

    Attributes:
        size_bytes: of the whole clip; ``None`` if the server does not say.
        content_type: ``video/mp4``, or another ``video/...`` that the server names.
    """

    def __init__(self) -> None:
        self.size_bytes: int | None = None
        self.content_type: str = "video/mp4"
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_READ_AHEAD)
        self._fetching: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk.

        Raises:
            DownloadError, VideoExpiredError, ClientClosedError: the rest will not come; what came
                before is no whole clip.
        """
        chunk = await self._chunks.get()
        if chunk is not None:
            self._room.release()
            return chunk
        self._chunks.put_nowait(None)  # whoever asks again gets the same end
        if self._fetching is not None and not self._fetching.cancelled():
            self._fetching.result()
        raise StopAsyncIteration

    async def _hand_over(self, chunk: bytes) -> None:
        await self._room.acquire()
        self._chunks.put_nowait(chunk)

    def _end(self, fetching: asyncio.Future[None]) -> None:
        self._fetching = fetching
        self._chunks.put_nowait(None)


@asynccontextmanager
async def opened_stream(
    fetch: Callable[[PassingSink], Awaitable[None]],
) -> AsyncIterator[ClipStream]:
    """A stream whose clip has begun to come; leaving the block ends the transfer.

    Args:
        fetch: has the clip fetched into a sink.

    Raises:
        KlingEffectsError: from ``fetch``, before the first byte.
    """
    stream = ClipStream()
    begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(promise: Promise) -> None:
        stream.size_bytes, stream.content_type = promise.source.total, promise.content_type
        begun.set_result(None)

    async def run() -> None:
        await fetch(PassingSink(stream._hand_over, begin))

    fetching = asyncio.create_task(run(), name="kling-effects-stream")
    fetching.add_done_callback(stream._end)
    try:
        await asyncio.wait([begun, fetching], return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            fetching.result()
        yield stream
    finally:
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)
