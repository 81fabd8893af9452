"""Scripted faults of callbacks: one message goes wrong as scripted, the next one is well."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from attrs import frozen
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from kling_effects_async.emulator import CallbackFault, Emulator, SentCallback
from kling_effects_async.emulator.logger_name import LOGGER_NAME
from tests.support.callback_inbox import Inbox, an_inbox
from tests.support.emulator_caller import Caller, calling, stock

SECRET = "whsec_c2VjcmV0"
RUN_S = 100.0
START_S = 5.0  # when a task of that length starts to run


@frozen
class Desk:
    """An emulator with a secret, somebody who submits, and a receiver."""

    emulator: Emulator
    caller: Caller
    inbox: Inbox

    async def task(self) -> list[str]:
        """Run one task to its end and a day beyond; the words that came by then, in order."""
        await self.caller.submit(callback_url=self.inbox.url)
        await asyncio.sleep(86_400)
        return self.inbox.statuses

    @property
    def sent(self) -> tuple[SentCallback, ...]:
        return self.emulator.callbacks.entries


@asynccontextmanager
async def a_desk(*faults: CallbackFault, **options: Any) -> AsyncIterator[Desk]:
    async with (
        an_inbox() as inbox,
        stock(webhook_secret=SECRET, task_seconds=RUN_S, **options) as emulator,
        calling(emulator) as caller,
    ):
        for fault in faults:
            emulator.fail_next(fault)
        yield Desk(emulator, caller, inbox)
        assert emulator.faults_left == 0


def complaint(headers: Mapping[str, str], body: bytes) -> str:
    """What a receiver has against a signature; empty: nothing."""
    try:
        Webhook(SECRET).verify(body, dict(headers))
    except WebhookVerificationError as error:
        return str(error)
    return ""


@pytest.mark.looptime
async def test_a_message_that_is_never_sent_is_counted() -> None:
    """Fault 61: the start is told, the end is not."""
    async with a_desk(CallbackFault.none(), CallbackFault.never_sent()) as desk:
        assert await desk.task() == ["processing"]
        callbacks = desk.emulator.callbacks
        assert (callbacks.total, callbacks.delivered, callbacks.withheld) == (1, 1, 1)


@pytest.mark.looptime
async def test_a_late_message_is_overtaken_by_the_next_one() -> None:
    """Fault 60: late and out of order, whatever the speed is."""
    async with a_desk(CallbackFault.late(3600), speed=10) as desk:
        began_at = asyncio.get_running_loop().time()
        assert await desk.task() == ["succeed", "processing"]
        end, start = (time_s - began_at for time_s in desk.inbox.times_s)
        assert end == pytest.approx(RUN_S / 10, abs=0.1)
        assert start == pytest.approx(3600 + START_S / 10, abs=0.1)
        assert [round(sent.lag_s) for sent in desk.sent] == [0, 3600]


@pytest.mark.looptime
async def test_a_reordered_message_comes_right_after_the_next_one() -> None:
    """Fault 60: out of order, and both come."""
    async with a_desk(CallbackFault.reordered()) as desk:
        assert await desk.task() == ["succeed", "processing"]
        end_s, start_s = desk.inbox.times_s
        assert start_s - end_s < 1


@pytest.mark.looptime
async def test_a_reordered_message_comes_even_when_the_next_one_is_lost() -> None:
    async with a_desk(CallbackFault.reordered(), CallbackFault.never_sent()) as desk:
        assert await desk.task() == ["processing"]


@pytest.mark.looptime
async def test_the_last_message_of_a_task_waits_for_nothing() -> None:
    async with a_desk(CallbackFault.none(), CallbackFault.reordered()) as desk:
        assert await desk.task() == ["processing", "succeed"]


@pytest.mark.looptime
async def test_a_repeated_message_has_one_webhook_id_and_a_right_signature_each_time() -> None:
    """Fault 60: twice and more."""
    async with a_desk(CallbackFault.repeated(copies=3, every_s=10.0)) as desk:
        assert await desk.task() == ["processing"] * 3 + ["succeed"]
        ids = [headers["webhook-id"] for headers in desk.inbox.headers]
        assert [ids.count(webhook_id) for webhook_id in ids] == [3, 3, 3, 1]
        assert [sent.webhook_id for sent in desk.sent] == ids
        messages = zip(desk.inbox.headers, desk.inbox.bodies, strict=True)
        assert [complaint(*message) for message in messages] == [""] * 4
        first, second, third, _ = desk.inbox.times_s
        assert (second - first, third - second) == pytest.approx((10, 10), abs=0.1)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (CallbackFault.unsigned(), "Missing required headers"),
        (CallbackFault.wrongly_signed(), "No matching signature found"),
        (CallbackFault.stale(), "Message timestamp too old"),
        (CallbackFault.stale(-600), "Message timestamp too new"),
        (CallbackFault.stale(290), ""),
    ],
)
async def test_a_receiver_can_tell_what_is_wrong_with_a_signature(
    fault: CallbackFault, expected: str
) -> None:
    """Fault 59: the emulator sends what a receiver must not believe."""
    async with a_desk(fault) as desk:
        assert await desk.task() == ["processing", "succeed"]
        found = [
            complaint(headers, body)
            for headers, body in zip(desk.inbox.headers, desk.inbox.bodies, strict=True)
        ]
        assert found == [expected, ""]
        assert (desk.sent[0].webhook_id is None) is (fault == CallbackFault.unsigned())


@pytest.mark.looptime
async def test_a_cut_message_reaches_nobody_and_is_not_sent_again() -> None:
    async with a_desk(CallbackFault.cut(20)) as desk:
        assert await desk.task() == ["succeed"]
        first = desk.sent[0]
    assert (first.http_status, first.status, first.attempt) == (None, "processing", 1)
    assert first.failure


@pytest.mark.looptime
async def test_a_cut_message_is_whole_at_the_next_attempt() -> None:
    async with a_desk(CallbackFault.cut(20), callback_attempts=2) as desk:
        assert await desk.task() == ["processing", "succeed"]
        assert [sent.attempt for sent in desk.sent] == [1, 2, 1]
        assert len({sent.webhook_id for sent in desk.sent}) == 2


@pytest.mark.looptime
async def test_a_message_whose_answer_is_lost_comes_twice() -> None:
    """Fault 60: the receiver has it, the sender does not know."""
    async with a_desk(CallbackFault.cut(10_000), callback_attempts=2) as desk:
        assert await desk.task() == ["processing", "processing", "succeed"]
        ids = [headers["webhook-id"] for headers in desk.inbox.headers]
        assert ids[0] == ids[1] != ids[2]


@pytest.mark.looptime
async def test_a_dripped_message_arrives_whole_in_the_end() -> None:
    """Fault 62: a slow sender, for longer than the five seconds of an answer."""
    async with a_desk(CallbackFault.drip(10, every_s=1.0)) as desk:
        assert await desk.task() == ["processing", "succeed"]
        assert 10 < desk.sent[0].lag_s < 60


@pytest.mark.looptime
@pytest.mark.parametrize(("attempts", "tries"), [(1, 1), (3, 3), (5, 4)])
async def test_a_message_is_tried_until_it_is_answered_with_200(attempts: int, tries: int) -> None:
    """Fault 62: a receiver that rejects; how often is a setting, since no document tells."""
    answers = [web.Response(status=status) for status in (500, 204, 429)]
    async with a_desk(callback_attempts=attempts, callback_retry_s=8.0) as desk:
        desk.inbox.answers = answers
        words = await desk.task()
        assert words[:tries] == ["processing"] * tries
        first = [sent for sent in desk.sent if sent.status == "processing"]
        assert [sent.attempt for sent in first] == list(range(1, tries + 1))
        assert [sent.http_status for sent in first] == [500, 204, 429, 200][:tries]
        assert len({sent.webhook_id for sent in first}) == 1
        answers_of_all = [sent.http_status for sent in desk.sent]
        assert desk.emulator.callbacks.delivered == answers_of_all.count(200)
        times_s = desk.inbox.times_s[:tries]
        pauses_s = [later - time_s for time_s, later in pairwise(times_s)]
        assert pauses_s == pytest.approx([8.0] * (tries - 1), abs=0.1)


@pytest.mark.looptime
async def test_a_fault_hits_the_next_message_of_whichever_task() -> None:
    async with a_desk() as desk:
        desk.emulator.fail_next(CallbackFault.never_sent(), times=3)
        assert desk.emulator.faults_left == 3
        await desk.caller.submit(callback_url=desk.inbox.url)
        await desk.task()
        assert (desk.inbox.statuses, desk.emulator.callbacks.withheld) == (["succeed"], 3)


@pytest.mark.looptime
async def test_faults_are_scripted_over_http() -> None:
    async with a_desk() as desk:
        script = {"fault": "repeated", "on": "callback", "copies": 2, "times": 2}
        answer = await desk.caller.send("POST", "/_emulator/faults", json=script)
        assert (answer.status, answer.json) == (200, {"waiting": 2})
        assert await desk.task() == ["processing"] * 2 + ["succeed"] * 2


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"fault": "html"}, "known: none, never_sent, late, reordered, repeated"),
        ({"fault": "late"}, "delay_s"),
        ({"fault": "late", "delay_s": -1}, "delay_s must be seconds"),
        ({"fault": "late", "delay_s": 1e300}, "delay_s must be less than"),
        ({"fault": "repeated", "copies": 0}, "copies"),
        ({"fault": "repeated", "copies": 10**6}, "copies"),
        ({"fault": "stale", "age_s": "old"}, "age_s must be seconds"),
        ({"fault": "stale", "age_s": None}, "age_s must not be null"),
        ({"fault": "cut", "after_bytes": -1}, "cut_bytes"),
        ({"fault": "drip", "piece_bytes": 0}, "piece_bytes must be at least 1"),
        ({"fault": "unsigned", "accepted": True}, "accepted"),
        ({"fault": "unsigned", "times": 0}, "times must be at least 1"),
    ],
)
async def test_a_script_that_makes_no_sense_is_rejected(script: dict[str, Any], words: str) -> None:
    async with stock() as emulator, calling(emulator) as caller:
        body = json.dumps(script | {"on": "callback"})
        headers = {"Content-Type": "application/json"}
        answer = await caller.send("POST", "/_emulator/faults", data=body, headers=headers)
        assert (answer.status, emulator.faults_left) == (400, 0)
        assert words in answer.json["error"]


@pytest.mark.looptime
async def test_every_message_is_a_line_of_the_log_without_its_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault 67: the address may have a secret in it."""
    caplog.set_level(logging.INFO, LOGGER_NAME)
    async with a_desk(CallbackFault.unsigned(), CallbackFault.never_sent()) as desk:
        task_id = await desk.caller.new_task_id(callback_url=f"{desk.inbox.url}?sentinel=1")
        await asyncio.sleep(3600)
    assert caplog.messages[1:] == [
        f"callback of task {task_id} (processing) 200 fault: missing signature",
        f"callback of task {task_id} (succeed) - fault: never sent",
    ]
    assert "sentinel" not in caplog.text
