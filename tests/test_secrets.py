"""One service that repeats everything secret, and everything that a program can be shown of it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, field

from kling_effects_async import (
    AccessKeys,
    BearerToken,
    Credentials,
    EffectsClient,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
)
from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.journal.sqlite.schema import MIGRATIONS
from tests.support.command_line import kling
from tests.support.marked_secrets import leaks, told_of
from tests.support.proxy_server import ProxyServer

BEARER, ACCESS, SECRET = "MARKBEARER/with+odd=1", "MARKACCESS0123456789", "MARKSECRET" * 4
PASSWORD, SAID, VIDEO, PICTURE = "MARKPASSWORD", "MARKSAID", "MARKVIDEO", "MARKPICTURE"
# The last but two are in addresses that the journal has to keep.
NEVER_KEPT = ("MARKBEARER", "MARKACCESS", "MARKSECRET", "eyJ", PASSWORD, SAID)
NEVER_SHOWN = (*NEVER_KEPT, VIDEO, PICTURE)
EFFECT = SingleImageEffect("squish", image=f"https://i.example/a.jpg?X-Amz-Signature={PICTURE}")
ANSWERS = ("500", "400", "401", "html", "kind", "redirect", "no task", "failed", "done")


@define
class Echo:
    """Answers in one way with all that it was told and knows.

    Attributes:
        told: what its messages held.
    """

    answer: str = "done"
    url: str = ""
    own: str = ""
    password: str = ""
    told: list[str] = field(factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        heard = " ".join(f"{name}: {value}" for name, value in request.headers.items())
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        text = f"{heard} | {self.own} | {token[:40]} | {self.password} | https://v.example/a?sig={SAID}"
        self.told.append(text)
        if request.path == "/clip.mp4":
            return web.Response(status=404, text=text, content_type="text/html")
        match self.answer:
            case "html" | "kind":
                kind = f"text/{quote(token, safe='')[:60]}" if self.answer == "kind" else None
                headers = {"X-Request-Id": text, "Content-Type": kind or "text/html"}
                return web.Response(body=text.encode(), headers=headers)
            case "redirect":
                raise web.HTTPFound(f"https://evil.example/{'long/' * 36}{self.own}?{token}")
            case "no task":
                return web.json_response({"code": 0, "data": {"request_id": text}})
            case "failed" | "done":
                task = self._task(request.method, text)
                is_list = request.method == "GET" and request.path.endswith("effects")
                return web.json_response({"code": 0, "data": [task] if is_list else task})
        rejection = {"code": 1201, "message": text, "request_id": text}
        return web.json_response(rejection, status=int(self.answer))

    def _task(self, method: str, text: str) -> dict[str, Any]:
        is_new = method == "POST"
        status = "submitted" if is_new else {"failed": "failed"}.get(self.answer, "succeed")
        videos = [{"id": "v", "url": f"{self.url}/clip.mp4?sign={VIDEO}", "duration": "5"}]
        return {
            "task_id": "t1",
            "task_status": status,
            "task_status_msg": text,
            "request_id": text,
            "created_at": 1,  # so long ago that its video is asked for once more only
            "updated_at": 2,
            "task_result": {"videos": videos if status == "succeed" else []},
        }


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", echo.serve)
    async with TestServer(app) as server:
        echo.url = str(server.make_url("")).rstrip("/")
        yield echo


@pytest.mark.looptime
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("is_pair", [False, True])
async def test_nothing_secret_is_in_any_output_or_kept(
    echo: Echo, answer: str, is_pair: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 67: errors, logs, reprs, locals of tracebacks, progress, and the journal's bytes."""
    caplog.set_level(logging.DEBUG)
    echo.answer, echo.own = answer, f"{ACCESS} {SECRET}" if is_pair else BEARER
    credentials: Credentials = AccessKeys(ACCESS, SECRET) if is_pair else BearerToken(BEARER)
    echo.password = PASSWORD
    shown: list[str] = []

    async def keep(call: Callable[[], Awaitable[Any]]) -> None:
        try:
            shown.append(repr(await call()))
        except (KlingEffectsError, asyncio.CancelledError) as error:
            shown.append(told_of(error))

    async with (
        ProxyServer() as proxy,
        EffectsClient(
            credentials,
            service=Service.gateway(echo.url),
            proxy=proxy.url_with(f"someone:{PASSWORD}"),
            journal=tmp_path / "jobs.db",
            retry=RetryPolicy(attempts=1),
            poll=PollPolicy(deadline_s=5, max_outage_s=1),
        ) as client,
    ):
        task = client.attach("t1")
        await keep(lambda: client.submit(EFFECT, external_task_id="order-1"))
        await keep(task.refresh)
        await keep(task.result)
        await keep(client.list_tasks)
        await keep(lambda: client.run(EFFECT, external_task_id="order-2"))
        shown += [repr([client, task, credentials, EFFECT, client.service])]
        shown += [repr([each async for each in client.run_many([EFFECT], download_to=tmp_path)])]
        kept = b"".join(path.read_bytes() for path in tmp_path.glob("jobs.db*"))  # -wal too
    records = [
        str(vars(record)) + record.getMessage()
        for record in caplog.records
        if record.name != "aiohttp.access"
    ]  # the service's own log
    assert all(PASSWORD in text and SAID in text for text in echo.told)
    assert leaks("\n".join(shown + records), NEVER_SHOWN) == []
    assert leaks(kept.decode("latin-1"), NEVER_KEPT) == []
    assert all(os.stat(path).st_mode & 0o077 == 0 for path in tmp_path.glob("jobs.db*"))


@pytest.mark.waits
@pytest.mark.parametrize("answer", ["done", "html", "400", "failed"])
async def test_no_command_shows_anything_secret(echo: Echo, answer: str, tmp_path: Path) -> None:
    """Fault 67: what commands print for people and for programs."""
    echo.answer, echo.own = answer, BEARER
    environ = {"KLING_SERVICE": echo.url, "KLING_API_KEY": BEARER, "KLING_EFFECTS_DEBUG": "1"}
    book = ["--journal", "jobs.db"]
    run = ["run", "squish", *EFFECT.images, "--external-task-id", "e1", "-o", "a.mp4", *book]
    for line in (
        [*run, "--timeout-s", "0.5"],
        ["fetch", "t1", "-o", "b.mp4", "--timeout-s", "0.5"],
        ["jobs", *book],
        ["jobs", "show", "e1", *book],
        ["jobs", "resume", *book, "--timeout-s", "0.5"],
    ):
        for form in ([], ["--json"]):
            ended = await asyncio.to_thread(kling, *line, *form, folder=tmp_path, **environ)
            assert leaks(ended.out + ended.err, NEVER_SHOWN) == [], line
    assert echo.told
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("jobs.db*"))
    assert leaks(kept.decode("latin-1"), NEVER_KEPT) == []


def test_the_page_on_secrets_names_every_column_of_the_journal() -> None:
    """Fault 67: what is kept is no surprise."""
    page = Path(__file__).parents[1].joinpath("docs", "security.md").read_text("utf-8")
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ")]
    told = {
        (table.strip(), name)
        for table, columns in rows[1:]
        for name in re.findall(r"`(\w+)`", columns)
    }
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("".join(MIGRATIONS))
        held = set(
            connection.execute(
                "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c "
                "WHERE m.type = 'table'"
            )
        )
    assert told == held
