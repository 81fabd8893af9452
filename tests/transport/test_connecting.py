"""What goes wrong before a connection to the service stands: nothing was sent, and it is said."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kling_effects_async import (
    BearerToken,
    EffectsClient,
    JobState,
    Journal,
    KlingEffectsError,
    NetworkError,
    RetryPolicy,
    Service,
    SingleImageEffect,
    TlsError,
)
from tests.support.certificate import needs_openssl, self_signed

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
THREE_TRIES = RetryPolicy(attempts=3, base_s=0.001)


async def make_job(path: Path) -> bool:
    """Whether the journal's one job waits for its first submit."""
    async with Journal(path, read_only=True) as journal:
        job = await anext(aiter(journal.jobs()))
    return job.state is JobState.PLANNED and not job.was_sent


# -- a certificate that nobody trusts


class TlsHost:
    """Counts who connects, and what of them comes through the handshake."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.connections = 0
        self.heard: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError):
            await writer.start_tls(self.context)
            self.heard.append(await reader.read(100))
        writer.close()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Of a server whose certificate is its own work."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path_factory.mktemp("tls") / "both.pem"))
    return context


@pytest.fixture
async def host(context: ssl.SSLContext) -> AsyncIterator[TlsHost]:
    host = TlsHost(context)
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    host.url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    yield host
    server.close()


@needs_openssl
async def test_a_certificate_that_nobody_trusts_ends_it_at_the_first_try(
    host: TlsHost, tmp_path: Path
) -> None:
    """Fault 3: no retry, nothing sent, and never a connection without a check."""
    service = Service.gateway(host.url)
    client = EffectsClient(
        BearerToken("sk-key-of-ours"),
        service=service,
        journal=tmp_path / "jobs.db",
        retry=THREE_TRIES,
    )
    async with client:
        submitting = client.submit(SQUISH, external_task_id="o1")
        calls: list[Awaitable[object]] = [submitting, client.list_tasks()]
        for number, call in enumerate(calls, 1):
            with pytest.raises(TlsError, match="certificate") as caught:
                await call
            assert (caught.value.sent, caught.value.retryable) == (False, False)
            assert host.connections == number
    assert host.heard == []
    assert await make_job(tmp_path / "jobs.db")


async def test_a_server_without_tls_is_told_at_the_first_try(tmp_path: Path) -> None:
    """Fault 3: an http port is not spoken to in plain text either."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    service = Service.gateway(f"https://localhost:{server.sockets[0].getsockname()[1]}")
    async with EffectsClient(
        BearerToken("sk-key-of-ours"), service=service, retry=THREE_TRIES
    ) as client:
        with pytest.raises(TlsError, match="https server"):
            await client.submit(SQUISH, external_task_id="o1")
    server.close()
    assert len(heard) == 1
    assert b"sk-key" not in heard[0]


# -- nobody takes the connection


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a host that never answers: its queue of connections is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for one in waiting:
            one.close()


@pytest.mark.looptime
@pytest.mark.skipif(sys.platform != "linux", reason="others reject where the queue is full")
async def test_a_connection_that_does_not_come_about_in_time_sent_nothing(
    deaf: str, tmp_path: Path
) -> None:
    """Fault 4: as a rejected one: tried again, then an error, and the job is planned."""
    retry = RetryPolicy(attempts=3, connect_timeout_s=10, submit_timeout_s=60)
    client = EffectsClient(
        BearerToken("sk-key-of-ours"),
        service=Service.gateway(deaf),
        journal=tmp_path / "jobs.db",
        retry=retry,
    )
    async with client:
        with pytest.raises(NetworkError, match="no connection to") as caught:
            await client.submit(SQUISH, external_task_id="o1")
        assert caught.value.sent is False
        assert asyncio.get_running_loop().time() >= 3 * 10
        with pytest.raises(KlingEffectsError, match="no connection to"):
            await client.list_tasks()
    assert await make_job(tmp_path / "jobs.db")
