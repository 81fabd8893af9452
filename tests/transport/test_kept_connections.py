"""A server that closes a kept connection instead of answering: what is sent again, and by whom.

aiohttp sends a GET again by itself when a kept connection ends before the first byte of an answer,
and never a POST. So the requests are counted on the wire, by a server without any HTTP library.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from kling_effects_async import (
    BearerToken,
    EffectsClient,
    NetworkError,
    RetryPolicy,
    Service,
    SingleImageEffect,
    SubmissionUncertainError,
    TaskStatus,
)

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
CLIP = "https://v.example/1.mp4"
# What is sent more often than this is sent by aiohttp.
ONE_TRY = RetryPolicy(attempts=1)


class KeepingServer:
    """A gateway on kept connections, which it closes where the test wants it.

    Attributes:
        wire: the method and the last part of the path of every request that was read whole, and
            the number of its connection.
        paid: the external ids of accepted tasks, in order.
        is_cut: by the number of a request in ``wire``, whether it is closed and not answered.
        cuts_before_acceptance: a submit that is cut creates nothing.
    """

    def __init__(self) -> None:
        self.wire: list[tuple[str, str, int]] = []
        self.paid: list[str] = []
        self.is_cut: Callable[[int], bool] = lambda _number: False
        self.cuts_before_acceptance = False
        self.url = ""
        self._connections = 0

    def count(self, method: str) -> int:
        return [asked for asked, *_ in self.wire].count(method)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection = self._connections
        try:
            while head := await self._head(reader):
                method, path = head[0].split()[:2]
                body = await self._body(reader, head)
                self.wire.append((method, path.rpartition("/")[2], connection))
                is_cut = self.is_cut(len(self.wire))
                answer = self._answer(method, path, body, is_cut)
                if is_cut:
                    return
                writer.write(answer)
        finally:
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> list[str]:
        try:
            return (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return []

    async def _body(self, reader: asyncio.StreamReader, head: list[str]) -> bytes:
        """With a length or in chunks."""
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        if "content-length" in fields:
            return await reader.readexactly(int(fields["content-length"]))
        body = b""
        while "transfer-encoding" in fields:
            size = int(await reader.readline(), 16)
            body += (await reader.readexactly(size + 2))[:size]
            if size == 0:
                break
        return body

    def _answer(self, method: str, path: str, body: bytes, is_cut: bool) -> bytes:
        if method == "POST":
            name = json.loads(body)["external_task_id"]
            if not (is_cut and self.cuts_before_acceptance):
                self.paid.append(name)
            return answer(task(name))
        asked = path.rpartition("/")[2]
        if asked in self.paid:
            return answer(task(asked))
        if asked.startswith("task-of-"):
            return answer(task(asked.removeprefix("task-of-"), is_done=True))
        return answer({"code": 1201, "message": "Task not found by id/external id"}, "400 Bad")


def task(name: str, *, is_done: bool = False) -> dict[str, object]:
    known = {"task_id": f"task-of-{name}", "task_info": {"external_task_id": name}}
    if not is_done:
        return {"code": 0, "data": {**known, "task_status": "processing"}}
    result = {"videos": [{"id": "1", "url": CLIP, "duration": "5"}]}
    return {"code": 0, "data": {**known, "task_status": "succeed", "task_result": result}}


def answer(document: object, status: str = "200 OK") -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@pytest.fixture
async def server() -> AsyncIterator[KeepingServer]:
    keeping = KeepingServer()
    async with await asyncio.start_server(keeping.serve, "127.0.0.1", 0) as listening:
        keeping.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield keeping


def client_of(server: KeepingServer, retry: RetryPolicy = ONE_TRY) -> EffectsClient:
    return EffectsClient(BearerToken("test-key"), service=Service.gateway(server.url), retry=retry)


@pytest.fixture
async def client(server: KeepingServer) -> AsyncIterator[EffectsClient]:
    async with client_of(server) as client:
        yield client


async def warmed_up(client: EffectsClient, server: KeepingServer) -> None:
    """Leave one kept connection behind."""
    await client.attach("task-of-first").refresh()
    assert server.wire == [("GET", "task-of-first", 1)]


@pytest.mark.looptime
async def test_a_query_on_a_connection_that_ends_is_sent_once_more_and_answered(
    client: EffectsClient, server: KeepingServer
) -> None:
    """Fault 69: three requests for two calls, and each call has the answer about its own task."""
    await warmed_up(client, server)
    server.is_cut = lambda number: number == 2
    snapshot = await client.attach("task-of-second").refresh()
    assert (snapshot.task_id, snapshot.status) == ("task-of-second", TaskStatus.SUCCEEDED)
    assert snapshot.videos[0].url == CLIP
    assert server.wire[1:] == [("GET", "task-of-second", 1), ("GET", "task-of-second", 2)]


@pytest.mark.looptime
async def test_a_query_is_sent_once_more_and_not_for_ever(
    client: EffectsClient, server: KeepingServer
) -> None:
    """Fault 69: the second connection is a new one, and its end is an error."""
    await warmed_up(client, server)
    server.is_cut = lambda number: number > 1
    with pytest.raises(NetworkError, match="broke"):
        await client.attach("task-of-second").refresh()
    assert server.count("GET") == 3


@pytest.mark.looptime
async def test_a_submit_on_a_connection_that_ends_is_looked_up_and_paid_once(
    client: EffectsClient, server: KeepingServer
) -> None:
    """Fault 69: the service has the task, and a second POST would be a second one."""
    await warmed_up(client, server)
    server.is_cut = lambda number: number == 2
    accepted = await client.submit(SQUISH, external_task_id="order-42")
    assert accepted.task_id == "task-of-order-42"
    assert server.wire[1] == ("POST", "effects", 1)  # on the kept connection
    assert server.wire[2][:2] == ("GET", "order-42")
    assert (server.count("POST"), server.paid) == (1, ["order-42"])
    assert (await accepted).video.url == CLIP


@pytest.mark.looptime
async def test_a_submit_that_created_nothing_is_not_sent_again_without_a_proof(
    client: EffectsClient, server: KeepingServer
) -> None:
    """Fault 69: nobody has seen this service find a task by its external id."""
    await warmed_up(client, server)
    server.is_cut = lambda number: number == 2
    server.cuts_before_acceptance = True
    with pytest.raises(SubmissionUncertainError):
        await client.submit(SQUISH, external_task_id="order-42")
    assert server.wire[1] == ("POST", "effects", 1)
    assert (server.count("POST"), server.paid) == (1, [])


@pytest.mark.looptime
async def test_a_submit_that_surely_created_nothing_is_sent_again_and_paid_once(
    server: KeepingServer,
) -> None:
    """Fault 69: two lookups find nothing, at a service that finds the task of another job."""
    server.is_cut = lambda number: number == 2
    server.cuts_before_acceptance = True
    async with client_of(server, RetryPolicy(attempts=2)) as client:
        await client.submit(SQUISH, external_task_id="order-41")
        again = await client.submit(SQUISH, external_task_id="order-42")
    assert server.wire[1] == ("POST", "effects", 1)
    *lookups, last = server.wire[2:]
    assert [name for _, name, _ in lookups].count("order-42") == 2
    assert (last[:2], server.count("POST")) == (("POST", "effects"), 3)
    assert (again.task_id, server.paid) == ("task-of-order-42", ["order-41", "order-42"])
