"""Images are encoded while they are sent: the same bytes each time, in little memory."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.test_utils import TestServer, unused_port
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from kling_effects_async.errors import ImageRejectedError, ImageUnreadableError
from kling_effects_async.protocol.messages import Base64Of, Body, FileState
from kling_effects_async.transport.upload import Base64JsonPayload
from tests.support.descriptors import no_descriptor_left

KIB = 1024
# More than the sockets of a loopback connection hold, so that a server that does not read holds up
# the client in the middle. Whole steps, so that the last one is as easy to read as the others.
LARGE_BYTES = 430 * 48 * KIB

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@define
class Received:
    """What a server was sent, one entry for each request that came to its end."""

    bodies: list[bytes] = field(factory=list)
    headers: list[Any] = field(factory=list)

    async def read(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.headers.append(request.headers)
        return web.Response()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/{tail:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def post(url: str, payload: Base64JsonPayload) -> int:
    async with aiohttp.ClientSession() as http, http.post(url, data=payload) as response:
        return response.status


async def sent(body: Body) -> tuple[bytes, Any]:
    """The body and the headers as a server got them."""
    received = Received()
    async with serving(received.read) as url:
        assert await post(url, Base64JsonPayload(body)) == 200
    return received.bodies[0], received.headers[0]


def body_of(*images: Path | bytes) -> Body:
    """A JSON document with a member before the images and one after them."""
    pieces: list[bytes | Base64Of] = [b'{"effect_scene":"hug","images":["']
    for number, image in enumerate(images):
        pieces += [b'","'] * (number > 0) + [hole_of(image)]
    return (*pieces, b'"],"external_task_id":"\xc3\xa4"}')


def hole_of(image: Path | bytes) -> Base64Of:
    if isinstance(image, bytes):
        return Base64Of(image)
    found = image.stat()
    return Base64Of(image, FileState(found.st_size, found.st_mtime_ns, found.st_nlink))


def expected(*images: bytes) -> dict[str, Any]:
    texts = [base64.b64encode(image).decode() for image in images]
    return {"effect_scene": "hug", "images": texts, "external_task_id": "ä"}


def image_file(folder: Path, size_bytes: int = LARGE_BYTES) -> Path:
    path = folder / "large.jpg"
    path.write_bytes(os.urandom(size_bytes))
    os.utime(path, ns=(10**18, 10**18))
    return path


# What arrives


@given(size_bytes=st.sampled_from([0, 1, 2, 3, 4, *(48 * KIB + n for n in (-1, 0, 1))])
       | st.integers(0, 500_000))  # fmt: skip
@settings(max_examples=30)
async def test_an_image_of_any_size_arrives_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, size_bytes: int
) -> None:
    path = image_file(tmp_path_factory.mktemp("images"), size_bytes)
    image = path.read_bytes()
    from_bytes, _ = await sent(body_of(image))
    from_file, _ = await sent(body_of(path))
    assert json.loads(from_bytes) == expected(image)
    assert from_file == from_bytes


async def test_an_image_of_10_mib_arrives_byte_for_byte(tmp_path: Path) -> None:
    path = image_file(tmp_path, 10 * KIB * KIB)
    body, _ = await sent(body_of(path))
    arrived = base64.b64decode(json.loads(body)["images"][0], validate=True)
    assert hashlib.sha256(arrived).digest() == hashlib.sha256(path.read_bytes()).digest()


async def test_left_stays_before_right(tmp_path: Path) -> None:
    left, right = image_file(tmp_path, 300_000), os.urandom(200_001)
    body, _ = await sent(body_of(left, right))
    assert json.loads(body) == expected(left.read_bytes(), right)


async def test_the_length_and_the_type_are_told_beforehand(tmp_path: Path) -> None:
    body, headers = await sent(body_of(image_file(tmp_path, 100_001), b"xyz"))
    assert headers["Content-Length"] == str(len(body))
    assert headers["Content-Type"] == "application/json"
    assert "Transfer-Encoding" not in headers


async def test_a_body_without_images_is_sent_as_it_is() -> None:
    body, _ = await sent((b'{"effect_scene":', b'"squish"}'))
    assert body == b'{"effect_scene":"squish"}'


def test_without_a_page_cache_and_the_speed_extra_the_same_arrives(tmp_path: Path) -> None:
    path = image_file(tmp_path, 1_000_000)
    code = (
        "import os, sys; sys.modules['pybase64'] = None; vars(os).pop('RWF_NOWAIT', None)\n"
        "import asyncio, hashlib\n"
        "from pathlib import Path\n"
        "from tests.transport.test_upload import body_of, sent\n"
        f"body, _ = asyncio.run(sent(body_of(Path({str(path)!r}))))\n"
        "print(hashlib.sha256(body).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    document = body_of(path.read_bytes())
    plain = b"".join(p if isinstance(p, bytes) else base64.b64encode(p.image) for p in document)  # type: ignore[arg-type]  # its image is bytes
    assert run.stdout.strip() == hashlib.sha256(plain).hexdigest()


async def test_the_body_is_never_one_string() -> None:
    payload = Base64JsonPayload(body_of(b"xyz"))
    with pytest.raises(TypeError):
        payload.decode()
    with pytest.raises(TypeError):
        await payload.as_bytes()


# What is sent again


async def test_after_a_cut_connection_the_whole_body_is_sent_again(tmp_path: Path) -> None:
    path = image_file(tmp_path)
    received = Received()
    cuts = [1]

    async def cut_once(request: web.Request) -> web.StreamResponse:
        if not cuts:
            return await received.read(request)
        cuts.pop()
        await request.content.readexactly(100_000)
        assert request.transport
        request.transport.abort()
        return web.Response()

    async with serving(cut_once) as url:
        payload = Base64JsonPayload(body_of(path))
        with pytest.raises(aiohttp.ClientError):
            await post(url, payload)
        assert payload.rejection is None
        assert await post(url, payload) == 200
    assert json.loads(received.bodies[0]) == expected(path.read_bytes())


async def test_a_redirect_gets_the_whole_body_again(tmp_path: Path) -> None:
    path = image_file(tmp_path, 200_000)
    received = Received()

    async def move(request: web.Request) -> web.StreamResponse:
        reply = await received.read(request)
        if request.path == "/there":
            return reply
        return web.Response(status=307, headers={"Location": "/there"})

    async with serving(move) as url:
        assert await post(url, Base64JsonPayload(body_of(path))) == 200
    first, second = received.bodies
    assert first == second


# What is not sent


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def shrink(path: Path) -> None:
    os.truncate(path, 1000)


def rewrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def swap(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(bytes(path.stat().st_size))
    other.replace(path)


def swap_for_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [grow, shrink, rewrite, swap, Path.unlink, swap_for_a_pipe])
async def test_a_file_that_changed_before_the_first_byte_is_not_sent(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """Fault 56."""
    path = image_file(tmp_path, 100_000)
    requests: list[str] = []

    async def note(request: web.Request) -> web.Response:
        requests.append(request.path)
        return web.Response()

    async with serving(note) as url:
        payload = Base64JsonPayload(body_of(b"xyz", path))
        change(path)
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(url, payload)
    assert isinstance(payload.rejection, ImageRejectedError)
    assert not payload.has_started
    assert requests == []


@pytest.mark.parametrize("change", [grow, shrink, rewrite, swap, Path.unlink, swap_for_a_pipe])
async def test_of_a_file_that_changes_meanwhile_the_server_never_gets_a_whole_body(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """Fault 56: the connection is dropped, and nothing is padded."""
    path = image_file(tmp_path)
    received = Received()

    async def change_then_read(request: web.Request) -> web.Response:
        change(path)
        return await received.read(request)

    async with serving(change_then_read) as url:
        payload = Base64JsonPayload(body_of(path))
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(url, payload)
    assert isinstance(payload.rejection, ImageRejectedError)
    assert payload.rejection.image == "large.jpg"
    assert payload.has_started
    assert received.bodies == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system shows no open files")
async def test_a_file_that_never_had_a_name_is_sent(tmp_path: Path) -> None:
    """As on file systems that tell 0 names for every file: size and time say it is unchanged."""
    with image_file(tmp_path, 300_000).open("rb") as file:
        (tmp_path / "large.jpg").unlink()
        path = Path(f"/proc/self/fd/{file.fileno()}")
        assert path.stat().st_nlink == 0
        body, _ = await sent(body_of(path))
        assert json.loads(body) == expected(file.read())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system shows no open files")
@pytest.mark.looptime
async def test_a_file_that_cannot_be_opened_for_a_moment_is_sent(tmp_path: Path) -> None:
    """Fault 83: other uploads give their descriptors back."""
    payload = Base64JsonPayload(body_of(image_file(tmp_path, 300_000)))
    with no_descriptor_left():
        writing = asyncio.create_task(payload.write(writer := FastWriter()))
        await asyncio.sleep(0.3)
        assert not payload.has_started
    await writing
    assert writer.written_bytes == payload.size
    assert payload.rejection is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system shows no open files")
@pytest.mark.looptime
async def test_a_connection_is_not_held_for_long_without_a_descriptor(tmp_path: Path) -> None:
    """Fault 83: where connections have taken all of them, one must give its own back."""
    payload = Base64JsonPayload(body_of(image_file(tmp_path, 300_000)))
    began_s = asyncio.get_running_loop().time()
    with no_descriptor_left(), pytest.raises(ImageUnreadableError, match="Too many open files"):
        await payload.write(FastWriter())
    assert asyncio.get_running_loop().time() - began_s < 2
    assert isinstance(payload.rejection, ImageUnreadableError)
    assert not payload.has_started


def test_a_file_that_nobody_looked_at_cannot_be_sent(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="was never checked"):
        Base64JsonPayload((Base64Of(image_file(tmp_path)),))


async def test_without_a_connection_nothing_has_started() -> None:
    payload = Base64JsonPayload(body_of(b"xyz"))
    with pytest.raises(aiohttp.ClientConnectorError):
        await post(f"http://127.0.0.1:{unused_port()}/", payload)
    assert not payload.has_started


# What it costs, and what stays behind


async def test_20_mb_are_sent_in_less_than_3_mb_of_memory(tmp_path: Path) -> None:
    async def swallow(request: web.Request) -> web.Response:
        async for _ in request.content.iter_any():
            pass
        return web.Response()

    async with serving(swallow) as url:
        payload = Base64JsonPayload(body_of(image_file(tmp_path)))
        tracemalloc.start()
        try:
            assert await post(url, payload) == 200
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 3 * KIB * KIB


class FastWriter(AbstractStreamWriter):
    """A socket that always keeps up, so that no write ever waits."""

    def __init__(self) -> None:
        self.written_bytes = 0

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self.written_bytes += len(chunk)

    async def write_eof(self, chunk: bytes = b"") -> None: ...

    async def drain(self) -> None: ...

    def enable_compression(
        self, encoding: str = "deflate", strategy: int | None = None
    ) -> None: ...

    def enable_chunking(self) -> None: ...

    async def write_headers(self, status_line: str, headers: Any) -> None: ...


@pytest.mark.parametrize("is_file", [True, False])
async def test_others_get_a_turn_after_every_48_kib(tmp_path: Path, is_file: bool) -> None:
    steps = 100
    path = image_file(tmp_path, steps * 48 * KIB)
    payload = Base64JsonPayload(body_of(path if is_file else path.read_bytes()))
    writing = asyncio.create_task(payload.write(writer := FastWriter()))
    turns = 0
    while not writing.done():
        turns += 1
        await asyncio.sleep(0)
    assert writer.written_bytes == payload.size
    assert turns >= steps


async def test_a_cancelled_upload_leaves_no_file_open(tmp_path: Path) -> None:
    has_arrived = asyncio.Event()

    async def stall(request: web.Request) -> web.Response:
        has_arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    async with serving(stall) as url:
        upload = asyncio.create_task(post(url, Base64JsonPayload(body_of(image_file(tmp_path)))))
        await has_arrived.wait()
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
    gc.collect()  # an open file would warn now, and warnings are errors here


async def test_an_upload_that_is_cancelled_while_it_opens_leaves_no_file_open(
    tmp_path: Path,
) -> None:
    payload = Base64JsonPayload(body_of(image_file(tmp_path, 100_000)))
    writing = asyncio.create_task(payload.write(FastWriter()))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await asyncio.get_running_loop().shutdown_default_executor()
    await asyncio.sleep(0)
    gc.collect()  # an open file would warn now, and warnings are errors here


async def test_an_answer_before_the_end_of_the_body_is_seen_and_makes_no_noise(
    tmp_path: Path,
) -> None:
    noise: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: noise.append(context))

    async def reject(request: web.Request) -> web.Response:
        return web.Response(status=413)

    async with serving(reject) as url:
        assert await post(url, Base64JsonPayload(body_of(image_file(tmp_path)))) == 413
    gc.collect()
    await asyncio.sleep(0)
    assert noise == []
