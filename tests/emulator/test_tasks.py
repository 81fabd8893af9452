"""Tasks in the emulator: their life in time, ids, lists, slots and the books."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from kling_effects_async.emulator import Clips, Emulator, RepeatedId, ReplyShape
from tests.support.emulator_caller import GATEWAY, OFFICIAL, Caller, calling


async def status_of(caller: Caller, task_id: str) -> str:
    status: str = (await caller.query(task_id)).task["task_status"]
    return status


@pytest.mark.looptime
async def test_a_task_is_submitted_then_processing_then_succeeds() -> None:
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=60.0) as emulator,
        calling(emulator) as caller,
    ):
        task_id = await caller.new_task_id()
        seen = [await status_of(caller, task_id)]
        for _ in range(7):
            await asyncio.sleep(10)
            seen.append(await status_of(caller, task_id))
    assert seen == ["submitted"] + ["processing"] * 5 + ["succeed"] * 2


@pytest.mark.looptime
async def test_a_faster_service_ends_sooner_and_shows_emulated_times() -> None:
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=60.0, speed=60) as emulator,
        calling(emulator) as caller,
    ):
        task_id = await caller.new_task_id()
        await asyncio.sleep(1.1)
        task = (await caller.query(task_id)).task
    assert task["task_status"] == "succeed"
    assert task["updated_at"] - task["created_at"] == pytest.approx(60_000, abs=1)


@pytest.mark.looptime
async def test_how_long_tasks_take_may_depend_on_the_scene() -> None:
    seconds = {"squish": 10.0, "expansion": 1000.0}
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=seconds.__getitem__) as emulator,
        calling(emulator) as caller,
    ):
        quick = await caller.new_task_id()
        slow = await caller.new_task_id(effect_scene="expansion")
        await asyncio.sleep(20)
        assert await status_of(caller, quick) == "succeed"
        assert await status_of(caller, slow) == "processing"


@pytest.mark.looptime
async def test_a_stale_gateway_shows_the_end_only_after_its_next_refresh() -> None:
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=20.0, refresh_s=15) as emulator,
        calling(emulator) as gateway,
        calling(emulator, OFFICIAL) as official,
    ):
        task_id = await gateway.new_task_id()
        await asyncio.sleep(25)
        assert await status_of(gateway, task_id) == "processing"
        assert await status_of(official, task_id) == "succeed"
        await asyncio.sleep(6)
        assert await status_of(gateway, task_id) == "succeed"


async def test_a_task_id_is_a_string_of_eighteen_digits() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
    assert len(task_id) == 18
    assert int(task_id) > 2**53


async def test_the_same_seed_gives_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        async with Emulator(clips=Clips.STOCK, seed=7) as emulator, calling(emulator) as caller:
            ids.append(await caller.new_task_id())
    assert ids[0] == ids[1]


@pytest.mark.parametrize("path", [GATEWAY, OFFICIAL])
async def test_an_external_id_finds_its_task(path: str) -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator, path) as caller:
        task_id = await caller.new_task_id(external_task_id="order-42")
        found = (await caller.query("order-42")).task
    assert found["task_id"] == task_id
    assert found["task_info"] == {"external_task_id": "order-42"}


async def test_a_service_may_not_find_external_ids() -> None:
    async with (
        Emulator(clips=Clips.STOCK, finds_external_ids=False) as emulator,
        calling(emulator) as caller,
    ):
        task_id = await caller.new_task_id(external_task_id="order-42")
        assert (await caller.query("order-42")).json["code"] == 1201
        assert (await caller.query(task_id)).status == 200


async def test_a_task_id_wins_over_an_equal_external_id() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        first = await caller.new_task_id()
        await caller.new_task_id(external_task_id=first)
        assert (await caller.query(first)).task["task_info"] == {}


async def test_a_repeated_external_id_is_rejected_and_not_paid() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        await caller.submit(external_task_id="order-42")
        answer = await caller.submit(external_task_id="order-42")
        assert (answer.status, answer.json["code"]) == (400, 1201)
        assert answer.json["message"] == "External_task_id order-42 already exists"
        assert emulator.ledger.accepted("order-42") == 1
        assert emulator.ledger.repeated() == ()


async def test_a_repeated_external_id_may_make_a_second_paid_task() -> None:
    repeated = RepeatedId.ACCEPT
    async with (
        Emulator(clips=Clips.STOCK, repeated_external_id=repeated) as emulator,
        calling(emulator) as caller,
    ):
        ids = [await caller.new_task_id(external_task_id="order-42") for _ in range(2)]
        assert (await caller.query("order-42")).task["task_id"] == ids[1]
        assert emulator.ledger.accepted("order-42") == 2
        assert emulator.ledger.repeated() == ("order-42",)
        assert [entry.task_id for entry in emulator.ledger.entries] == ids


async def test_the_list_is_newest_first_and_in_pages() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        ids = [await caller.new_task_id() for _ in range(5)]
        pages = [(await caller.list(pageNum=n, pageSize=2)).task for n in (1, 2, 3, 4)]
    assert [[task["task_id"] for task in page] for page in pages] == [
        [ids[4], ids[3]],
        [ids[2], ids[1]],
        [ids[0]],
        [],
    ]


async def test_the_list_has_thirty_to_a_page_and_no_watermark_info() -> None:
    async with Emulator(clips=Clips.STOCK, speed=1e9) as emulator, calling(emulator) as caller:
        for _ in range(31):
            await caller.submit()
        tasks = (await caller.list()).task
    assert len(tasks) == 30
    assert "watermark_info" not in tasks[0]
    assert tasks[0]["task_result"]["videos"][0]["url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("name", "value"),
    [("pageNum", 0), ("pageNum", 1001), ("pageSize", 0), ("pageSize", 501), ("pageNum", "x")],
)
async def test_a_page_out_of_range_is_rejected(name: str, value: object) -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        answer = await caller.list(**{name: value})
    assert (answer.status, answer.json["code"]) == (400, 1201)
    assert name in answer.json["message"]


async def test_a_service_without_lists_answers_as_for_an_unknown_path() -> None:
    async with (
        Emulator(clips=Clips.STOCK, lists_tasks=False) as emulator,
        calling(emulator) as gateway,
        calling(emulator, OFFICIAL) as official,
    ):
        page = await gateway.list()
        assert (page.status, page.headers["Content-Type"][:9]) == (200, "text/html")
        assert (await official.list()).status == 404


@pytest.mark.looptime
async def test_a_slot_is_free_again_when_a_task_ends() -> None:
    async with (
        Emulator(clips=Clips.STOCK, slots=2, task_seconds=60.0) as emulator,
        calling(emulator) as gateway,
        calling(emulator, OFFICIAL) as official,
    ):
        await gateway.submit()
        await official.submit()
        answer = await gateway.submit(external_task_id="late")
        assert (answer.status, answer.json["code"]) == (429, 1303)
        assert answer.json["message"] == "parallel task over resource pack limit"
        assert (await gateway.query("late")).json["code"] == 1201
        await asyncio.sleep(61)
        assert (await gateway.submit(external_task_id="late")).status == 200
        assert emulator.ledger.total == 3


async def test_a_price_may_depend_on_the_scene() -> None:
    prices = {"expansion": "3.5"}
    async with (
        Emulator(clips=Clips.STOCK, speed=1e9, units_per_scene=prices) as emulator,
        calling(emulator) as caller,
    ):
        cheap = await caller.query(await caller.new_task_id())
        dear = await caller.query(await caller.new_task_id(effect_scene="expansion"))
    assert cheap.task["final_unit_deduction"] == "2"
    assert dear.task["final_unit_deduction"] == "3.5"


async def test_requests_are_counted_by_operation() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        await caller.query(task_id)
        await caller.query(task_id)
        await caller.list()
        await caller.send("GET", "/favicon.ico")
        assert emulator.requests == {"submit": 1, "query": 2, "list": 1, "other": 1}


@pytest.mark.parametrize("shape", ReplyShape)
async def test_a_list_is_in_the_shape_of_the_other_answers(shape: ReplyShape) -> None:
    async with (
        Emulator(clips=Clips.STOCK, speed=1e9, reply_shape=shape) as emulator,
        calling(emulator) as caller,
    ):
        await asyncio.gather(*(caller.submit() for _ in range(3)))
        answer = await caller.list(pageSize=500)
    assert len({task["task_id"] for task in answer.task}) == 3


async def test_an_external_id_may_hold_a_slash() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id(external_task_id="cats/1")
        found = await caller.send("GET", URL(f"{GATEWAY}/cats%2F1", encoded=True))
        assert found.task["task_id"] == task_id
        assert emulator.requests["query"] == 1
