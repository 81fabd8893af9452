"""A proxy on loopback that remembers what it was asked, and lets through what the test wants."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from attrs import field, frozen

__all__ = ["Asked", "ProxyServer"]


@frozen
class Asked:
    """One request to the proxy.

    Attributes:
        target: ``host:port`` of a CONNECT, and a whole address otherwise.
        headers: by their names in lower case.
    """

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)


class ProxyServer:
    """Tunnels and forwards; or answers everything with ``rejection``, a status.

    Attributes:
        hangs_up: whoever asks is left without an answer.
    """

    def __init__(self, *, rejection: int | None = None) -> None:
        self.rejection = rejection
        self.hangs_up = False
        self.asked: list[Asked] = []
        self.url = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ProxyServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def url_with(self, pair: str) -> str:
        """The proxy's address with ``user:password``."""
        return f"http://{pair}@127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            method, target, _version = first.split()
            fields = (line.partition(":") for line in lines if line)
            headers = {name.lower(): value.strip() for name, _, value in fields}
            self.asked.append(Asked(method, target, headers))
            if self.hangs_up:
                pass
            elif self.rejection is not None:
                writer.write(f"HTTP/1.1 {self.rejection} No\r\nContent-Length: 0\r\n\r\n".encode())
            elif method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await self._relay(target.rpartition(":")[2], b"", reader, writer)
            else:
                host, _, path = target.removeprefix("http://").partition("/")
                again = f"{method} /{path} HTTP/1.1\r\n" + "\r\n".join(lines)
                await self._relay(host.rpartition(":")[2], again.encode(), reader, writer)
            await writer.drain()
        writer.close()

    async def _relay(
        self, port: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry bytes between the client and a server on loopback, whatever its name was."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(port))
        far_writer.write(head)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await source.read(2**16):
            sink.write(chunk)
            await sink.drain()
    sink.close()
