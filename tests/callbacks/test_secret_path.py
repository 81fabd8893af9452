"""A service that repeats our callback address shows its secret part nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, field

from kling_effects_async import (
    BearerToken,
    EffectsClient,
    KlingEffectsError,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
    SubmitPolicy,
)
from tests.support.callbacks import SECRET, body_of
from tests.support.marked_secrets import leaks, told_of
from tests.support.overheard import Overheard
from tests.support.recorded import Recorded

KEY = "MARKKEY-0123456789"
SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
QUICK = PollPolicy(shortest_s=0.01, deadline_s=5, max_outage_s=1)


@define
class Repeater:
    """Repeats the body of the last submit in every message, as it is and in two other spellings.

    Attributes:
        submits: the status of the answers to submits.
        url: where it is.
        heard: what it repeats.
    """

    submits: int = 200
    url: str = ""
    heard: str = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            body = await request.text()
            address = json.loads(body)["callback_url"]
            self.heard = f"{body} {quote(address, safe='')} {address.upper()}"
            if self.submits != 200:
                told = {"code": 1201, "message": self.heard, "request_id": self.heard}
                return web.json_response(told, status=self.submits)
        return web.json_response({"code": 0, "data": self._task(request.method == "POST")})

    def _task(self, is_new: bool) -> dict[str, Any]:
        return {
            "task_id": "t1",
            "task_status": "submitted" if is_new else "failed",
            "task_status_msg": self.heard,
            "request_id": self.heard,
            "created_at": 1,
            "updated_at": 2,
        }


@define
class Output:
    """Everything that a program can be shown of a client."""

    texts: list[str] = field(factory=list)

    async def keep(self, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            self.texts.append(repr(await call()))
        except KlingEffectsError as error:
            self.texts.append(told_of(error))


@pytest.fixture
async def service() -> AsyncIterator[Repeater]:
    service = Repeater()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.serve)
    async with TestServer(app) as server:
        service.url = str(server.make_url("")).rstrip("/")
        yield service


@pytest.mark.parametrize("submits", [200, 400, 500], ids=["failed", "rejected", "uncertain"])
async def test_a_service_that_repeats_the_address_does_not_show_its_secret_part(
    service: Repeater, submits: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 67: errors, logs at every level, what the journal says of a job, and spans."""
    caplog.set_level(logging.DEBUG)
    service.submits = submits
    receiver, recorded, shown = Overheard(SECRET), Recorded(), Output()
    events: list[object] = []
    async with EffectsClient(
        BearerToken(KEY),
        service=Service.gateway(service.url),
        callbacks=receiver,
        journal=tmp_path / "jobs.db",
        telemetry=recorded.telemetry,
        retry=RetryPolicy(attempts=2, max_pause_s=0.01),
        submit=SubmitPolicy(settle_pause_s=0.01),
        poll=QUICK,
        on_event=events.append,
    ) as client:
        await shown.keep(lambda: client.run(SQUISH, external_task_id="order-1"))
        shown.texts += [f"{job.message} {job!r}" async for job in client.jobs()]
    (token,) = set(receiver.tokens)
    assert token in service.heard
    records = [f"{vars(record)} {record.getMessage()}" for record in caplog.records]
    own = [text for text in records if "aiohttp.access" not in text]
    everything = "\n".join([*shown.texts, *own, recorded.everything, repr(events)])
    assert "bot.example" in everything  # it was repeated
    assert leaks(everything, (token, KEY)) == []


async def test_a_message_that_repeats_the_address_does_not_show_its_secret_part(
    service: Repeater,
) -> None:
    """Fault 67: the key is cut out too; the receiver alone does not know it."""
    receiver, shown = Overheard(SECRET), Output()
    async with EffectsClient(
        BearerToken(KEY), service=Service.gateway(service.url), callbacks=receiver, poll=QUICK
    ) as client:
        task = await client.submit(SQUISH)
        said = json.dumps(f"{service.heard} {KEY}")
        body = body_of("t1", "failed").replace(b'"Image pixel is invalid"', said.encode())
        assert await receiver.send_signed(body) == 200
        await shown.keep(task.result)
        shown.texts += [repr(task.latest)]
    assert "bot.example" in shown.texts[0]
    assert leaks("\n".join(shown.texts), (receiver.tokens[0], KEY)) == []
