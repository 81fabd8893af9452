"""The balance of an emulated account: what it can spend, what it shows, and what costs nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kling_effects_async.emulator import Clips, Emulator, Fault, ReplyShape
from tests.support.emulator_caller import (
    GATEWAY,
    OFFICIAL,
    PICTURE,
    Answer,
    Caller,
    calling,
    single,
    stock,
    with_input,
)

WINDOW = {"start_time": 0, "end_time": 1_999_999_999_999}


async def costs(caller: Caller, **window: object) -> Answer:
    return await caller.send("GET", "/account/costs", params=window or WINDOW)


@pytest.mark.parametrize("path", [GATEWAY, OFFICIAL])
async def test_a_task_that_costs_more_than_is_left_is_rejected(path: str) -> None:
    async with stock(balance_units=5) as emulator, calling(emulator, path) as caller:
        assert [(await caller.submit()).status for _ in range(2)] == [200, 200]
        answer = await caller.submit()
        assert emulator.ledger.total == 2
    assert answer.status == 429
    assert {"code": 1102, "message": "Account balance not enough"}.items() <= answer.json.items()


async def test_a_cheaper_task_may_still_be_paid_with_what_is_left() -> None:
    prices = {"expansion": "0.5"}
    async with (
        stock(balance_units="2.5", units_per_scene=prices) as emulator,
        calling(emulator) as caller,
    ):
        assert (await caller.submit()).status == 200
        assert (await caller.submit()).status == 429
        assert (await caller.submit(effect_scene="expansion")).status == 200
        assert (await caller.submit(effect_scene="expansion")).status == 429


@pytest.mark.looptime
@pytest.mark.parametrize("fails", ["scripted", "picture"])
async def test_a_failed_task_gives_its_units_back(fails: str) -> None:
    async with (
        stock(balance_units=2, task_seconds=60.0) as emulator,
        calling(emulator) as caller,
    ):
        if fails == "scripted":
            emulator.fail_next(Fault.task_failed())
        await caller.submit(with_input(single(), image="AAAA") if fails == "picture" else None)
        assert (await caller.submit()).status == 429
        await asyncio.sleep(61)
        assert (await caller.submit()).status == 200
        await asyncio.sleep(61)
        assert (await caller.submit()).status == 429


async def test_a_picture_that_cannot_be_rendered_gives_its_units_back(broken: str) -> None:
    async with (
        Emulator(clips=Clips.TEST, balance_units=2, speed=1e6) as emulator,
        calling(emulator) as caller,
    ):
        task_id = (await caller.submit(with_input(single(), image=broken))).task["task_id"]
        while (await caller.query(task_id)).task["task_status"] != "failed":
            pass
        assert (await caller.submit()).status == 200


@pytest.fixture
def broken() -> str:
    """A picture whose header is well and whose content is cut off."""
    return PICTURE[: len(PICTURE) // 2 // 4 * 4]


async def test_a_rejected_submit_costs_nothing() -> None:
    async with stock(balance_units=4) as emulator, calling(emulator) as caller:
        await caller.submit(external_task_id="order-42")
        await caller.submit(external_task_id="order-42")
        await caller.submit(effect_scene="no_such_scene")
        assert (await caller.submit()).status == 200


async def test_a_wrapped_gateway_has_an_error_of_its_own_for_no_balance() -> None:
    async with (
        stock(balance_units=1, reply_shape=ReplyShape.WRAPPED) as emulator,
        calling(emulator) as caller,
    ):
        answer = await caller.submit()
    assert (answer.status, answer.json["code"]) == (403, "quota_not_enough")


async def test_the_costs_show_what_is_left() -> None:
    async with stock(balance_units="10.5") as emulator, calling(emulator) as caller:
        await caller.submit()
        answer = await costs(caller)
    assert (answer.status, answer.json["code"]) == (200, 0)
    assert (answer.task["code"], answer.task["msg"]) == (0, "SUCCEED")
    (pack,) = answer.task["resource_pack_subscribe_infos"]
    assert (pack["total_quantity"], pack["remaining_quantity"]) == (10.5, 8.5)
    assert pack["status"] == "online"
    assert pack["purchase_time"] == pack["effective_time"] < pack["invalid_time"]


async def test_an_account_without_a_limit_has_no_pack() -> None:
    async with stock() as emulator, calling(emulator) as caller:
        assert (await costs(caller)).task["resource_pack_subscribe_infos"] == []


@pytest.mark.looptime
async def test_the_costs_are_answered_once_a_second_at_most() -> None:
    async with stock() as emulator, calling(emulator) as caller:
        answers = [await costs(caller) for _ in range(2)]
        await asyncio.sleep(1.1)
        answers.append(await costs(caller))
    assert [answer.status for answer in answers] == [200, 429, 200]
    assert answers[1].json["code"] == 1302


@pytest.mark.parametrize(
    ("window", "name"),
    [
        ({"end_time": 1}, "start_time"),
        ({"start_time": 1}, "end_time"),
        ({"start_time": "soon", "end_time": 1}, "start_time"),
        ({"start_time": 1, "end_time": "9" * 5000}, "end_time"),
        ({"start_time": 2, "end_time": 1}, "start_time"),
    ],
)
async def test_the_costs_need_a_window_of_time(window: dict[str, Any], name: str) -> None:
    async with stock() as emulator, calling(emulator) as caller:
        answer = await costs(caller, **window)
    assert (answer.status, answer.json["code"]) == (400, 1201)
    assert name in answer.json["message"]


async def test_the_costs_need_a_key() -> None:
    async with stock() as emulator, calling(emulator, authorization=None) as caller:
        assert (await costs(caller)).json["code"] == 1001
