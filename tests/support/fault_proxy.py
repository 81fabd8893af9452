"""A TCP proxy on loopback that spoils connections: between the real client and the emulator.

A ``Line`` says what happens to one connection, and its two ``Flow`` what happens to the bytes of
each direction. The first connection takes the first line of the script, and so on; connections
after the script are carried as they are. The proxy knows no HTTP beyond the length of a message.
"""

from __future__ import annotations

import asyncio
import enum
import re
import socket
import struct
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field, frozen

from kling_effects_async import BearerToken, EffectsClient, Service
from kling_effects_async.emulator import Emulator

__all__ = [
    "CARRIED",
    "Carried",
    "Ending",
    "FaultProxy",
    "Flow",
    "Line",
    "answer_instead",
    "client_through",
    "cut_answer",
    "cut_request",
    "positions",
    "whole_answer",
]

_CHUNK_BYTES = 2**16
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_NO_LINGER = struct.pack("ii", 1, 0)  # closed by RST, whatever was not sent yet


class Ending(enum.Enum):
    """How a connection ends before its time: closed, reset, or open without a byte more."""

    FIN = "fin"
    RST = "rst"
    STALL = "stall"


@frozen(kw_only=True)
class Flow:
    """What happens to the bytes of one direction.

    Attributes:
        passes_bytes: as many pass, then comes the ``ending``, for both directions.
        delay_s: before what comes at once passes, such as an answer.
        piece_bytes, every_s: they pass in pieces this large, this far apart.
        repeats_after_s: each whole message passes a second time, so many seconds later.
        instead: these bytes pass in place of the first message, and then comes the ``ending``.
    """

    passes_bytes: int = sys.maxsize
    ending: Ending = Ending.FIN
    delay_s: float = 0.0
    piece_bytes: int = _CHUNK_BYTES
    every_s: float = 0.0
    repeats_after_s: float | None = None
    instead: bytes | None = field(default=None, repr=False)


_HEALTHY = Flow()


@frozen(kw_only=True)
class Line:
    """What happens to one connection.

    Attributes:
        ends_at_once: it ends as soon as it stands, before anything is read.
        reaches_service: off, the proxy takes a request, and answers with ``answer.instead``.
    """

    request: Flow = _HEALTHY
    answer: Flow = _HEALTHY
    ends_at_once: Ending | None = None
    reaches_service: bool = True


CARRIED = Line()


def cut_request(passes_bytes: int, ending: Ending = Ending.FIN) -> Line:
    return Line(request=Flow(passes_bytes=passes_bytes, ending=ending))


def cut_answer(passes_bytes: int, ending: Ending = Ending.FIN) -> Line:
    return Line(answer=Flow(passes_bytes=passes_bytes, ending=ending))


def answer_instead(answer: bytes, *, reaches_service: bool = True) -> Line:
    """Other bytes in place of the answer, whether or not the service had the request."""
    return Line(answer=Flow(instead=answer), reaches_service=reaches_service)


def whole_answer(
    status: int, body: bytes = b"", content_type: str = "application/json", **headers: str
) -> bytes:
    """An HTTP answer with its length; ``Retry_After`` becomes ``Retry-After``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    all_headers = {"Content-Type": content_type, "Content-Length": str(len(body))} | named
    lines = [
        f"HTTP/1.1 {status} Said",
        *(f"{name}: {value}" for name, value in all_headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def positions(message: bytes, count: int = 20) -> list[int]:
    """Where to cut a message: at the borders of its head and its body, and all over it."""
    head, whole = message.index(b"\r\n\r\n") + 4, len(message)
    borders = {0, 1, head - 2, head, head + 1, whole - 1, whole}
    return sorted(borders | {whole * number // count for number in range(count)})


@define
class Carried:
    """What passed on one connection."""

    request: bytearray = field(factory=bytearray, repr=False)
    answer: bytearray = field(factory=bytearray, repr=False)


class _EndsError(Exception):
    """A flow came to its ending."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        super().__init__(ending)


