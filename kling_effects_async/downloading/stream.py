"""A clip that is read while it comes: one task transfers it, one consumer takes its chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from kling_effects_async.downloading.passing_sink import PassingSink
from kling_effects_async.downloading.sink import Sink
from kling_effects_async.errors import ClientClosedError
from kling_effects_async.protocol.redaction import bare

__all__ = ["OpenedVideo", "VideoStream"]

_NEXT_STEP = "open the video again, and read it from its start"


class _Handoff:
    """One chunk at a time, from the transfer to the consumer."""

    def __init__(self) -> None:
        self._chunk: bytes | None = None
        self._error: BaseException | None = None
        self._is_ended = False
        self._came, self._taken = asyncio.Event(), asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Return once the consumer has taken it, so that nothing more is read before."""
        self._chunk = chunk
        self._taken.clear()
        self._came.set()
        await self._taken.wait()

    async def ready(self) -> None:
        """Wait for a chunk, or for the end; raise the error that is the end."""
        while self._chunk is None and not self._is_ended:
            self._came.clear()
            await self._came.wait()
        if self._chunk is None and self._error is not None:
            raise bare(self._error)

    async def take(self) -> bytes | None:
        """The next chunk; ``None`` after the last one."""
        await self.ready()
        chunk, self._chunk = self._chunk, None
        self._taken.set()
        return chunk

    def end(self, error: BaseException | None) -> None:
        """Nothing more comes; the first end counts. An error goes before what is not taken yet."""
        if self._is_ended:
            return
        self._is_ended, self._error = True, error
        if error is not None:
            self._chunk = None
        self._came.set()


class VideoStream:
    """The bytes of a clip, in order, in chunks of at most 384 KiB; from ``open_video``.

    ``async for chunk in stream`` ends after the last byte of a whole clip, and with an error in
    every other case.

    Attributes:
        size_bytes: of the whole clip; ``None`` if the server does not announce it.
        content_type: ``video/...``; ``video/mp4`` where the server names none of these.
    """

    def __init__(self, handoff: _Handoff, size_bytes: int | None, content_type: str) -> None:
        self._handoff = handoff
        self.size_bytes = size_bytes
        self.content_type = content_type

    def __repr__(self) -> str:
        return f"<VideoStream of {self.size_bytes} bytes, {self.content_type}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes.

        Raises:
            DownloadError: the clip did not come whole, or is none.
            ClientClosedError: the client was closed meanwhile.
            RuntimeError: the ``async with`` block was left before the clip was whole.
        """
        chunk = await self._handoff.take()
        if chunk is None:
            raise StopAsyncIteration
        return chunk


class OpenedVideo:
    """One clip on its way to a consumer; made in a running loop, close it.

    Args:
        transfer: moves the clip into a sink.
    """

    def __init__(self, transfer: Callable[[Sink], Awaitable[object]]) -> None:
        self._handoff = _Handoff()
        self._sink = PassingSink(self._handoff.put, next_step=_NEXT_STEP)
        self._task = asyncio.create_task(self._run(transfer))

    async def _run(self, transfer: Callable[[Sink], Awaitable[object]]) -> None:
        end: BaseException | None = ClientClosedError(
            f"the transfer of the video was cancelled; {_NEXT_STEP}"
        )
        try:
            await transfer(self._sink)
            end = None
        except Exception as error:  # delivered to the consumer
            end = error
        finally:
            self._handoff.end(end)

    async def stream(self) -> VideoStream:
        """The stream, once its first bytes are there and begin like a video.

        Raises:
            KlingEffectsError: they do not come.
        """
        await self._handoff.ready()
        source = self._sink.source
        return VideoStream(
            self._handoff, None if source is None else source.total, self._sink.content_type
        )

    async def client_closed(self) -> None:
        """End it for the consumer with an error, and close its connection."""
        self._handoff.end(
            ClientClosedError(f"the client was closed during a download; {_NEXT_STEP}")
        )
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connection; nothing is read from it any more."""
        self._handoff.end(RuntimeError("the stream is closed: read it inside its `async with`"))
        self._task.cancel()
        await asyncio.wait([self._task])
