"""The body of a message, whole or in pieces, of which no more is read than is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import TypeAlias

from kling_effects_async.callbacks.messages import CallbackRejected

__all__ = ["MAX_BODY_BYTES", "CallbackBody", "check_type", "read_body"]

# A callback has a few hundred bytes; with a signed address that is as long as they get, a few KiB.
MAX_BODY_BYTES = 64 * 2**10
_MAX_READ_S = 5.0
_BYTES = (bytes, bytearray, memoryview)

CallbackBody: TypeAlias = bytes | bytearray | memoryview | AsyncIterable[bytes]


class _NoBytes(TypeError):
    """A mistake of who calls, not a fault of the sender."""

    def __init__(self, given: object) -> None:
        super().__init__(
            "body must be the raw bytes of the request (await request.body()), or an async "
            f"iterator of bytes (request.stream()), not {type(given).__name__}"
        )


def check_type(body: object) -> None:
    """Before anything is counted.

    Raises:
        TypeError: it is no body; the message says what to pass.
    """
    if not isinstance(body, (*_BYTES, AsyncIterable)):
        raise _NoBytes(body)


async def read_body(headers: Mapping[str, str], body: CallbackBody) -> bytes:
    """All of it.

    Raises:
        CallbackRejected: it is larger than 64 KiB, takes more than five seconds, or is cut off.
        TypeError: a piece of it is no bytes.
    """
    if _stated_length(headers) > MAX_BODY_BYTES:
        raise _too_large()
    if not isinstance(body, AsyncIterable):
        _check_size(body)
        return bytes(body)
    try:
        async with asyncio.timeout(_MAX_READ_S):
            return await _whole(aiter(body))
    except (CallbackRejected, _NoBytes):
        raise
    except TimeoutError:
        raise CallbackRejected(408, "too slow", "incomplete") from None
    except Exception:  # each framework has its own error for a body that was cut off
        raise CallbackRejected(400, "incomplete", "incomplete") from None


def _stated_length(headers: Mapping[str, str]) -> int:
    """By its header; 0 where that says nothing of use."""
    texts = [str(value) for name, value in headers.items() if str(name).lower() == "content-length"]
    text = texts[0] if texts else "0"
    is_number = text.isascii() and text.isdigit()
    # Python's int() takes its time over many digits, and so many are too large anyway.
    return int(text[:20]) if is_number else 0


async def _whole(pieces: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for piece in pieces:
        if not isinstance(piece, _BYTES):
            raise _NoBytes(piece)
        body += piece
        _check_size(body)
    return bytes(body)


def _check_size(body: bytes | bytearray | memoryview) -> None:
    if memoryview(body).nbytes > MAX_BODY_BYTES:
        raise _too_large()


def _too_large() -> CallbackRejected:
    return CallbackRejected(413, "too large", "too_large")
