"""Every command, with every secret in its environment and a service that repeats them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kling_effects_async.cli.app import app
from kling_effects_async.cli.failures import ExitCode
from kling_effects_async.cli.jobs import jobs
from kling_effects_async.emulator import Clips, Emulator
from tests.support.command_line import kling
from tests.support.fault_proxy import FaultProxy, answer_instead
from tests.support.marked_secrets import (
    ACCESS,
    EFFECT,
    NEVER_KEPT,
    NEVER_SHOWN,
    PASSWORD,
    SECRET,
    leaks,
    repeating,
)

BOOK = ("--journal", "jobs.db")
# In this order: the first one leaves the job that the others are about.
LINES: dict[str, tuple[str, ...]] = {
    "run": ("disco_paws", str(EFFECT.images[0]), "--external-task-id", "e1", "-o", "a.mp4", *BOOK),
    "bulk": ("disco_paws", str(EFFECT.images[0]), "-o", "clips", "--timeout-s", "0.5", *BOOK),
    "fetch": ("t1", "-o", "b.mp4", "--timeout-s", "0.5"),
    "jobs": BOOK,
    "jobs show": ("e1", *BOOK),
    "jobs resume": (*BOOK, "--timeout-s", "0.5"),
    "jobs settle": ("e1", *BOOK),
    "jobs adopt": ("another", *BOOK),
    "status": ("t1", "--external-task-id", "e1"),
    "watch": ("t1", "--timeout-s", "0.5"),
    "list": (),
    "check": (str(EFFECT.images[0]),),
    "auth": ("status",),
    "doctor": (),
    "completion": ("bash",),
    "scenes": (),
    "emulate": ("--access-key", ACCESS, "--secret-key", SECRET, "--port", "PORT"),
    "listen": ("--port", "PORT"),
}
WITHOUT_JSON = ("completion", "jobs settle", "jobs adopt", "emulate", "listen")
ANSWERS = {
    "401": repeating(401, 1000),
    "500": repeating(500, 5000),
}


def test_every_command_has_a_line() -> None:
    """Fault 67: a new command needs one."""
    assert set(LINES) == {*app.commands, *(f"jobs {name}" for name in jobs.commands)}


SIGNED = (
    ("run", "squish", "s3://bucket.example/cat.jpg?sign=MARKED"),
    ("run", "squish", "https:/img.example/cat.jpg?sign=MARKED"),
    ("run", "squish", "img.example/cat.jpg?sign=MARKED"),
    ("run", "squish", "ftp://user:MARKED@img.example/cat.jpg"),
    ("run", "squish", "cat.jpg", "--service", "https://user:MARKED@gateway.example/?sign=MARKED"),
    ("fetch", "https://img.example/cat.mp4?sign=MARKED"),
    ("bulk", "squish", "img.example/cat.jpg?sign=MARKED", "-o", "clips"),
    ("bulk", "squish", "s3://bucket.example/cat.jpg?sign=MARKED", "-o", "clips"),
)


@pytest.mark.parametrize("line", SIGNED, ids=lambda line: line[-1][:20])
def test_an_address_in_the_wrong_place_is_not_repeated_whole(
    line: tuple[str, ...], tmp_path: Path
) -> None:
    ended = kling(*line, folder=tmp_path)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert ".example" in ended.err
    assert "MARKED" not in ended.err


@pytest.mark.waits
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_no_command_shows_a_secret(answer: bytes, tmp_path: Path) -> None:
    """Fault 67: for people and for programs, and what is kept in the journal."""
    async with (
        Emulator(clips=Clips.STOCK, access_keys={ACCESS: SECRET}) as emulator,
        FaultProxy(emulator.url) as proxy,
    ):
        # The proxy is not used for this machine, so no service can know its password.
        proxy.always = answer_instead(answer.replace(PASSWORD.encode(), b"x" * len(PASSWORD)))
        environ = {
            "KLING_SERVICE": proxy.url,
            "KLING_ACCESS_KEY": ACCESS,
            "KLING_SECRET_KEY": SECRET,
            "KLING_EFFECTS_DEBUG": "1",
            "HTTPS_PROXY": f"http://someone:{PASSWORD}@proxy.example:3128",
        }
        said = ""
        for name, arguments in LINES.items():
            line = [*name.split(), *arguments]
            line = [emulator.url[-5:] if each == "PORT" else each for each in line]
            for form in ([],) if name in WITHOUT_JSON else ([], ["--json"]):
                ended = await asyncio.to_thread(kling, *line, *form, folder=tmp_path, **environ)
                assert leaks(ended.out + ended.err, NEVER_SHOWN) == [], line
                said += ended.out + ended.err
        tokens = b"".join(bytes(each.request) for each in proxy.connections).count(b"Bearer eyJ")
    assert tokens > 0
    assert "..." in said
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("jobs.db*")).decode("latin-1")
    assert leaks(kept, NEVER_KEPT) == []
