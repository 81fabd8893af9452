"""A video into a ``PartFile``, off the loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from kling_effects_async.downloading.part_file import PartFile, Source
from kling_effects_async.downloading.reply import Promise, TryAgainError, no_video
from kling_effects_async.downloading.threads import off_loop
from kling_effects_async.errors import DownloadError

__all__ = ["FileSink"]

P = ParamSpec("P")
T = TypeVar("T")


class FileSink:
    """Keeps what came, over attempts, calls and processes; see ``Sink`` for what is what.

    Args:
        overwrite: replace the file that has the name.
    """

    next_step = "what came is kept, call download() again"

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self._part = PartFile(target)
        self._overwrite = overwrite

    async def prepare(self) -> None:
        """Reject what is in the way, before anything is fetched."""
        await _on_disk(self._part.prepare, overwrite=self._overwrite)

    @property
    def source(self) -> Source | None:
        return self._part.source

    @property
    def length_bytes(self) -> int:
        return self._part.length_bytes

    @property
    def is_whole(self) -> bool:
        return self._part.is_whole

    @asynccontextmanager
    async def attempt(self, address: str) -> AsyncIterator[None]:
        try:
            await _on_disk(self._part.open, address)
            yield
        finally:
            await _on_disk(self._part.close)

    async def restart(self, promise: Promise) -> None:
        await _on_disk(self._part.restart, promise.source)

    async def append(self, chunk: bytes) -> None:
        await _on_disk(self._part.append, chunk)

    async def finish(self) -> None:
        if flaw := await _on_disk(self._part.flaw):
            raise no_video(flaw)
        await _on_disk(self._part.publish, overwrite=self._overwrite)

    async def discard(self) -> None:
        await _on_disk(self._part.discard)

    def can_go_on(self, failure: TryAgainError) -> bool:
        return True

    @property
    def remark(self) -> str:
        length = self.length_bytes
        return f"; {self._part.path} keeps {length} bytes for the next call" if length else ""


async def _on_disk(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call one of a ``PartFile``'s methods off the loop.

    Raises:
        DownloadError: from the disk's rejection.
    """
    try:
        return await off_loop(call, *args, **kwargs)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise DownloadError(f"the video cannot be stored: {error}") from error
