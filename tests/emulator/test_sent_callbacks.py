"""What an emulator tells of its callbacks; and its console's test button."""

from __future__ import annotations

import asyncio

import pytest

from kling_effects_async.emulator import CallbackShape, EmulatorError
from tests.support.callback_inbox import an_inbox
from tests.support.emulator_caller import calling, fast_stock, stock

SECRET = "whsec_c2VjcmV0"


@pytest.mark.looptime
@pytest.mark.parametrize("shape", CallbackShape)
async def test_a_record_tells_what_was_sent_and_what_came_of_it(shape: CallbackShape) -> None:
    async with (
        an_inbox() as inbox,
        stock(webhook_secret=SECRET, callback_shape=shape) as emulator,
        calling(emulator) as caller,
    ):
        task_id = await caller.new_task_id(callback_url=inbox.url, external_task_id="order-42")
        await asyncio.sleep(3600)
        start, end = emulator.callbacks.entries
    assert [start.status, end.status] == inbox.statuses
    assert {start.task_id, end.task_id} == {task_id}
    assert (end.external_task_id, end.shape, end.attempt) == ("order-42", shape, 1)
    assert (end.http_status, end.failure) == (200, "")
    assert [start.webhook_id, end.webhook_id] == [h["webhook-id"] for h in inbox.headers]
    assert 0 <= end.lag_s < 1


@pytest.mark.looptime
async def test_a_callback_that_nobody_takes_is_a_record_too() -> None:
    async with stock() as emulator, calling(emulator) as caller:
        await caller.submit(callback_url="http://127.0.0.1:1/nobody")
        await asyncio.sleep(3600)
        callbacks = emulator.callbacks
        assert (callbacks.total, callbacks.delivered) == (2, 0)
    (start, _) = callbacks.entries  # after the end of the emulator as well
    assert (start.http_status, start.webhook_id) == (None, None)
    assert start.failure == "ClientConnectorError"


@pytest.mark.looptime
async def test_records_are_bounded_and_counts_are_not() -> None:
    """Fault 95: an emulator may run for weeks."""
    emulator = stock(max_tasks=3)
    async with an_inbox() as inbox:
        async with emulator, calling(emulator) as caller:
            for _ in range(4):
                await caller.submit(callback_url=inbox.url)
                await asyncio.sleep(3600)
            callbacks = emulator.callbacks
            assert (callbacks.total, callbacks.delivered, len(callbacks.entries)) == (8, 8, 3)
        async with emulator:
            assert emulator.callbacks.total == 0


@pytest.mark.looptime
async def test_other_processes_read_the_records_over_http() -> None:
    async with an_inbox() as inbox, stock() as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id(callback_url=inbox.url)
        await asyncio.sleep(6)
        state = (await caller.send("GET", "/_emulator/callbacks")).json
    (entry,) = state.pop("entries")
    assert state == {"waiting": 1, "total": 1, "delivered": 1, "withheld": 0}
    assert entry["task_id"] == task_id
    assert (entry["shape"], entry["status"], entry["http_status"]) == ("legacy", "processing", 200)


@pytest.mark.looptime
async def test_a_test_callback_is_sent_at_most_once_in_six_seconds() -> None:
    async with an_inbox() as inbox, stock(webhook_secret=SECRET) as emulator:
        sent = await emulator.send_test_callback(inbox.url)
        assert (sent.status, sent.shape, sent.http_status) == (
            "submitted",
            CallbackShape.NEWER,
            200,
        )
        await asyncio.sleep(5)
        with pytest.raises(EmulatorError, match="one test callback in 6 s"):
            await emulator.send_test_callback(inbox.url)
        await asyncio.sleep(1)
        await emulator.send_test_callback(inbox.url)
        assert (len(inbox.bodies), emulator.callbacks.total) == (2, 2)
        assert inbox.messages[0]["id"] != inbox.messages[1]["id"]
        assert all("webhook-signature" in headers for headers in inbox.headers)


@pytest.mark.looptime
async def test_a_test_callback_is_sent_over_http() -> None:
    async with an_inbox() as inbox, stock() as emulator, calling(emulator) as caller:
        path = "/_emulator/test-callback"
        sent = await caller.send("POST", path, json={"url": inbox.url})
        again = await caller.send("POST", path, json={"url": inbox.url})
        elsewhere = await caller.send("POST", path, json={"url": "https://cb.example/"})
        nothing = await caller.send("POST", path, json={})
        form = await caller.send("POST", path, data={"url": inbox.url})
        answers = (sent, again, elsewhere, nothing, form)
        assert [answer.status for answer in answers] == [200, 429, 400, 400, 415]
        assert (sent.json["http_status"], inbox.statuses) == (200, ["submitted"])


async def test_a_test_callback_goes_to_this_machine_only() -> None:
    """Fault 60: an emulator sends nothing off this machine."""
    async with fast_stock() as emulator:
        with pytest.raises(EmulatorError, match="this machine only"):
            await emulator.send_test_callback("http://cb.example/hook")
    with pytest.raises(EmulatorError, match="not running"):
        await emulator.send_test_callback("http://127.0.0.1:1/")
