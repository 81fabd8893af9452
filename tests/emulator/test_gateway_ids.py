"""A gateway that hands out ids of its own, while callbacks come from Kling and carry Kling's."""

from __future__ import annotations

import asyncio

import pytest

from kling_effects_async import SingleImageEffect
from kling_effects_async.emulator import Fault, ReplyShape
from tests.support.callback_inbox import an_inbox
from tests.support.emulator_caller import OFFICIAL, calling, fast_stock, stock


@pytest.mark.looptime
async def test_only_the_external_id_joins_a_callback_with_the_gateways_task() -> None:
    async with (
        an_inbox() as inbox,
        stock(gateway_task_ids=True) as emulator,
        calling(emulator) as caller,
    ):
        given_id = await caller.new_task_id(callback_url=inbox.url, external_task_id="order-42")
        await asyncio.sleep(3600)
        (entry,) = emulator.ledger.entries
        body = (await inbox.wait_for(2))[1]
        assert (await caller.query(body["task_id"])).status == 400
    assert given_id.startswith("task_")
    assert given_id not in inbox.bodies[1].decode()
    assert body["task_id"].isdecimal()
    assert body["task_info"] == {"external_task_id": "order-42"}
    assert (entry.task_id, entry.gateway_task_id) == (body["task_id"], given_id)
    assert {sent.task_id for sent in emulator.callbacks.entries} == {body["task_id"]}


@pytest.mark.parametrize("shape", ReplyShape)
async def test_every_answer_of_the_gateway_has_its_own_id_alone(shape: ReplyShape) -> None:
    async with (
        fast_stock(gateway_task_ids=True, reply_shape=shape) as emulator,
        calling(emulator) as caller,
    ):
        created = await caller.submit(external_task_id="order-42")
        (entry,) = emulator.ledger.entries
        assert entry.gateway_task_id is not None
        queried = await caller.query(entry.gateway_task_id)
        by_name = await caller.query("order-42")
        emulator.fail_next(Fault.stale())
        stale = await caller.query(entry.gateway_task_id)
        for answer in (created, queried, by_name, stale, await caller.list()):
            assert answer.status == 200
            assert entry.gateway_task_id.encode() in answer.body
            assert f'"task_id": "{entry.task_id}"'.encode() not in answer.body


async def test_klings_own_path_has_klings_ids() -> None:
    async with (
        fast_stock(gateway_task_ids=True) as emulator,
        calling(emulator, OFFICIAL) as caller,
        calling(emulator) as gateway,
    ):
        own_id = await caller.new_task_id()
        await gateway.submit()
        own, through = emulator.ledger.entries
        assert (own.task_id, own.gateway_task_id) == (own_id, None)
        assert (await caller.query(through.task_id)).task["task_id"] == through.task_id
        assert (await caller.query(str(through.gateway_task_id))).status == 400


async def test_ids_are_klings_own_unless_the_settings_say_more() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        (entry,) = emulator.ledger.entries
    assert (entry.task_id, entry.gateway_task_id) == (task_id, None)


async def test_a_forgotten_task_is_forgotten_under_both_ids() -> None:
    async with (
        fast_stock(gateway_task_ids=True, max_tasks=1) as emulator,
        calling(emulator) as caller,
        calling(emulator, OFFICIAL) as official,
    ):
        given_id = await caller.new_task_id()
        await asyncio.sleep(0.01)
        await caller.submit()
        assert (await caller.query(given_id)).status == 400
        assert len((await official.list()).task) == 1


async def test_a_client_runs_a_task_under_the_gateways_id() -> None:
    async with stock(gateway_task_ids=True, speed=600) as emulator, emulator.client() as client:
        task = await client.submit(SingleImageEffect("squish", image="https://img.example/a.jpg"))
        await task
        (entry,) = emulator.ledger.entries
        assert task.task_id == entry.gateway_task_id
