"""A video that is handed on as it comes, to somebody who takes it chunk by chunk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kling_effects_async.downloading.mp4 import PassingBoxes
from kling_effects_async.downloading.part_file import Source
from kling_effects_async.downloading.reply import Promise, TryAgainError, no_video
from kling_effects_async.errors import DownloadError

__all__ = ["PassingSink"]


class PassingSink:
    """Hands the bytes on, and cannot take them back; see ``Sink`` for what is what.

    Args:
        write: takes one chunk; the next is read from the connection when it has returned.
        on_begin: called once, just before the first chunk: what fails before that is tried again
            and changes nothing for who takes the bytes.
    """

    next_step = "fetch the clip again, from its first byte"

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        on_begin: Callable[[Promise], None] = lambda _promise: None,
    ) -> None:
        self._write = write
        self._on_begin = on_begin
        self._boxes = PassingBoxes()
        self._promise: Promise | None = None
        self.length_bytes: int = 0

    @property
    def source(self) -> Source | None:
        return None if self._promise is None else self._promise.source

    @property
    def is_whole(self) -> bool:
        return self.source is not None and 0 < self.length_bytes == self.source.total

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[None]:
        if self.length_bytes and self.source is not None and self.source.address != address:
            raise DownloadError(f"{address} is another clip's than the one that began{self.remark}")
        yield

    async def restart(self, promise: Promise) -> None:
        if self.length_bytes:
            raise TryAgainError("the server began anew, or has another clip now", from_start=True)
        self._promise = promise

    async def append(self, chunk: bytes) -> None:
        # Before it is handed on: what does not begin like a video reaches nobody.
        if flaw := self._boxes.feed(chunk):
            raise no_video(flaw)
        if not self.length_bytes and self._promise is not None:
            self._on_begin(self._promise)
        self.length_bytes += len(chunk)
        await self._write(chunk)

    async def finish(self) -> None:
        if flaw := self._boxes.flaw_at_end():
            raise no_video(flaw)

    async def discard(self) -> None:
        if not self.length_bytes:
            self._boxes = PassingBoxes()

    def can_go_on(self, failure: TryAgainError) -> bool:
        if not self.length_bytes:
            return True
        is_named = self.source is not None and self.source.etag is not None
        return is_named and not failure.from_start

    @property
    def remark(self) -> str:
        length = self.length_bytes
        return f"; {length} bytes of it were handed on, and are of no use" if length else ""
