"""What a clip can be written to beside a path: an open binary file, or an asynchronous writer.

| the target                                         | its ``write``                          |
| -------------------------------------------------- | -------------------------------------- |
| ``write`` is ``async def`` (an aiohttp response)   | awaited                                |
| ``write``, and ``drain`` is ``async def``          | called in the loop, ``drain`` awaited  |
| any other ``write`` (``BytesIO``, an open file)    | called in a thread of its own          |

A ``write`` may return how many bytes it took, as a raw file does; the rest is written next. Any
number with ``__index__`` counts, such as numpy's integers; a float is an error. What returns no
number, a bool, or more than it was given has taken all of it.
"""

from __future__ import annotations

import errno
import inspect
import io
import numbers
import operator
from typing import Protocol, SupportsIndex

from kling_effects_async.downloading.threads import in_own_thread
from kling_effects_async.errors import DownloadError
from kling_effects_async.transport.border import CallersOwn

__all__ = ["BinaryWriter", "Writing", "check_writer"]


class BinaryWriter(Protocol):
    """An open binary file, or an asynchronous writer: see the top of this file."""

    def write(self, data: bytes, /) -> object:
        """Write these bytes; may be ``async def``."""


def check_writer(target: BinaryWriter) -> None:
    """Reject what would reject the first byte.

    Raises:
        TypeError: it is a text file, or open for reading alone.
        ValueError: from the file, which is closed.
    """
    if isinstance(target, io.TextIOBase):
        raise TypeError("target must be a binary file, not a text file: open it with mode 'wb'")
    if isinstance(target, io.IOBase) and not target.writable():
        raise TypeError("target must be open for writing, and is not: open it with mode 'wb'")


class Writing:
    """Writes chunks to a target of the caller's.

    Attributes:
        calls: of the caller's own functions; what they raise is the caller's.
    """

    def __init__(self, target: BinaryWriter) -> None:
        self._target = target
        self._write = CallersOwn(target.write)
        drain = getattr(target, "drain", None)
        self._drain = CallersOwn(drain) if inspect.iscoroutinefunction(drain) else None
        self.calls: list[CallersOwn] = [self._write, *([self._drain] if self._drain else [])]

    async def write(self, chunk: bytes) -> None:
        """Write all of it.

        Raises:
            DownloadError: the target takes nothing more.
            TypeError: its ``write`` returned a number that is not whole, such as a float; or an
                awaitable, and is not ``async def``.
        """
        while chunk:
            chunk = chunk[self._taken(await self._written(chunk), len(chunk)) :]

    async def _written(self, chunk: bytes) -> object:
        if inspect.iscoroutinefunction(self._target.write):
            return await self._write.awaited(chunk)
        if self._drain is None:
            return await in_own_thread(self._write, chunk)
        taken = self._write(chunk)
        await self._drain.awaited()
        return taken

    def _taken(self, answer: object, size_bytes: int) -> int:
        if inspect.iscoroutine(answer):
            answer.close()
        if inspect.isawaitable(answer):
            raise TypeError("target.write returned an awaitable: it must be async def itself")
        if answer is None and isinstance(self._target, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "the target does not block, and takes nothing now")
        taken = _as_count(answer)
        if taken is None or taken >= size_bytes:
            return size_bytes
        if taken <= 0:
            raise DownloadError(
                f"the target's write took none of the clip's bytes (it returned {taken})"
            )
        return taken


def _as_count(answer: object) -> int | None:
    """The number of bytes; ``None`` where it is no number.

    Raises:
        TypeError: it is another number than a whole one, and so may stand for a part.
    """
    if isinstance(answer, bool):
        return None
    if isinstance(answer, SupportsIndex):
        return operator.index(answer)
    if isinstance(answer, numbers.Number):
        kind = type(answer).__name__
        raise TypeError(f"target.write must return a whole number of bytes or None, not {kind}")
    return None
