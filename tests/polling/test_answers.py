"""What of an answer is taken in, over a real connection: its size, its redirects, its cookies."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kling_effects_async import (
    BearerToken,
    EffectsClient,
    JobState,
    Journal,
    KlingEffectsError,
    NetworkError,
    ReplyError,
    RequestTimeoutError,
    RetryPolicy,
    Service,
    SingleImageEffect,
    SubmissionUncertainError,
    SubmitPolicy,
)
from kling_effects_async.protocol.messages import Reply, Request
from kling_effects_async.transport.clock import SystemClock
from kling_effects_async.transport.session import Session

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
MIB = 2**20
LIMIT = 4 * MIB  # a page of 500 tasks is about 1 MiB
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Host:
    """A server that gives one answer to everything, and remembers what was asked."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.answer: Answer = no_tasks
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("").origin())

    def client(self, journal: Path | None = None) -> EffectsClient:
        return EffectsClient(
            BearerToken("sk-key-of-ours"),
            service=Service.gateway(self.url),
            journal=journal,
            retry=RetryPolicy(attempts=1),
            submit=SubmitPolicy(settle_pause_s=0.001),
        )

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.requests.append(request)
        return await self.answer(request)


async def no_tasks(_request: web.Request) -> web.Response:
    return web.json_response({"code": 0, "data": []})


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    async with host.server:
        yield host


@pytest.fixture
async def elsewhere() -> AsyncIterator[Host]:
    host = Host()
    async with host.server:
        yield host


async def state_of(path: Path) -> JobState:
    async with Journal(path, read_only=True) as journal:
        return (await anext(aiter(journal.jobs()))).state


# -- its size


def padded(size_bytes: int) -> bytes:
    """An empty list of tasks in so many bytes, nearly all of them white space."""
    return b'{"code": 0, "data": []}'.ljust(size_bytes)


