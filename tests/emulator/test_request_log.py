"""The emulator's log of requests: one line each, and no secret in it."""

from __future__ import annotations

import logging

import aiohttp
import pytest

from kling_effects_async.emulator import Fault
from tests.support.emulator_caller import GATEWAY, calling, fast_stock

LOGGER = "kling_effects_async.emulator.requests"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, LOGGER)
    return caplog


async def test_a_request_is_one_line_with_what_it_came_to(lines: pytest.LogCaptureFixture) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        await caller.query(task_id)
        await caller.query("nobody")
        await caller.list()
        await caller.submit(effect_scene="no_such_scene")
        await caller.send("GET", "/v1/nothing")
    assert lines.messages == [
        f"POST {GATEWAY} 200 accepted task {task_id} (squish)",
        f"GET {GATEWAY}/{task_id} 200 task {task_id} is succeed",
        f"GET {GATEWAY}/nobody 400 unknown task",
        f"GET {GATEWAY} 200 a page of 1 tasks",
        f"POST {GATEWAY} 400 rejected: 1201 effect_scene value 'no_such_scene' is invalid",
        "GET /v1/nothing 404 no such path",
    ]


@pytest.mark.parametrize(
    ("fault", "logged"),
    [
        (Fault.html(502), "502 fault: answered 502 instead"),
        (Fault.rejected(1303), "429 fault: answered code 1303"),
        (Fault.late(0.001), "0.001 s late"),
        (Fault.task_failed(), "the task will fail"),
        (Fault.drip(1000, 0), "sent slowly"),
        (Fault.cut_answer(3), "- accepted task"),
        (Fault.cut_after_reading(), "- fault: cut after reading"),
        (Fault.cut_before_reading(), "- fault: cut before reading"),
    ],
)
async def test_a_fault_is_logged(
    fault: Fault, logged: str, lines: pytest.LogCaptureFixture
) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(fault)
        try:
            await caller.submit()
        except aiohttp.ClientError:
            assert fault.cut is not None
    (line,) = lines.messages
    assert logged in line


async def test_no_secret_is_in_the_log(lines: pytest.LogCaptureFixture) -> None:
    """Fault 67: keys, signatures and callback addresses."""
    secret = "sentinel-key"
    async with (
        fast_stock(bearer_keys=[secret]) as emulator,
        calling(emulator, authorization=f"Bearer {secret}") as caller,
        calling(emulator, authorization=f"Bearer other-{secret}") as stranger,
    ):
        task_id = await caller.new_task_id(callback_url=f"http://127.0.0.1:1/{secret}")
        video = (await caller.query(task_id)).task["task_result"]["videos"][0]
        await caller.send("GET", video["url"])
        await caller.send("GET", f"{GATEWAY}/{task_id}?token={secret}")
        await caller.submit(callback_url=f"not an address {secret}")
        await stranger.submit()
        signature = video["url"].partition("sign=")[2]
    logged = "\n".join(lines.messages)
    assert [record.name for record in lines.records].count(LOGGER) == 6
    assert secret not in logged
    assert signature not in logged


async def test_a_long_path_is_cut_short(lines: pytest.LogCaptureFixture) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        await caller.query("a" * 5000)
    (line,) = lines.messages
    assert len(line) < 300


async def test_a_path_keeps_to_one_line(lines: pytest.LogCaptureFixture) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        await caller.query("a%0Ab")
        await caller.submit(effect_scene="two\nlines")
    assert "a%0Ab" in lines.messages[0]
    assert all("\n" not in line for line in lines.messages)
