"""Requests over a real connection: a caller's own session, and faults that nobody foresaw."""

from __future__ import annotations

import asyncio
import gzip
import json
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_effects_async import (
    AccessKeys,
    AuthenticationError,
    BearerToken,
    ClientClosedError,
    EffectsClient,
    JobState,
    Journal,
    KlingEffectsError,
    ReplyError,
    RetryPolicy,
    Service,
    SettingsError,
    SingleImageEffect,
    TransportError,
)
from kling_effects_async.policy import RetryPolicy as Retry
from kling_effects_async.protocol.messages import Reply, Request
from kling_effects_async.settings import Credentials
from kling_effects_async.testing import ManualClock
from kling_effects_async.transport.clock import SystemClock
from kling_effects_async.transport.session import Session

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
KEY = "sk-topsecret"
ONE_TRY = RetryPolicy(attempts=1)
ACCEPTED = {"code": 0, "data": {"task_id": "1", "task_status": "submitted"}}
Answer = Callable[[web.Request], web.Response]


def accepted(_request: web.Request) -> web.Response:
    return web.json_response(ACCEPTED)


class Gateway:
    """Answers what the test says, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("").origin())

    @property
    def keys(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.requests]

    async def _handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return (self.answers.pop(0) if self.answers else accepted)(request)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with gateway.server:
        yield gateway


def client_of(
    gateway: Gateway, session: aiohttp.ClientSession | None = None, **options: Any
) -> EffectsClient:
    return EffectsClient(
        BearerToken(KEY),
        service=Service.gateway(gateway.url),
        session=session,
        retry=ONE_TRY,
        **options,
    )


async def state_of(path: Path) -> JobState:
    async with Journal(path, read_only=True) as journal:
        return (await anext(aiter(journal.jobs()))).state


# -- a caller's own session


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "netrc"
    path.write_text("default login somebody password other\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    return path


async def test_our_key_is_sent_where_netrc_has_an_entry_for_the_host(
    gateway: Gateway, netrc: Path
) -> None:
    """Fault 85: a session that trusts the environment reads it."""
    async with aiohttp.ClientSession(trust_env=True) as http, client_of(gateway, http) as client:
        await client.submit(SQUISH)
    assert gateway.keys == [f"Bearer {KEY}"]


async def test_netrc_does_not_matter_to_our_own_session(gateway: Gateway, netrc: Path) -> None:
    """Fault 85."""
    async with client_of(gateway, trust_env=True) as client:
        await client.submit(SQUISH)
    assert gateway.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Authorization": "Bearer other", "Content-Type": "text/plain"}},
        {"headers": {"accept-encoding": "zstd", "user-agent": "mine", "accept": "text/html"}},
        {"raise_for_status": True},
        {"auto_decompress": False},
        {"base_url": "https://other.example/v2/"},
        {"cookies": {"session": "1"}},
        {"skip_auto_headers": ["Content-Type", "User-Agent"]},
        {"read_bufsize": 1},
        {"timeout": aiohttp.ClientTimeout(total=0.000001)},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_a_session_of_any_kind_sends_what_we_say(
    gateway: Gateway, options: dict[str, Any]
) -> None:
    """Fault 85: its own headers, limits and checks are for its owner's requests."""

    def packed(_request: web.Request) -> web.Response:
        body = gzip.compress(json.dumps(ACCEPTED).encode())
        head = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=body, headers=head)

    gateway.answers = [packed]
    async with aiohttp.ClientSession(**options) as http, client_of(gateway, http) as client:
        task = await client.submit(SQUISH)
    assert task.task_id == "1"
    assert gateway.keys == [f"Bearer {KEY}"]
    sent = gateway.requests[0].headers
    assert sent["Content-Type"] == "application/json"
    assert sent["Accept-Encoding"] == "gzip, deflate"  # what can always be unpacked


