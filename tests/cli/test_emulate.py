"""``kling-effects emulate`` as its users start it: another process, ended by a signal."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from kling_effects_async import (
    BearerToken,
    EffectsClient,
    NetworkError,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
)
from tests.support.callback_inbox import an_inbox
from tests.support.command_line import clean_environment, kling

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")

SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")


@asynccontextmanager
async def emulating(
    *options: str, folder: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process and the first line it prints."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "kling_effects_async", "emulate", "--port=0", *options],
        "--clips=stock",
        cwd=folder,
        env=clean_environment(folder, PYTHONPATH=os.pathsep.join(sys.path)),
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


async def test_what_it_prints_points_other_commands_at_it(cat: Path, tmp_path: Path) -> None:
    async with emulating("--speed=1e6", folder=tmp_path) as (_process, line):
        export, *settings = line.split()
        environ = dict(setting.split("=", 1) for setting in settings)
        ended = await asyncio.to_thread(
            kling, "run", "squish", cat, "-o", "a.mp4", folder=tmp_path, **environ
        )
    assert export == "export"
    assert (ended.code, ended.out) == (0, "a.mp4\n")
    assert "preview" not in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    async with emulating(folder=tmp_path) as (process, _line):
        process.send_signal(number)
        _out, err = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in err


async def test_json_tells_the_same_to_programs(tmp_path: Path) -> None:
    async with emulating("--json", folder=tmp_path) as (_process, line):
        told = json.loads(line)
    assert told["environment"]["KLING_SERVICE"] == told["url"]
    assert told["official"]["KLING_SERVICE"] == f"official:{told['url']}"
    assert told["official"]["KLING_ACCESS_KEY"] == "emulator-access-key"


async def test_each_start_has_keys_of_its_own(tmp_path: Path) -> None:
    """Fault 95: who does not read what it prints cannot come in."""
    told = []
    for _ in range(2):
        async with emulating("--json", folder=tmp_path) as (_process, line):
            told.append(json.loads(line))
    assert len({one["environment"]["KLING_API_KEY"] for one in told}) == 2
    assert len({one["official"]["KLING_SECRET_KEY"] for one in told}) == 2


async def test_it_prints_how_to_use_the_pair_of_keys(cat: Path, tmp_path: Path) -> None:
    secret = "a-secret-key-of-thirty-two-bytes!"
    options = ["--access-key=my-access-key", f"--secret-key={secret}", "--speed=1e6"]
    async with emulating(*options, folder=tmp_path) as (process, line):
        assert process.stdout is not None
        told = (await process.stdout.readline()).decode()
        environ = dict(word.split("=", 1) for word in shlex.split(told.partition("export ")[2]))
        async with EffectsClient.from_env(environ) as client:
            assert client.service.dialect.name == "official"
            result = await client.run(SingleImageEffect("net_the_fish", image=cat))
    assert told.startswith("#")
    assert result.video.url.startswith("http://127.0.0.1:")
    assert secret not in line


async def logged(process: asyncio.subprocess.Process) -> str:
    """What it says on stderr, to its end."""
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    return err.decode()


async def asked(url: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
    headers = {"Authorization": "Bearer sentinel-key"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, **options) as reply,
    ):
        return reply.status, await reply.json(content_type=None)


ORDER = {
    "effect_scene": "squish",
    "input": {"model_name": "kling-v1-6", "image": "https://img.example/a.jpg", "duration": "5"},
}


async def test_it_logs_a_line_a_request_without_secrets(tmp_path: Path) -> None:
    options = ["--api-key=sentinel-key", "--webhook-secret=whsec_c2VudGluZWw=", "--json"]
    async with emulating(*options, folder=tmp_path) as (process, line):
        told = json.loads(line)
        effects = f"{told['url']}/kling/v1/videos/effects"
        assert told["environment"]["KLING_API_KEY"] == "sentinel-key"
        _, created = await asked(effects, "POST", json=ORDER)
        task_id = created["data"]["task_id"]
        await asked(f"{effects}/nobody?token=sentinel")
        err = await logged(process)
    lines = [line for line in err.splitlines() if "videos/effects" in line]
    assert lines == [
        f"kling-effects: POST /kling/v1/videos/effects 200 accepted task {task_id} (squish)",
        "kling-effects: GET /kling/v1/videos/effects/nobody 400 unknown task",
    ]
    assert "sentinel" not in err
    assert "c2VudGluZWw" not in err


async def test_quiet_logs_no_request(tmp_path: Path) -> None:
    async with emulating("--quiet", "--json", folder=tmp_path) as (process, line):
        await asked(f"{json.loads(line)['url']}/v1/nothing")
        assert "/v1/nothing" not in await logged(process)


async def test_a_log_that_nobody_reads_stops_no_request(tmp_path: Path) -> None:
    """A pipe holds 64 KiB, and asyncio reads 128 KiB ahead; here come more lines than that."""
    async with emulating("--json", folder=tmp_path) as (process, line):
        url = f"{json.loads(line)['url']}/{'a' * 190}"
        try:
            async with aiohttp.ClientSession() as session:
                for _ in range(2000):
                    async with session.get(url) as reply:
                        assert reply.status == 200
        finally:
            process.kill()
            await process.communicate()


async def test_its_account_and_answers_can_be_chosen(tmp_path: Path) -> None:
    options = [
        *("--api-key=another-key", "--api-key=sentinel-key", "--units=1.5", "--balance-units=2"),
        *("--unknown-task=not-found", "--task-seconds=3-4", "--seed=7", "--no-model-fields"),
        "--retired-scenes=reject",
    ]
    bare = {"effect_scene": "net_the_fish", "input": {"image": "https://img.example/a.jpg"}}
    async with emulating("--json", *options, folder=tmp_path) as (_process, line):
        effects = f"{json.loads(line)['url']}/kling/v1/videos/effects"
        answers = [await asked(effects, "POST", json=order) for order in (ORDER, bare, bare)] + [
            await asked(f"{effects}/nobody")
        ]
    assert [(status, body["code"]) for status, body in answers] == [
        *((400, 1201), (200, 0), (429, 1102), (404, 1203)),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--task-seconds=forty"], "'forty' is no number of seconds"),
        (["--task-seconds=9-3"], "40, or 40-90"),
        (["--units=two"], "--units must be a number of units"),
        (["--balance-units=-1"], "--balance-units must be a number of units"),
        (["--api-key="], "--api-key must hold at least one key"),
        (["--access-key=my-access-key"], "--access-key and --secret-key only work together"),
        (["--secret-key=sentinel"], "--access-key and --secret-key only work together"),
        (["--access-key=my-access-key", "--secret-key=sentinel-key"], "at least 32 bytes"),
        (["--webhook-secret=sentinel!"], "--webhook-secret must be whsec_ and base64"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(
    options: list[str], words: str, tmp_path: Path
) -> None:
    ended = kling("emulate", "--port=0", "--clips=stock", *options, folder=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert "sentinel" not in ended.err


@pytest.mark.parametrize(
    ("options", "is_accepted"),
    [
        (["--repeated-external-id=accept"], True),
        (["--repeated-external-id=reject"], False),
        (["--reply-shape=wrapped-twice", "--repeated-external-id=accept", "--no-list"], True),
    ],
)
async def test_its_options_reach_the_emulator(
    options: list[str], is_accepted: bool, cat: Path, tmp_path: Path
) -> None:
    async with emulating("--speed=1e6", "--json", *options, folder=tmp_path) as (_process, line):
        environ = json.loads(line)["environment"]
        # Where a used id is rejected, the task under it is a stranger's to the second command.
        for output, code in (("a.mp4", 0), ("b.mp4", 0 if is_accepted else 4)):
            arguments = ["run", "squish", cat, "--external-task-id=same", "-o", output]
            ended = await asyncio.to_thread(kling, *arguments, folder=tmp_path, **environ)
            assert ended.code == code
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{environ['KLING_SERVICE']}/_emulator/ledger") as reply,
        ):
            ledger = await reply.json()
    assert ledger["total"] == (2 if is_accepted else 1)


async def test_its_callbacks_are_sent_as_the_options_say(tmp_path: Path) -> None:
    secrets = ("whsec_b2xkIHNlY3JldA==", "whsec_bmV3IHNlY3JldA==")
    options = [
        *(f"--webhook-secret={secret}" for secret in secrets),
        *("--callback-shape=newer", "--callback-attempts=2", "--callback-retry-s=0"),
        *("--gateway-task-ids", "--api-key=sentinel-key", "--speed=1e6", "--json"),
    ]
    async with an_inbox() as inbox, emulating(*options, folder=tmp_path) as (_process, line):
        inbox.answers = [web.Response(status=500)]
        url = json.loads(line)["url"]
        order = ORDER | {"callback_url": inbox.url}
        _, created = await asked(f"{url}/kling/v1/videos/effects", "POST", json=order)
        first = (await inbox.wait_for(3))[0]
        _, sent = await asked(f"{url}/_emulator/callbacks")
    assert created["data"]["task_id"].startswith("task_")
    # At this speed the task has ended before the second attempt.
    assert sorted(inbox.statuses) == ["processing", "processing", "succeeded"]
    assert first["id"].isdecimal()
    for secret in secrets:
        Webhook(secret).verify(inbox.bodies[0], inbox.headers[0])
    assert (sent["entries"][0]["http_status"], sent["entries"][0]["attempt"]) == (500, 1)


def test_a_port_that_is_taken_ends_in_one_sentence(tmp_path: Path) -> None:
    """Fault 70: its own error, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = kling("emulate", f"--port={port}", "--clips=stock", folder=tmp_path)
    (line,) = ended.err.splitlines()
    assert (ended.code, ended.out) == (3, "")
    assert f"port {port} of 127.0.0.1 is taken" in line
    assert "--port 0" in line


async def test_an_emulator_that_is_killed_is_a_service_that_is_gone(tmp_path: Path) -> None:
    """Fault 70: whoever waits hears of the network, and nothing new is taken for sent."""
    once = RetryPolicy(attempts=1)
    soon = PollPolicy(shortest_s=0.01, max_interval_s=0.02, max_outage_s=0.05)
    async with emulating("--speed=0.001", "--json", folder=tmp_path) as (process, line):
        environ = json.loads(line)["environment"]
        service = Service.gateway(environ["KLING_SERVICE"])
        key = BearerToken(environ["KLING_API_KEY"])
        async with EffectsClient(key, service=service, retry=once, poll=soon) as client:
            task = await client.submit(SQUISH)
            assert not (await task.refresh()).is_final
            waiting = asyncio.ensure_future(task.result())
            process.kill()
            await process.wait()
            with pytest.raises(NetworkError):
                await waiting
            with pytest.raises(NetworkError) as caught:
                await client.submit(SQUISH)
    assert caught.value.sent is False
