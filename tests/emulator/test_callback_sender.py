"""Callbacks: who gets which message when, and how it is signed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, field
from standardwebhooks import Webhook

from kling_effects_async.emulator import Clips, Emulator
from kling_effects_async.emulator.callback_sender import signature_headers
from kling_effects_async.emulator.loopback import is_loopback_url
from tests.support.emulator_caller import calling, single, with_input

# The test vector of Kling's callbacks page, 2026-09.
SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
VECTOR_BODY = (
    b'{"id":"1234567890","status":"succeeded","message":"",'
    b'"create_time":1781080778802,"update_time":1781080794151}'
)


@define
class Inbox:
    url: str = ""
    headers: list[dict[str, str]] = field(factory=list)
    bodies: list[bytes] = field(factory=list)
    arrived: asyncio.Condition = field(factory=asyncio.Condition)

    async def wait_for(self, count: int) -> list[Any]:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.bodies) >= count)
        return [json.loads(body) for body in self.bodies]

    async def take(self, request: web.Request) -> web.Response:
        async with self.arrived:
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self.bodies.append(await request.read())
            self.arrived.notify_all()
        return web.Response()


@asynccontextmanager
async def an_inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    app = web.Application()
    app.router.add_post("/hook", inbox.take)
    async with TestServer(app) as server:
        inbox.url = str(server.make_url("/hook"))
        yield inbox


@pytest.mark.looptime
async def test_each_change_of_status_is_one_message_without_envelope() -> None:
    async with (
        an_inbox() as inbox,
        Emulator(clips=Clips.STOCK) as emulator,
        calling(emulator) as caller,
    ):
        task_id = await caller.new_task_id(callback_url=inbox.url, external_task_id="order-42")
        await asyncio.sleep(3600)
        first, last = await inbox.wait_for(2)
        assert len(inbox.bodies) == 2
    assert (first["task_status"], first["task_result"]) == ("processing", {})
    assert (last["task_status"], last["final_unit_deduction"]) == ("succeed", "2")
    assert last["task_result"]["videos"][0]["url"].startswith("http:")
    assert last["task_id"] == first["task_id"] == task_id
    assert last["task_info"] == {"external_task_id": "order-42"}
    assert first["created_at"] < first["updated_at"] < last["updated_at"]


async def test_a_failed_task_is_reported_with_its_reason() -> None:
    async with (
        an_inbox() as inbox,
        Emulator(clips=Clips.STOCK, speed=1e6) as emulator,
        calling(emulator) as caller,
    ):
        await caller.submit(with_input(single(callback_url=inbox.url), image="AAAA"))
        last = (await inbox.wait_for(2))[1]
    assert (last["task_status"], last["task_status_msg"]) == ("failed", "Image pixel is invalid")


async def test_a_message_is_signed_when_there_is_a_secret() -> None:
    async with (
        an_inbox() as inbox,
        Emulator(clips=Clips.STOCK, speed=1e6, webhook_secret=SECRET) as emulator,
        calling(emulator) as caller,
    ):
        await caller.submit(callback_url=inbox.url)
        await inbox.wait_for(2)
    for headers, body in zip(inbox.headers, inbox.bodies, strict=True):
        Webhook(SECRET).verify(body, headers)
    assert len({headers["webhook-id"] for headers in inbox.headers}) == 2


async def test_a_message_is_not_signed_without_a_secret() -> None:
    async with (
        an_inbox() as inbox,
        Emulator(clips=Clips.STOCK, speed=1e6) as emulator,
        calling(emulator) as caller,
    ):
        await caller.submit(callback_url=inbox.url)
        await inbox.wait_for(2)
    assert not any(name.startswith("webhook") for name in inbox.headers[0])


def test_the_signature_is_that_of_the_documented_vector() -> None:
    headers = signature_headers(SECRET, "9876543210", 1781080794, VECTOR_BODY)
    assert headers["webhook-signature"] == "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="


@pytest.mark.looptime
async def test_an_address_elsewhere_is_ignored_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
            answer = await caller.submit(callback_url="https://cb.example/secret-path")
            await asyncio.sleep(3600)
    assert answer.status == 200
    assert ["not on this machine" in line for line in caplog.messages] == [True]
    assert "secret-path" not in caplog.text


async def test_a_receiver_that_is_gone_does_not_stop_the_next_message() -> None:
    async with (
        an_inbox() as inbox,
        Emulator(clips=Clips.STOCK, speed=1e6) as emulator,
        calling(emulator) as caller,
    ):
        await caller.submit(callback_url="http://127.0.0.1:1/nobody")
        await caller.submit(callback_url=inbox.url)
        assert len(await inbox.wait_for(2)) == 2


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080/hook", True),
        ("http://localhost/hook", True),
        ("http://[::1]:8080/hook", True),
        ("https://127.0.0.1/hook", False),
        ("http://192.168.0.1/hook", False),
        ("http://cb.example/hook", False),
        ("file:///etc/passwd", False),
        ("nonsense", False),
        ("http://[", False),
    ],
)
def test_only_plain_http_on_this_machine_is_called_back(url: str, expected: bool) -> None:
    assert is_loopback_url(url) is expected
