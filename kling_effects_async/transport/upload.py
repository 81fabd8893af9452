"""A request body that is never in memory: JSON whose images are encoded while they are sent.

Encoding happens in the loop, in steps too short to hold it. Reading must not: what the page cache
holds is taken at once, everything else is read in a thread. A body can be written again, after a
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
from typing import IO, NoReturn, TypeAlias

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from attrs import frozen

from kling_effects_async.effects import image_label
from kling_effects_async.errors import ImageRejectedError
from kling_effects_async.image_files import explain_failure, mtime_ns, open_image
from kling_effects_async.protocol.messages import Base64Of, Body

__all__ = ["Base64JsonPayload", "payload_for"]

# To encode and send 48 KiB takes 0.2 ms, so with 50 uploads at once a turn of the loop takes 10 ms.
# Whole groups of three bytes: only the last step of an image may end in "=".
_STEP_BYTES = 48 * 1024

# A hop to a thread costs 0.2 ms of CPU time whatever it reads, and 50 uploads hold 50 blocks.
_BLOCK_BYTES = 4 * _STEP_BYTES

# Linux only: read what the page cache holds, or fail at once.
_NOWAIT = getattr(os, "RWF_NOWAIT", None)


@frozen
class _FileImage:
    """A file as it was when the body was made; what is sent must still be that."""

    path: Path
    size_bytes: int
    mtime_ns: int | None


_Piece: TypeAlias = bytes | _FileImage | Base64Of


async def payload_for(body: Body) -> Base64JsonPayload:
    """Measure the files of a body, off the loop; for every attempt, or once for all.

    Raises:
        ImageRejectedError: a file cannot be opened.
    """
    if any(isinstance(piece, Base64Of) and isinstance(piece.image, Path) for piece in body):
        return Base64JsonPayload(await asyncio.to_thread(_measured, body))
    return Base64JsonPayload(body)


class Base64JsonPayload(Payload):
    """A JSON document of known length, for aiohttp to send; made by ``payload_for``.

    aiohttp wraps what goes wrong while it writes, so ask here:

    Attributes:
        has_started: a write has begun to hand bytes over; while ``False``, nothing was sent.
        rejection: why a write stopped short of the end: an image could not be read, or was another
            one than before. The server then never had a complete request.
    """

    _default_content_type = "application/json"
    _autoclose = True  # nothing is held open between writes
    _value: tuple[_Piece, ...]

    def __init__(self, pieces: tuple[_Piece, ...]) -> None:
        super().__init__(pieces)
        self._size = sum(map(_encoded_size, pieces))
        self.has_started: bool = False
        self.rejection: ImageRejectedError | None = None

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
                files = [await _opened(piece, stack) for piece in self._value]
                self.has_started = True
                for piece, file in zip(self._value, files, strict=True):
                    await _write_piece(writer, piece, file)
        except ImageRejectedError as rejection:
            self.rejection = rejection
            raise


def _measured(body: Body) -> tuple[_Piece, ...]:
    return tuple(_measured_piece(piece) for piece in body)


def _measured_piece(piece: bytes | Base64Of) -> _Piece:
    if isinstance(piece, bytes) or isinstance(piece.image, bytes):
        return piece
    with open_image(piece.image) as file:
        return _measured_file(piece.image, file)


def _measured_file(path: Path, file: IO[bytes]) -> _FileImage:
    return _FileImage(path, file.seek(0, os.SEEK_END), mtime_ns(file))


def _encoded_size(piece: _Piece) -> int:
    match piece:
        case bytes():
            return len(piece)
        case Base64Of(image=bytes() as image):
            return 4 * -(-len(image) // 3)
        case _FileImage(size_bytes=size_bytes):
            return 4 * -(-size_bytes // 3)
    raise TypeError(f"{piece!r} was not measured; make the payload with payload_for()")


async def _opened(piece: _Piece, stack: AsyncExitStack) -> IO[bytes] | None:
    """Open a file, and let ``stack`` close it, also where the wait for the thread is cancelled."""
    if not isinstance(piece, _FileImage):
        return None
    opening = asyncio.get_running_loop().run_in_executor(None, _open_unchanged, piece)
    stack.callback(opening.add_done_callback, _close_opened)
    return await asyncio.shield(opening)


def _close_opened(opening: asyncio.Future[IO[bytes]]) -> None:
    if not opening.cancelled() and not opening.exception():
        opening.result().close()


async def _write_piece(writer: AbstractStreamWriter, piece: _Piece, file: IO[bytes] | None) -> None:
    match piece:
        case bytes():
            await writer.write(piece)
        case Base64Of(image=bytes() as image):
            await _write_encoded(writer, image)
        case _FileImage() if file is not None:
            await _write_file(writer, piece, file.fileno())


async def _write_file(writer: AbstractStreamWriter, image: _FileImage, descriptor: int) -> None:
    step = bytearray(_STEP_BYTES)
    offset = 0
    while offset < image.size_bytes:
        # The last block always comes from the thread, which looks whether the file has changed.
        is_last = offset + _BLOCK_BYTES >= image.size_bytes
        if not is_last and _read_cached(descriptor, step, offset):
            await _write_step(writer, step)
            offset += _STEP_BYTES
        else:
            block = await asyncio.to_thread(_read_block, image, offset)
            await _write_encoded(writer, block)
            offset += len(block)


async def _write_encoded(writer: AbstractStreamWriter, content: bytes) -> None:
    view = memoryview(content)
    for offset in range(0, len(content), _STEP_BYTES):
        await _write_step(writer, view[offset : offset + _STEP_BYTES])


async def _write_step(writer: AbstractStreamWriter, step: bytearray | memoryview) -> None:
    await writer.write(_encode(step))
    await asyncio.sleep(0)  # write() returns at once while the socket keeps up


def _read_cached(descriptor: int, step: bytearray, offset: int) -> bool:
    """Fill one step from a file, if that takes no wait."""
    if _NOWAIT is None:
        return False
    try:
        return os.preadv(descriptor, [step], offset, _NOWAIT) == len(step)
    except OSError:  # not in the cache, or the file system cannot tell
        return False


def _read_block(image: _FileImage, offset: int) -> bytes:
    """One block of a file that is still what it was; opened anew, so that nobody shares it."""
    wanted = min(_BLOCK_BYTES, image.size_bytes - offset)
    with open_image(image.path) as file:
        try:
            file.seek(offset)
            block = file.read(wanted)
        except OSError as error:
            raise ImageRejectedError(image_label(image.path), [explain_failure(error)]) from error
        _refuse_changed(image, file)
    return block


def _open_unchanged(image: _FileImage) -> IO[bytes]:
    file = open_image(image.path)
    try:
        _refuse_changed(image, file)
    except ImageRejectedError:
        file.close()
        raise
    return file


def _refuse_changed(image: _FileImage, file: IO[bytes]) -> None:
    if image != _measured_file(image.path, file):
        problem = "It changed while it was being sent; submit it again once it is complete."
        raise ImageRejectedError(image_label(image.path), [problem])


def _encoder() -> Callable[[bytearray | memoryview], bytes]:
    """pybase64 where the extra ``[speed]`` is installed: less than half the CPU time."""
    try:
        import pybase64
    except ImportError:
        return partial(binascii.b2a_base64, newline=False)
    encode: Callable[[bytearray | memoryview], bytes] = pybase64.b64encode
    return encode


_encode = _encoder()
