"""A request body that is never in memory: JSON whose images are encoded while they are sent.

Encoding happens in the loop, in steps too short to block it. Reading must not: what is in the page
cache is taken at once, everything else is read in a thread. A body can be written again, after a
broken connection, because every write opens the files anew.
"""

from __future__ import annotations

import asyncio
import binascii
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import IO, NoReturn

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from kling_effects_async.effects import image_label
from kling_effects_async.errors import ImageRejectedError, ImageUnreadableError
from kling_effects_async.images.files import file_state, open_image, read_failure, reading
from kling_effects_async.protocol.messages import Base64Of, Body, FileState
from kling_effects_async.transport.rereading import SHORT_PAUSES_S, read_patiently

__all__ = ["Base64JsonPayload"]

# To encode and send 48 KiB takes 0.2 ms, so with 50 uploads at once a turn of the loop takes 10 ms.
# Whole groups of three bytes: only the last step of an image may end in "=".
_STEP_BYTES = 48 * 1024

# A hop to a thread costs 0.2 ms of CPU time whatever it reads, and each upload keeps one block in
# memory.
_BLOCK_BYTES = 4 * _STEP_BYTES

# Linux only: read what is in the page cache, or fail at once.
_NOWAIT = getattr(os, "RWF_NOWAIT", None)


class Base64JsonPayload(Payload):
    """A JSON document of known length, for aiohttp to send.

    aiohttp wraps what goes wrong while it writes, so it is kept here:

    Attributes:
        has_started: a write has begun to hand bytes over; while ``False``, nothing was sent.
        rejection: why a write stopped short of the end: an image could not be read, or was another
            one than before. The server then never had a complete request.
    """

    _default_content_type = "application/json"
    _autoclose = True  # nothing is held open between writes
    _value: Body

    def __init__(self, body: Body) -> None:
        super().__init__(body)
        self._size = sum(map(_encoded_size, body))
        self.has_started: bool = False
        self.rejection: ImageRejectedError | ImageUnreadableError | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        raise TypeError("this body is streamed and is never one string")

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the whole document; a part of one would be of no use, so the limit is ignored."""
        self.rejection = None
        try:
            async with AsyncExitStack() as stack:
                # All of them first: a picture that is gone must not end a request that has begun.
                files = [await _opened(piece, stack) for piece in self._value]
                # Before the first byte: from here on the server may have something of it.
                self.has_started = True
                for piece, file in zip(self._value, files, strict=True):
                    await _write_piece(writer, piece, file)
        except (ImageRejectedError, ImageUnreadableError) as rejection:
            self.rejection = rejection
            raise


def _encoded_size(piece: bytes | Base64Of) -> int:
    if isinstance(piece, bytes):
        return len(piece)
    size_bytes = len(piece.image) if isinstance(piece.image, bytes) else _state(piece).size_bytes
    return 4 * -(-size_bytes // 3)


def _state(piece: Base64Of) -> FileState:
    if piece.state is None:
        raise TypeError(f"the file was never checked: {piece!r}")
    return piece.state


async def _opened(piece: bytes | Base64Of, stack: AsyncExitStack) -> IO[bytes] | None:
    """Open a file, and let ``stack`` close it, also where the wait for the thread is cancelled."""
    if isinstance(piece, bytes) or isinstance(piece.image, bytes):
        return None
    open_file = partial(_open_unchanged, piece.image, _state(piece))

    async def opened() -> IO[bytes]:
        opening = asyncio.get_running_loop().run_in_executor(None, open_file)
        stack.callback(opening.add_done_callback, _close_opened)
        return await asyncio.shield(opening)

    return await read_patiently(opened, pauses_s=SHORT_PAUSES_S)


def _close_opened(opening: asyncio.Future[IO[bytes]]) -> None:
    if not opening.cancelled() and not opening.exception():
        opening.result().close()


async def _write_piece(
    writer: AbstractStreamWriter, piece: bytes | Base64Of, file: IO[bytes] | None
) -> None:
    if isinstance(piece, bytes):
        await writer.write(piece)
    elif isinstance(piece.image, bytes):
        await _write_encoded(writer, piece.image)
    elif file is not None:
        await _write_file(writer, piece.image, _state(piece), file)


async def _write_file(
    writer: AbstractStreamWriter, path: Path, state: FileState, file: IO[bytes]
) -> None:
    step = memoryview(bytearray(_STEP_BYTES))
    offset = 0
    while left := state.size_bytes - offset:
        if left < _STEP_BYTES:
            step = step[:left]
        if _read_cached(file.fileno(), step, offset):
            offset += len(step)
            if offset == state.size_bytes:
                _reject_changed(path, state, file)  # before its last bytes leave
            await writer.write(_encode(step))
            await asyncio.sleep(0)  # write() returns at once while the socket keeps up
        else:
            read = partial(asyncio.to_thread, _read_block, path, state, offset)
            block = await read_patiently(read, pauses_s=SHORT_PAUSES_S)
            await _write_encoded(writer, block)
            offset += len(block)


async def _write_encoded(writer: AbstractStreamWriter, content: bytes) -> None:
    view = memoryview(content)
    for offset in range(0, len(content), _STEP_BYTES):
        await writer.write(_encode(view[offset : offset + _STEP_BYTES]))
        await asyncio.sleep(0)


def _read_cached(descriptor: int, step: memoryview, offset: int) -> bool:
    """Fill one step from a file, if that takes no wait."""
    if _NOWAIT is None:
        return False
    try:
        return os.preadv(descriptor, [step], offset, _NOWAIT) == len(step)
    except OSError:  # not in the cache, or the file system has no such read
        return False


def _read_block(path: Path, state: FileState, offset: int) -> bytes:
    """One block of a file that is still what it was; opened anew, so that nobody shares it."""
    wanted = min(_BLOCK_BYTES, state.size_bytes - offset)
    with reading(path) as file:
        file.seek(offset)
        block = file.read(wanted)
        _reject_changed(path, state, file)
    if len(block) < wanted:
        raise ImageRejectedError(
            image_label(path), ["It is shorter than its file system says; copy it elsewhere."]
        )
    return block


def _open_unchanged(path: Path, state: FileState) -> IO[bytes]:
    file = open_image(path)
    try:
        _reject_changed(path, state, file)
    except (ImageRejectedError, ImageUnreadableError):
        file.close()
        raise
    return file


def _reject_changed(path: Path, state: FileState, file: IO[bytes]) -> None:
    """Cheap enough for the loop where the content came from the cache: then this does, too."""
    try:
        now = file_state(file)
    except OSError as error:
        raise read_failure(path, error) from error
    if now is None or not state.is_still(now):
        problem = "It changed after it was checked; submit it again once nobody writes to it."
        raise ImageRejectedError(image_label(path), [problem])


def _encoder() -> Callable[[memoryview], bytes]:
    """pybase64 where the extra ``[speed]`` is installed: less than half the CPU time."""
    try:
        import pybase64
    except ImportError:
        return partial(binascii.b2a_base64, newline=False)
    encode: Callable[[memoryview], bytes] = pybase64.b64encode
    return encode


_encode = _encoder()
