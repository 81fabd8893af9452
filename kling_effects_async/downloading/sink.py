"""Where the bytes of one transfer go: what the loop in ``downloader`` needs of it.

``FileSink`` keeps them in a file, and can begin anew; ``PassingSink`` hands them on, and cannot.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from kling_effects_async.downloading.part_file import Source
from kling_effects_async.downloading.reply import Promise, TryAgainError

__all__ = ["Sink"]


class Sink(Protocol):
    """Takes the bytes of a video, over all attempts to fetch it."""

    @property
    def source(self) -> Source | None:
        """What the bytes are the beginning of; ``None`` while there is nothing to go on with."""

    @property
    def length_bytes(self) -> int:
        """How many bytes of the video it has."""

    @property
    def is_whole(self) -> bool:
        """As many bytes as the server announced are there."""

    def attempt(self, address: str) -> AbstractAsyncContextManager[None]:
        """Be open for the bytes of this address in the block.

        Raises:
            DownloadError: they cannot go here.
        """

    async def restart(self, promise: Promise) -> None:
        """Take the video from its first byte on.

        Raises:
            TryAgainError, DownloadError: what has come cannot be taken back.
        """

    async def append(self, chunk: bytes) -> None:
        """Take what comes next.

        Raises:
            TryAgainError, DownloadError: it cannot be taken.
        """

    async def finish(self) -> None:
        """All bytes are there.

        Raises:
            TryAgainError, DownloadError: they are no whole video, or cannot be kept.
        """

    async def discard(self) -> None:
        """Drop what has come, as far as that can be done."""

    def can_go_on(self, failure: TryAgainError) -> bool:
        """Whether another attempt makes sense after one that failed."""

    @property
    def remark(self) -> str:
        """What has become of the bytes so far, for an error: ``"; ..."`` or nothing."""

    @property
    def next_step(self) -> str:
        """What to do when the client was closed meanwhile, as the end of a sentence."""
