"""``kling-effects listen`` as its users start it: another process, ended by a signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.callbacks import OTHER_SECRET, SECRET, body_of, signed
from tests.support.command_line import clean_environment, kling

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")


@asynccontextmanager
async def listening(
    *options: str, folder: Path, **environ: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process and the first line it prints."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "kling_effects_async", "listen", "--port=0", *options],
        cwd=folder,
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path), **environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_each_message_is_a_line_of_json_and_says_who_sent_it(tmp_path: Path) -> None:
    """Fault 59: a program sees which messages prove something."""
    body = body_of("t1", name="order-42")
    environ = {"KLING_CALLBACK_SECRETS": f"{OTHER_SECRET} {SECRET}"}
    async with listening("--json", folder=tmp_path, **environ) as (process, line):
        url = json.loads(line)["callback_url"]
        assert process.stdout is not None
        assert url.startswith("http://127.0.0.1:")
        rows = []
        for headers in (signed(body), signed(body + b" "), None):
            assert await post(url, body, headers) == 200
            rows.append(json.loads(await process.stdout.readline()))
        assert await post(url + "x", body) == 404
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
        assert process.returncode == 0
    assert [row["signature"] for row in rows] == ["signed", "wrong signature", "unsigned"]
    assert rows[0] == {
        "signature": "signed",
        "task_id": "t1",
        "external_task_id": "order-42",
        "status": "succeeded",
        "raw_status": "succeed",
        "message": "",
        "videos": ["https://v.example/callback.mp4"],
    }
    assert out == b""
    said = err.decode()
    assert "1 signed, 1 unsigned, 1 wrong signature, 1 not found" in said
    assert SECRET[6:] not in said
    assert url.rpartition("/")[2] not in said
    assert "Traceback" not in said


async def test_for_people_a_line_is_text_and_a_missing_secret_is_told(tmp_path: Path) -> None:
    token = {"KLING_CALLBACK_TOKEN": "a-token-of-ones-own"}
    async with listening(folder=tmp_path, **token) as (process, line):
        url = line.removeprefix("callback_url ").strip()
        assert process.stdout is not None
        assert url.endswith("/a-token-of-ones-own")
        body = body_of("t1", "failed").replace(b"invalid", b"invalid\\n\\u001b[2J")
        await post(url, body)
        shown = (await process.stdout.readline()).decode()
        process.send_signal(signal.SIGINT)
        _out, err = await process.communicate()
        assert process.returncode == 0
    assert shown == "[unsigned] t1 - failed Image pixel is invalid ?[2J\n"
    assert b"KLING_CALLBACK_SECRETS has no secret" in err


@pytest.mark.parametrize("public_url", [(), ("--public-url", "https://hooks.example/kling")])
async def test_every_address_of_the_machine_is_no_address_to_send_to(
    tmp_path: Path, public_url: tuple[str, ...]
) -> None:
    async with listening("--host=0.0.0.0", *public_url, folder=tmp_path) as (process, line):
        url = line.removeprefix("callback_url ").strip()
        assert url.startswith(public_url[1:] or "http://127.0.0.1:")
        if not public_url:
            assert await post(url, body_of("t1")) == 200
        process.send_signal(signal.SIGTERM)
        _out, err = await process.communicate()
    assert (b"from this machine alone: for others pass --public-url" in err) is not bool(public_url)


@pytest.mark.parametrize(
    ("options", "environ", "says"),
    [
        ([], {"KLING_CALLBACK_SECRETS": "whsec_MARK!"}, "secret 1 is no webhook secret"),
        ([], {"KLING_CALLBACK_TOKEN": "MARK"}, "KLING_CALLBACK_TOKEN must be 16 or more"),
        (["--public-url", "bot.example"], {}, "--public-url must be the http(s) address"),
    ],
)
def test_what_is_wrong_ends_in_one_sentence(
    options: list[str], environ: dict[str, str], says: str, tmp_path: Path
) -> None:
    ended = kling("listen", "--port=0", *options, folder=tmp_path, **environ)
    assert ended.code == 3
    assert says in ended.err
    assert "MARK" not in ended.err


def test_a_port_that_is_taken_ends_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = kling("listen", f"--port={port}", folder=tmp_path)
    assert ended.code == 3
    assert f"cannot listen on port {port} of 127.0.0.1" in ended.err
    assert "--port" in ended.err
