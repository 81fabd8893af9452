"""Who takes a clip's bytes: a binary file that blocks, or a writer of asyncio.

| ``writer``                                        | how a chunk is handed over                   |
| ------------------------------------------------- | -------------------------------------------- |
| ``write`` is a coroutine function                 | it is awaited                                |
| has ``drain`` beside ``write`` (``StreamWriter``) | ``write`` is called, then ``drain`` awaited  |
| anything else (``open(..., "wb")``, ``BytesIO``)  | ``write`` is called in a thread              |
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

from kling_effects_async.downloading.file_sink import off_loop

__all__ = ["AsyncWriter", "BinaryWriter", "ClipWriter", "check_writer", "write_of"]


class BinaryWriter(Protocol):
    """A binary file, or what has its ``write``."""

    def write(self, data: bytes, /) -> object: ...


class AsyncWriter(Protocol):
    """Such as aiohttp's ``StreamResponse``, or a file of ``aiofiles``."""

    async def write(self, data: bytes, /) -> object: ...


ClipWriter: TypeAlias = BinaryWriter | AsyncWriter


def check_writer(writer: object) -> None:
    """Reject what takes text.

    Raises:
        TypeError: says what to open instead.
    """
    if isinstance(writer, io.TextIOBase):
        raise TypeError('path must be open for bytes: open(..., "wb"), not a text file')


def write_of(writer: Any) -> Callable[[bytes], Awaitable[None]]:
    """How a chunk is handed to the writer; see the table at the top of this file."""
    if inspect.iscoroutinefunction(writer.write):
        return writer.write  # type: ignore[no-any-return]  # what it returns is not looked at
    if hasattr(writer, "drain"):

        async def write_and_drain(chunk: bytes) -> None:
            writer.write(chunk)
            await writer.drain()

        return write_and_drain

    async def write_off_loop(chunk: bytes) -> None:
        await off_loop(_write_all, writer, chunk)

    return write_off_loop


def _write_all(writer: BinaryWriter, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        # An unbuffered file may take a part; who returns no number has taken all.
        written = writer.write(bytes(rest) if len(rest) < len(chunk) else chunk)
        rest = rest[written:] if isinstance(written, int) and written > 0 else rest[:0]