def packed(size_bytes: int) -> bytes:
    """The same with gzip, made without ever being whole."""
    pack = zlib.compressobj(9, wbits=31)
    pieces = [pack.compress(padded(MIB))]
    pieces += [pack.compress(b" " * MIB) for _ in range(size_bytes // MIB - 1)]
    return b"".join([*pieces, pack.flush()])


def sends(body: bytes, **headers: str) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", headers=headers)

    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    """Goes on until the client hangs up."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * MIB)


@pytest.mark.parametrize(
    "body",
    [pytest.param(padded(LIMIT), id="plain"), pytest.param(packed(LIMIT), id="gzip")],
)
async def test_an_answer_of_four_mebibytes_is_read(host: Host, body: bytes) -> None:
    """Fault 43: a page of 500 tasks has to come through."""
    host.answer = sends(body, **({"Content-Encoding": "gzip"} if len(body) < LIMIT else {}))
    async with host.client() as client:
        assert not (await client.list_tasks()).tasks


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(sends(padded(LIMIT + 1)), id="one byte more"),
        pytest.param(sends(packed(2 * LIMIT), **{"Content-Encoding": "gzip"}), id="gzip"),
        pytest.param(endless, id="endless"),
    ],
)
async def test_a_larger_answer_is_not_read_to_its_end(host: Host, answer: Answer) -> None:
    """Fault 43."""
    host.answer = answer
    async with host.client() as client:
        with pytest.raises(ReplyError, match=r"more than 4,194,304 bytes"):
            await client.list_tasks()


async def test_a_bomb_of_256_mebibytes_takes_little_memory(host: Host) -> None:
    """Fault 43: it is a quarter of a megabyte on the wire."""
    host.answer = sends(packed(256 * MIB), **{"Content-Encoding": "gzip"})
    async with host.client() as client:
        await warmed_up(client)
        tracemalloc.start()
        try:
            with pytest.raises(ReplyError):
                await client.list_tasks()
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak_bytes < 16 * LIMIT


async def warmed_up(client: EffectsClient) -> None:
    """What is imported at the first request is no part of an answer."""
    with pytest.raises(KlingEffectsError):
        await client.list_tasks()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip", "gzip, gzip"])
async def test_an_answer_that_cannot_be_unpacked_is_an_error_of_ours(
    host: Host, encoding: str
) -> None:
    """Fault 43: also where it is packed in a way that nobody asked for."""
    host.answer = sends(b"\x00" * 1000, **{"Content-Encoding": encoding})
    async with host.client() as client:
        with pytest.raises(KlingEffectsError):
            await client.list_tasks()


async def test_a_head_of_200_kilobytes_breaks_the_connection_and_is_no_400() -> None:
    """Fault 43: the library under ours calls it a bad request, which nobody said."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = [b"HTTP/1.1 200 OK", b"Content-Length: 2", b"X-A: " + b"y" * 200_000, b"", b"{}"]
        writer.write(b"\r\n".join(head))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    service = Service.gateway(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    once = RetryPolicy(attempts=1)
    async with EffectsClient(BearerToken("sk-key"), service=service, retry=once) as client:
        with pytest.raises(NetworkError) as caught:
            await client.list_tasks()
        with pytest.raises(SubmissionUncertainError):
            await client.submit(SQUISH)
    server.close()
    assert caught.value.sent


async def test_a_submit_that_is_answered_with_too_much_is_in_doubt(
    host: Host, tmp_path: Path
) -> None:
    """Fault 43: what was not read may say that the task was accepted."""
    host.answer = sends(padded(LIMIT + 1))
    async with host.client(tmp_path / "jobs.db") as client:
        with pytest.raises(SubmissionUncertainError):
            await client.submit(SQUISH)
    assert [request.method for request in host.requests].count("POST") == 1
    assert await state_of(tmp_path / "jobs.db") is JobState.UNCERTAIN


# -- its redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_of_the_api_is_not_followed(
    host: Host, elsewhere: Host, status: int, tmp_path: Path
) -> None:
    """Fault 46: a paid submit would go to a host that nobody named, and the key with it."""

    async def redirect(_request: web.Request) -> web.Response:
        where = f"{elsewhere.url}/steal?sign=topsecret"
        return web.Response(status=status, headers={"Location": where})

    host.answer = redirect
    async with host.client(tmp_path / "jobs.db") as client:
        for call in (client.submit(SQUISH), client.list_tasks(), client.attach("1").refresh()):
            with pytest.raises(KlingEffectsError) as caught:
                await call
            assert "topsecret" not in f"{caught.value} {caught.value!r}"
    assert elsewhere.requests == []
    assert [request.method for request in host.requests].count("POST") == 1


# -- its cookies


async def test_no_cookie_of_the_service_is_kept(host: Host) -> None:
    """Fault 67: it would tie the requests of different keys together."""

    async def set_cookie(request: web.Request) -> web.Response:
        response = await no_tasks(request)
        response.set_cookie("session", "1")
        return response

    # A jar keeps cookies of names alone, not of numbers.
    port = host.server.port
    service = Service.gateway(f"http://localhost:{port}")
    host.answer = set_cookie
    async with EffectsClient(BearerToken("sk-key-of-ours"), service=service) as client:
        await client.list_tasks()
        await client.list_tasks()
    assert ["Cookie" in request.headers for request in host.requests] == [False, False]


# -- how long it may take


class Slow:
    """A service where every answer takes so long."""

    def __init__(self, answer_s: float) -> None:
        self.answer_s = answer_s
        self.arrived = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.arrived += 1
        await asyncio.sleep(self.answer_s)
        return await no_tasks(request)


def session_for(url: str, retry: RetryPolicy) -> Session:
    return Session(
        Service.gateway(url),
        BearerToken("sk-key-of-ours"),
        retry=retry,
        clock=SystemClock(),
        rng=lambda: 0.0,
    )


def status_of(reply: Reply) -> int:
    return reply.status


@pytest.mark.looptime
@pytest.mark.parametrize("is_repeatable", [True, False], ids=["queries", "submits"])
async def test_waiting_for_a_free_connection_takes_nothing_of_a_requests_time(
    host: Host, is_repeatable: bool
) -> None:
    """Fault 5: our own limit is no error of the service; 260 need several turns of 20 s each."""
    slow = Slow(answer_s=20)
    host.answer = slow.answer
    body = () if is_repeatable else (b"{}",)
    method = "GET" if is_repeatable else "POST"
    request = Request(method=method, path="/t", body=body, is_repeatable=is_repeatable)
    session = session_for(host.url, RetryPolicy(submit_timeout_s=30, answer_timeout_s=30))
    try:
        statuses = await asyncio.gather(
            *(session.send_once(request, status_of) for _ in range(260))
        )
    finally:
        await session.aclose()
    assert statuses == [200] * 260
    assert slow.arrived == 260
    assert asyncio.get_running_loop().time() >= 60  # they did wait, longer than a request may take


@pytest.mark.looptime
@pytest.mark.parametrize("is_repeatable", [True, False], ids=["queries", "submits"])
async def test_a_wait_for_a_free_connection_ends_only_with_the_callers_own_timeout(
    host: Host, is_repeatable: bool
) -> None:
    """Fault 5: nothing is sent then, and whoever waits behind gets the connection."""
    slow = Slow(answer_s=25)
    host.answer = slow.answer
    session = session_for(host.url, RetryPolicy(submit_timeout_s=30, answer_timeout_s=30))

    async def send(path: str, own_timeout_s: float | None) -> int:
        body = () if is_repeatable else (b"{}",)
        method = "GET" if is_repeatable else "POST"
        request = Request(method=method, path=path, body=body, is_repeatable=is_repeatable)
        async with asyncio.timeout(own_timeout_s):
            return await session.send_once(request, status_of)

    try:
        holding = [asyncio.ensure_future(send("/holds", None)) for _ in range(100)]
        await asyncio.sleep(1)
        outcomes = await asyncio.gather(
            *(send("/impatient", 10) for _ in range(50)),
            send("/last", None),
            return_exceptions=True,
        )
        statuses = await asyncio.gather(*holding)
    finally:
        await session.aclose()
    assert [type(outcome) for outcome in outcomes[:-1]] == [TimeoutError] * 50
    assert {*statuses, outcomes[-1]} == {200}
    paths = [request.path for request in host.requests]
    assert (paths.count("/holds"), paths.count("/impatient"), paths.count("/last")) == (100, 0, 1)


@pytest.mark.looptime
async def test_an_answer_that_takes_longer_than_it_may_is_a_timeout(host: Host) -> None:
    """Fault 45: the other side of the same limit."""
    host.answer = Slow(answer_s=40).answer
    session = session_for(host.url, RetryPolicy(answer_timeout_s=30))
    request = Request(method="GET", path="/t", is_repeatable=True)
    try:
        with pytest.raises(RequestTimeoutError, match="within 30 s") as caught:
            await session.send_once(request, status_of)
    finally:
        await session.aclose()
    assert caught.value.sent