@pytest.mark.filterwarnings("ignore:.* is deprecated and will be removed:DeprecationWarning")
async def test_our_key_takes_the_place_of_a_sessions_own_user(gateway: Gateway) -> None:
    """Fault 85."""
    auth = aiohttp.BasicAuth("somebody", "other")
    async with aiohttp.ClientSession(auth=auth) as http, client_of(gateway, http) as client:
        await client.submit(SQUISH)
    assert gateway.keys == [f"Bearer {KEY}"]


async def test_a_sessions_own_middlewares_go_on_working(gateway: Gateway) -> None:
    """Fault 85."""

    async def tag(
        request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["X-Trace"] = "7"
        return await send(request)

    async with (
        aiohttp.ClientSession(middlewares=[tag]) as http,
        client_of(gateway, http) as client,
    ):
        await client.submit(SQUISH)
    assert gateway.requests[0].headers["X-Trace"] == "7"


async def test_a_closed_session_is_told_before_anything_is_sent(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Fault 80."""
    http = aiohttp.ClientSession()
    await http.close()
    async with client_of(gateway, http, journal=tmp_path / "jobs.db") as client:
        with pytest.raises(ClientClosedError, match="session="):
            await client.submit(SQUISH, external_task_id="o1")
    assert await state_of(tmp_path / "jobs.db") is JobState.PLANNED


async def test_a_session_of_another_loop_is_told_before_anything_is_sent(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Fault 80."""

    async def made() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    def in_another_loop() -> aiohttp.ClientSession:
        other = asyncio.new_event_loop()
        try:
            http = other.run_until_complete(made())
            assert http.connector is not None
            other.run_until_complete(http.connector.close())
        finally:
            other.close()
        return http

    http = await asyncio.to_thread(in_another_loop)
    object.__setattr__(http, "_connector", aiohttp.TCPConnector())  # open, but not in its loop
    async with client_of(gateway, http, journal=tmp_path / "jobs.db") as client:
        with pytest.raises(SettingsError, match="another event loop"):
            await client.submit(SQUISH, external_task_id="o1")
    await http.close()
    assert await state_of(tmp_path / "jobs.db") is JobState.PLANNED


async def test_a_session_that_says_what_the_body_is_cannot_be_used(gateway: Gateway) -> None:
    """Fault 80."""
    headers = {"Content-Encoding": "gzip"}
    async with aiohttp.ClientSession(headers=headers) as http, client_of(gateway, http) as client:
        with pytest.raises(SettingsError, match="Content-Encoding"):
            await client.submit(SQUISH)
    assert gateway.requests == []


# -- faults that nobody foresaw


def faulty(error: Exception, *, after_sending: bool) -> Any:
    """A session's middleware that fails, as any part below us may."""

    async def fail(
        request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if after_sending:
            (await send(request)).close()
        raise error

    return fail


@pytest.mark.parametrize(
    ("after_sending", "state"), [(False, JobState.PLANNED), (True, JobState.UNCERTAIN)]
)
async def test_a_fault_that_nobody_foresaw_says_whether_anything_was_sent(
    gateway: Gateway, tmp_path: Path, after_sending: bool, state: JobState
) -> None:
    """Fault 80: what it left behind is known, so the job is planned again or uncertain."""
    fail = faulty(LookupError("topsecret"), after_sending=after_sending)
    gateway.answers = [accepted, lambda _request: web.Response(status=500)]
    async with (
        aiohttp.ClientSession(middlewares=[fail]) as http,
        client_of(gateway, http, journal=tmp_path / "jobs.db") as client,
    ):
        with pytest.raises(TransportError) as caught:
            await client.submit(SQUISH, external_task_id="o1")
    assert caught.value.sent is after_sending
    assert await state_of(tmp_path / "jobs.db") is state


@pytest.mark.parametrize("error", [LookupError("topsecret"), RuntimeError(), RecursionError()])
async def test_a_fault_is_named_by_class_and_place_and_never_by_its_text(
    gateway: Gateway, error: Exception
) -> None:
    """Faults 67 and 80: its text may hold what it stumbled over."""
    fail = faulty(error, after_sending=False)
    async with (
        aiohttp.ClientSession(middlewares=[fail]) as http,
        client_of(gateway, http) as client,
    ):
        with pytest.raises(TransportError) as caught:
            await client.list_tasks()
    assert f"{type(error).__name__} at transport/test_session.py, line " in str(caught.value)
    assert caught.value.__context__ is None
    assert "topsecret" not in "".join(traceback.format_exception(caught.value))


async def test_a_cancellation_is_not_taken_for_a_fault(gateway: Gateway) -> None:
    is_under_way = asyncio.Event()

    async def wait(_request: Any, _send: Any) -> aiohttp.ClientResponse:
        is_under_way.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with (
        aiohttp.ClientSession(middlewares=[wait]) as http,
        client_of(gateway, http) as client,
    ):
        asking = asyncio.ensure_future(client.attach("1").refresh())
        await is_under_way.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


def session_for(gateway: Gateway, credentials: Credentials, clock: Any = None) -> Session:
    return Session(
        Service.official(base_url=gateway.url),
        credentials,
        retry=Retry(attempts=1),
        clock=clock or SystemClock(),
        rng=lambda: 0.0,
    )


QUERY = Request(method="GET", path="/tasks", is_repeatable=True)


async def test_a_reader_that_fails_means_an_answer_that_cannot_be_read(gateway: Gateway) -> None:
    """Fault 80."""

    def read(_reply: Reply) -> None:
        raise KeyError("topsecret")

    session = session_for(gateway, BearerToken(KEY))
    with pytest.raises(ReplyError, match=r"KeyError at transport/test_session\.py") as caught:
        await session.send_once(QUERY, read)
    await session.aclose()
    assert caught.value.http_status == 200
    assert caught.value.__context__ is None
    assert "topsecret" not in str(caught.value)


# -- the service's time


def rejected_for(reply: Reply) -> str:
    if reply.status == 401:
        raise AuthenticationError("token not valid yet", retryable=True)
    return "read"


def not_yet(date: str) -> Answer:
    return lambda _request: web.Response(status=401, headers={"Date": date})


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 02 Jan 2026 00:00:00 GMT",
        "Fri, 02 Jan 2026 00:00:00 -0000",
        "Friday, 02-Jan-26 00:00:00 GMT",
        "Fri Jan  2 00:00:00 2026",
        "Sun, 02 Jan 2016 00:00:00 GMT",
    ],
)
async def test_a_token_is_signed_by_the_services_time_in_any_form(
    gateway: Gateway, date: str
) -> None:
    """Faults 17 and 80."""
    gateway.answers = [not_yet(date)]
    session = session_for(gateway, AccessKeys("access-key", "s" * 32), ManualClock())
    assert await session.send_once(QUERY, rejected_for) == "read"
    await session.aclose()
    assert len(set(gateway.keys)) == 2


@pytest.mark.parametrize(
    "date",
    [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Tue, 25 Nov 9999999999 12:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "soon",
        "",
    ],
)
async def test_a_time_of_no_use_lets_the_rejection_go_on(gateway: Gateway, date: str) -> None:
    """Faults 17 and 80."""
    gateway.answers = [not_yet(date)] * 2
    session = session_for(gateway, AccessKeys("access-key", "s" * 32), ManualClock())
    with pytest.raises(AuthenticationError, match="not valid yet"):
        await session.send_once(QUERY, rejected_for)
    await session.aclose()
    assert len(gateway.requests) == 1


async def test_a_time_that_did_not_help_is_forgotten(gateway: Gateway) -> None:
    """Fault 17: the next token is signed by our own clock again."""
    gateway.answers = [not_yet("Fri, 02 Jan 2026 00:00:00 GMT")] * 2
    session = session_for(gateway, AccessKeys("access-key", "s" * 32), ManualClock())
    with pytest.raises(AuthenticationError):
        await session.send_once(QUERY, rejected_for)
    await session.send_once(QUERY, rejected_for)
    await session.aclose()
    first, second, third = gateway.keys
    assert first == third != second


_LINES = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 302 X", b"Content-Length: 2", b"Content-Encoding: gzip"),
    *(b"Transfer-Encoding: chunked", b"Location: https://[oops", b"Date: \xff", b"{}", b""),
]
_BYTES = st.binary(max_size=40) | st.sampled_from(_LINES)


