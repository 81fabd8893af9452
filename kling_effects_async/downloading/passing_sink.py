"""A video handed on as it comes, to somebody who cannot give it back.

Until its first bytes are handed on it can begin anew, as a file can. After that only a server that
vouches for the rest (a strong ETag) can go on; in every other case the receiver gets an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kling_effects_async.downloading.mp4 import PassingBoxes
from kling_effects_async.downloading.part_file import Source
from kling_effects_async.downloading.reply import Promise, TryAgainError, no_video
from kling_effects_async.errors import DownloadError

__all__ = ["PassingSink"]

_FIRST_BYTES = 8  # show whether it begins like an MP4; nothing is handed on before


class PassingSink:
    """Hands a video on; see ``Sink`` for what is what.

    Args:
        hand_on: takes the next bytes of the video, never an empty chunk.
        next_step: what to do when the client was closed meanwhile.

    Attributes:
        handed_bytes: how many bytes are handed on, or about to be.
        content_type: of the video, as the server names it.
    """

    def __init__(self, hand_on: Callable[[bytes], Awaitable[None]], *, next_step: str) -> None:
        self._hand_on = hand_on
        self.next_step: str = next_step
        self.source: Source | None = None
        self.content_type: str = ""
        self.handed_bytes: int = 0
        self.length_bytes: int = 0
        self._forget()

    def _forget(self) -> None:
        self.length_bytes = 0
        self._held = b""
        self._boxes = PassingBoxes()

    @property
    def is_whole(self) -> bool:
        return self.source is not None and 0 < self.length_bytes == self.source.total

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[None]:
        if self.source is not None and self.source.address != address:
            if self.handed_bytes:
                raise DownloadError(f"{address} is another address than before{self.remark}")
            await self.discard()
        yield

    async def restart(self, promise: Promise) -> None:
        if self.handed_bytes:
            raise TryAgainError("the server does not send the rest of it", from_start=True)
        self._forget()
        self.source, self.content_type = promise.source, promise.content_type

    async def append(self, chunk: bytes) -> None:
        if flaw := self._boxes.feed(chunk):
            raise no_video(flaw)
        self.length_bytes += len(chunk)
        chunk, self._held = self._held + chunk if self._held else chunk, b""
        if self.length_bytes < _FIRST_BYTES:
            self._held = chunk
            return
        self.handed_bytes += len(chunk)
        await self._hand_on(chunk)

    async def finish(self) -> None:
        if flaw := self._boxes.flaw_at_end():
            raise no_video(flaw)

    async def discard(self) -> None:
        if not self.handed_bytes:
            self.source = None
            self._forget()

    def can_go_on(self, failure: TryAgainError) -> bool:
        if not self.handed_bytes:
            return True
        return not failure.from_start and self.source is not None and self.source.etag is not None

    @property
    def remark(self) -> str:
        handed = self.handed_bytes
        return (
            f"; {handed} bytes are handed on already, ask for it from its start" if handed else ""
        )