class FaultProxy:
    """Carries connections to one server, as the script says.

    An address of the server in its answers becomes the proxy's, so that clips come through, too.

    Args:
        upstream_url: of a server on loopback.
        port: 0 takes a free one.

    Attributes:
        script: what happens to the next connections, in order.
        always: what happens to those after them.
        connections: all of them until now, in order.
    """

    def __init__(self, upstream_url: str, *, port: int = 0) -> None:
        self._port = port
        self._upstream = urlsplit(upstream_url).netloc
        self.script: deque[Line] = deque()
        self.always = CARRIED
        self.connections: list[Carried] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        assert len(self._netloc) == len(self._upstream), "answers keep their length"
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.hang_up()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://{self._netloc}"

    @property
    def _netloc(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def next(self, *lines: Line) -> None:
        """Spoil the next connections."""
        self.script.extend(lines)

    async def hang_up(self) -> None:
        """End every connection, so that the next request needs a new one."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = self.script.popleft() if self.script else self.always
        carried = Carried()
        self.connections.append(carried)
        try:
            if line.ends_at_once is not None:
                await _end(line.ends_at_once, (reader, writer))
            elif line.reaches_service:
                await self._relay(line, carried, reader, writer)
            else:
                await _answer_itself(line.answer, carried, reader, writer)
        finally:
            await _close(writer)

    async def _relay(
        self,
        line: Line,
        carried: Carried,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        host, _, port = self._upstream.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except ConnectionError:
            return  # the server has gone, and so does the connection
        there = _carry(_same, reader, far_writer, line.request, carried.request)
        back = _carry(self._renamed, far_reader, writer, line.answer, carried.answer)
        try:
            ending = await _first_ending(there, back)
            await _end(ending, (reader, writer), (far_reader, far_writer))
        finally:
            await _close(far_writer)

    def _renamed(self, answer: bytes) -> bytes:
        # The emulator writes an answer of a task at once, so that no address is in two pieces.
        return answer.replace(self._upstream.encode(), self._netloc.encode())


def client_through(proxy: FaultProxy, emulator: Emulator, **options: Any) -> EffectsClient:
    """A client of the emulator whose connections are all the proxy's."""
    service = Service.gateway(proxy.url)
    return EffectsClient(BearerToken(emulator.api_key), service=service, **options)


def _same(chunk: bytes) -> bytes:
    return chunk


async def _first_ending(*flows: Any) -> Ending:
    """Carry both directions until one comes to its ending, or both are at their end."""
    ending = Ending.FIN
    try:
        async with asyncio.TaskGroup() as group:
            for flow in flows:
                group.create_task(flow)
    except* ConnectionError:
        ending = Ending.RST  # what one side did is done to the other
    except* _EndsError as ended:
        first = ended.exceptions[0]
        assert isinstance(first, _EndsError)
        ending = first.ending
    return ending


async def _carry(
    translate: Callable[[bytes], bytes],
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    flow: Flow,
    passed: bytearray,
) -> None:
    async for piece in _pieces(translate, source, flow):
        passing = piece[: flow.passes_bytes - len(passed)]
        sink.write(passing)
        passed += passing
        await sink.drain()
        if len(passed) == flow.passes_bytes:
            raise _EndsError(flow.ending)
    if flow.instead is not None:
        raise _EndsError(flow.ending)
    with suppress(OSError):
        sink.write_eof()


async def _pieces(
    translate: Callable[[bytes], bytes], source: asyncio.StreamReader, flow: Flow
) -> AsyncIterator[bytes]:
    """What comes, as the flow lets it pass."""
    async for chunk in _chunks(source, flow):
        await asyncio.sleep(flow.delay_s)
        passing = translate(chunk) if flow.instead is None else flow.instead
        for piece in _split(passing, flow.piece_bytes):
            yield piece
            await asyncio.sleep(flow.every_s)
        if flow.instead is not None:
            return


async def _chunks(source: asyncio.StreamReader, flow: Flow) -> AsyncIterator[bytes]:
    if flow.repeats_after_s is None:
        while chunk := await source.read(_CHUNK_BYTES):
            yield chunk
        return
    while message := await _message(source):
        yield message
        await asyncio.sleep(flow.repeats_after_s)
        yield message


def _split(chunk: bytes, piece_bytes: int) -> Iterable[bytes]:
    return (chunk[start : start + piece_bytes] for start in range(0, len(chunk), piece_bytes))


async def _message(source: asyncio.StreamReader) -> bytes:
    """One HTTP message of known length; nothing where the source has ended."""
    try:
        head = await source.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return head + await source.readexactly(int(length[1]) if length else 0)
    except asyncio.IncompleteReadError as end:
        return end.partial


async def _answer_itself(
    flow: Flow, carried: Carried, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    carried.request += await _message(reader)
    with suppress(ConnectionError):
        for piece in _split(flow.instead or b"", flow.piece_bytes):
            writer.write(piece)
            carried.answer += piece
            await writer.drain()
            await asyncio.sleep(flow.every_s)
    await _end(flow.ending, (reader, writer))


async def _end(ending: Ending, *sides: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    for _reader, writer in sides:
        if ending is Ending.RST:
            _reset(writer)
        elif ending is Ending.FIN:
            with suppress(OSError):
                writer.write_eof()
    if ending is Ending.STALL:
        await asyncio.Event().wait()  # until the proxy is left, or hangs up
    for reader, _writer in sides:
        # Unread bytes at a close would make an RST of it.
        with suppress(ConnectionError):
            while await reader.read(_CHUNK_BYTES):
                pass


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the other side may have ended it already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