@settings(max_examples=60)
@given(st.lists(_BYTES, max_size=8).map(b"\r\n".join))
async def test_whatever_a_server_writes_there_is_no_error_but_ours(written: bytes) -> None:
    """Fault 80."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(written)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with EffectsClient(
        BearerToken(KEY), service=Service.gateway(url), retry=ONE_TRY
    ) as client:
        with pytest.raises(KlingEffectsError):
            await client.list_tasks()
    server.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "Tue, 25 Nov 9999999999 12:00:00 GMT"},
        {"Retry-After": "9" * 400},
        {"Retry-After": "\u0667"},
        {"Content-Type": "\udcff/\udcfe; charset=\udcff"},
        {"Date": "\udcff"},
        {"Set-Cookie": "\udcff"},
    ],
    ids=lambda headers: next(iter(headers)),
)
@pytest.mark.parametrize("status", [200, 401, 429, 503])
async def test_odd_headers_bring_no_error_but_ours(status: int, headers: dict[str, str]) -> None:
    """Fault 80."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n{lines}\r\n{{}}"
        writer.write(head.encode("utf-8", "surrogateescape"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    service = Service.official(base_url=url)
    async with EffectsClient(
        AccessKeys("access-key", "s" * 32), service=service, retry=ONE_TRY
    ) as client:
        with pytest.raises(KlingEffectsError):
            await client.list_tasks()
    server.close()


# -- secrets that a service repeats


@pytest.mark.parametrize("name", ["message", "request_id", "code"])
async def test_our_own_key_in_an_answer_is_cut_from_its_error(gateway: Gateway, name: str) -> None:
    """Fault 93: the service repeats the key; bounded, too."""
    own_key = "Plain.Key.0123456789"
    body = {"code": 1201, "message": "no", name: f"no {own_key} " + "long " * 1000}
    gateway.answers.append(lambda _: web.json_response(body, status=400))
    service = Service.gateway(gateway.url)
    async with EffectsClient(BearerToken(own_key), service=service, retry=ONE_TRY) as client:
        with pytest.raises(KlingEffectsError) as caught:
            await client.list_tasks()
    shown = f"{caught.value} {vars(caught.value)} {caught.value.args}"
    assert "no ..." in shown
    assert own_key not in shown
    assert len(str(caught.value)) < 3_000
    assert caught.value.__context__ is None


async def test_an_answer_is_read_as_it_came(gateway: Gateway) -> None:
    """Fault 94: no answer is edited before it is read, not even where it repeats the key."""
    task = {"task_id": f"1-{KEY}", "task_status": "submitted"}
    gateway.answers.append(lambda _: web.json_response({"code": 0, "data": task}))
    async with client_of(gateway) as client:
        assert (await client.submit(SQUISH)).task_id == f"1-{KEY}"


async def test_a_timeout_shows_no_frame_that_holds_the_key() -> None:
    """Fault 93: a cancelled call's traceback with its locals."""

    async def keep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        limit.reschedule(0)  # passed, now that the request is under way

    held: list[asyncio.StreamWriter] = []
    limit = asyncio.timeout(None)
    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with EffectsClient(BearerToken(KEY), service=Service.gateway(url)) as client:
        with pytest.raises(TimeoutError) as caught:
            async with limit:
                await client.list_tasks()
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "authorization" not in "".join(told.format())
    for writer in held:
        writer.close()
    server.close()
