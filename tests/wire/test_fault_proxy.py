"""The fault proxy does what its script says, in virtual time, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.fault_proxy import (
    CARRIED,
    Ending,
    FaultProxy,
    Flow,
    Line,
    answer_instead,
    cut_answer,
    cut_request,
    whole_answer,
)

pytestmark = pytest.mark.looptime

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nword"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nWORD"


class EchoServer:
    """Answers each request with its ``ANSWER``, and keeps what came and how it ended."""

    def __init__(self) -> None:
        self.heard = b""
        self.ends: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.read(len(REQUEST)):
                self.heard += request
                if request == REQUEST:
                    writer.write(ANSWER)
            self.ends.append("fin")
        except ConnectionResetError:
            self.ends.append("rst")
        writer.close()


@pytest.fixture
async def server() -> EchoServer:
    return EchoServer()


@pytest.fixture
async def echo(server: EchoServer) -> AsyncIterator[FaultProxy]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with FaultProxy(f"http://127.0.0.1:{port}") as proxy:
        yield proxy
    listening.close()


async def exchange(proxy: FaultProxy, request: bytes = REQUEST) -> bytes | str:
    """What comes back until the end, or ``"rst"`` where that is how it ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url[-5:]))
    try:
        writer.write(request)
        writer.write_eof()
        return await reader.read()
    except ConnectionResetError:
        return "rst"
    finally:
        writer.close()


async def seconds_of(exchanged: Awaitable[object]) -> float:
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    await exchanged
    return loop.time() - began_at


async def test_without_a_script_bytes_pass_as_they_are(
    echo: FaultProxy, server: EchoServer
) -> None:
    assert await exchange(echo) == ANSWER
    assert server.heard == REQUEST
    assert echo.connections[0].request == REQUEST
    assert echo.connections[0].answer == ANSWER


@pytest.mark.parametrize("at", [0, 1, 20, len(REQUEST)])
@pytest.mark.parametrize(("ending", "seen"), [(Ending.FIN, b""), (Ending.RST, "rst")])
async def test_a_request_is_cut_at_the_byte(
    echo: FaultProxy, server: EchoServer, at: int, ending: Ending, seen: bytes | str
) -> None:
    echo.next(cut_request(at, ending))
    assert await exchange(echo) == seen
    await asyncio.sleep(1)  # until the server has seen it, too
    assert echo.connections[0].request == REQUEST[:at]
    if ending is Ending.FIN:
        assert (server.heard, server.ends) == (REQUEST[:at], ["fin"])


@pytest.mark.parametrize("at", [0, 1, 20, len(ANSWER)])
async def test_an_answer_is_cut_at_the_byte(echo: FaultProxy, server: EchoServer, at: int) -> None:
    echo.next(cut_answer(at), cut_answer(at, Ending.RST))
    assert await exchange(echo) == ANSWER[:at]
    assert server.heard == REQUEST
    assert await exchange(echo) in ("rst", ANSWER)


async def test_a_line_of_the_script_is_for_one_connection(echo: FaultProxy) -> None:
    echo.next(cut_answer(3), CARRIED, cut_answer(5))
    assert [await exchange(echo) for _ in range(4)] == [ANSWER[:3], ANSWER, ANSWER[:5], ANSWER]


@pytest.mark.parametrize("ending", [Ending.FIN, Ending.RST])
async def test_a_connection_ends_at_once(
    echo: FaultProxy, server: EchoServer, ending: Ending
) -> None:
    echo.next(Line(ends_at_once=ending))
    assert await exchange(echo) in (b"", "rst")
    assert server.heard == b""


async def test_bytes_are_late_and_in_pieces(echo: FaultProxy) -> None:
    echo.next(Line(answer=Flow(delay_s=50)), Line(answer=Flow(piece_bytes=1, every_s=10)))
    assert await seconds_of(exchange(echo)) == pytest.approx(50, abs=0.1)
    dripped_s = 10 * len(ANSWER)
    assert await seconds_of(exchange(echo)) == pytest.approx(dripped_s, abs=0.1)


async def test_after_a_stall_nothing_passes_and_nothing_ends(echo: FaultProxy) -> None:
    echo.next(Line(answer=Flow(passes_bytes=7, ending=Ending.STALL)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(exchange(echo), 1000)
    assert echo.connections[0].answer == ANSWER[:7]


async def test_other_bytes_come_in_place_of_the_answer(
    echo: FaultProxy, server: EchoServer
) -> None:
    echo.next(answer_instead(b"SSH-2.0"), answer_instead(b"no", reaches_service=False))
    assert await exchange(echo) == b"SSH-2.0"
    assert server.heard == REQUEST
    assert await exchange(echo) == b"no"
    assert server.heard == REQUEST
    echo.next(answer_instead(b""))
    assert await exchange(echo) == b""
    assert server.heard == REQUEST * 2


async def test_a_large_answer_passes_whole_in_place_of_another(echo: FaultProxy) -> None:
    large = bytes(300_000)
    for reaches_service in (True, False):
        echo.next(answer_instead(large, reaches_service=reaches_service))
        assert await exchange(echo) == large


async def test_a_message_passes_twice(echo: FaultProxy, server: EchoServer) -> None:
    twice = Flow(repeats_after_s=5)
    echo.next(Line(answer=twice), Line(request=twice))
    assert await exchange(echo) == ANSWER * 2
    server.heard = b""
    assert await exchange(echo) == ANSWER * 2
    assert server.heard == REQUEST * 2


def test_an_answer_has_its_length_and_its_headers() -> None:
    assert whole_answer(429, b"{}", Retry_After="7") == (
        b"HTTP/1.1 429 Said\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Retry-After: 7\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    "line",
    [
        CARRIED,
        cut_request(5),
        cut_answer(5, Ending.RST),
        Line(ends_at_once=Ending.STALL),
        Line(answer=Flow(delay_s=1e6)),
        Line(answer=Flow(passes_bytes=3, ending=Ending.STALL)),
        answer_instead(b"no", reaches_service=False),
    ],
)
async def test_it_leaves_no_task_and_no_socket(line: Line) -> None:
    descriptors = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    tasks = asyncio.all_tasks()
    server = EchoServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with FaultProxy(f"http://127.0.0.1:{port}") as proxy:
        proxy.next(line)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url[-5:]))
        writer.write(REQUEST)
        await asyncio.sleep(1)
    with suppress(ConnectionResetError):
        await reader.read()
    writer.close()
    listening.close()
    await asyncio.sleep(1)
    assert asyncio.all_tasks() == tasks
    assert len(list(descriptors.iterdir())) == before
