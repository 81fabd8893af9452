"""Scripted faults: one call goes wrong in the scripted way, the next one is well."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from kling_effects_async.emulator import Clips, Emulator, Fault, ReplyShape
from kling_effects_async.emulator.rejections import CODES
from tests.support.emulator_caller import GATEWAY, Caller, calling, fast_stock

CUT = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)


async def download(caller: Caller, url: str, **headers: str) -> tuple[int, bytes, Any]:
    answer = await caller.send("GET", url, headers=headers)
    return answer.status, answer.body, answer.headers


async def finished(caller: Caller) -> tuple[str, str]:
    """A finished task and the address of its video."""
    task_id = await caller.new_task_id()
    video = (await caller.query(task_id)).task["task_result"]["videos"][0]
    return task_id, video["url"]


async def test_a_fault_hits_one_call_of_its_operation_and_no_other() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.html(503, on="query"))
        task_id = await caller.new_task_id()
        assert (await caller.list()).status == 200
        assert (await caller.query(task_id)).status == 503
        assert (await caller.query(task_id)).status == 200
        assert emulator.faults_left == 0


async def test_faults_of_one_operation_come_in_order() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.html(502), times=2)
        emulator.fail_next(Fault.business_code(5001))
        assert [(await caller.submit()).status for _ in range(4)] == [502, 502, 503, 200]


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_submit_is_paid_before_the_fault_only_if_accepted(accepted: bool) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.html(504, accepted=accepted))
        answer = await caller.submit(external_task_id="order-42")
        assert (answer.status, answer.headers["Content-Type"]) == (504, "text/html")
        assert emulator.ledger.accepted("order-42") == int(accepted)


@pytest.mark.parametrize(
    ("code", "status"),
    [(1000, 401), (1102, 429), (1103, 403), (1203, 404), (1301, 400), (5000, 500), (5002, 504)],
)
async def test_a_business_code_comes_with_its_documented_status(code: int, status: int) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.business_code(code))
        answer = await caller.submit()
    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize("retry_after", [7, "Wed, 21 Oct 2026 07:28:00 GMT", "soonish"])
async def test_a_rate_limit_has_the_scripted_retry_after(retry_after: str | int) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.rate_limited(retry_after))
        answer = await caller.submit()
    assert (answer.status, answer.headers["Retry-After"]) == (429, str(retry_after))


async def test_any_answer_can_be_scripted() -> None:
    elsewhere = {"Location": "http://elsewhere.example/"}
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.answer(302, headers=elsewhere))
        emulator.fail_next(Fault.json(400, {"code": "quota_not_enough", "data": None}))
        redirect = await caller.send("POST", caller.path, allow_redirects=False)
        rejection = await caller.submit()
    assert (redirect.status, redirect.headers["Location"]) == (302, elsewhere["Location"])
    assert rejection.json["code"] == "quota_not_enough"


async def test_a_connection_can_be_cut_without_reading() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.cut_before_reading())
        with pytest.raises(CUT):
            await caller.submit()
        assert emulator.ledger.total == 0


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_connection_can_be_cut_after_reading(accepted: bool) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.cut_after_reading(accepted=accepted))
        with pytest.raises(CUT):
            await caller.submit()
        assert emulator.ledger.total == int(accepted)


async def test_a_cut_after_reading_waits_for_the_whole_body() -> None:
    """Closed with unread bytes, the connection would be reset: that is the other fault."""
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.cut_after_reading())
        port = int(emulator.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {GATEWAY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n"
        writer.write(head.encode() + b"12345")
        reading = asyncio.create_task(reader.read())
        while emulator.faults_left:
            await caller.list()
        await caller.list()
        assert not reading.done()
        writer.write(b"67890")
        assert await reading == b""
        writer.close()


async def test_an_answer_can_be_cut_in_the_middle_of_its_length() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.cut_answer(10))
        with pytest.raises(aiohttp.ClientPayloadError, match="received 10 of"):
            await caller.submit()
        assert emulator.ledger.total == 1


async def test_an_answer_without_a_length_is_cut_unnoticed() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.cut_answer(10, announces_length=False))
        answer = await caller.submit()
        assert (answer.status, answer.body) == (200, b'{"code":0,')
        assert emulator.ledger.total == 1


async def test_garbage_has_a_healthy_head() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.garbage())
        answer = await caller.submit()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        with pytest.raises(ValueError, match="utf"):
            _ = answer.json


async def test_an_answer_may_be_no_http_at_all() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.not_http())
        with pytest.raises(aiohttp.ClientResponseError, match="Bad status line"):
            await caller.submit()


@pytest.mark.looptime
async def test_a_late_answer_is_the_right_one() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.late(75))
        before_s = asyncio.get_running_loop().time()
        answer = await caller.submit()
        assert answer.task["task_status"] == "submitted"
        assert asyncio.get_running_loop().time() - before_s == pytest.approx(75, abs=1)


@pytest.mark.looptime
@pytest.mark.parametrize("accepted", [False, True])
async def test_silence_lasts_until_the_caller_leaves(accepted: bool) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.silence(accepted=accepted))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await caller.submit()
        assert emulator.ledger.total == int(accepted)


async def test_an_emulator_closes_while_a_caller_waits() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.silence(on="list"))
        pending = asyncio.create_task(caller.list())
        while "list" not in (await caller.send("GET", "/_emulator/requests")).json:
            pass
        await emulator.__aexit__(None, None, None)
        with pytest.raises(CUT):
            await pending


@pytest.mark.looptime
async def test_a_dripping_answer_is_whole_in_the_end() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.drip(1, 1.0))
        before_s = asyncio.get_running_loop().time()
        answer = await caller.submit()
        assert answer.json["code"] == 0
        assert asyncio.get_running_loop().time() - before_s >= len(answer.body) - 1


@pytest.mark.parametrize("shape", ReplyShape)
async def test_a_query_can_show_an_odd_status_word(shape: ReplyShape) -> None:
    async with fast_stock(reply_shape=shape) as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        emulator.fail_next(Fault.status_word("waiting_for_godot"))
        answer = await caller.query(task_id)
        assert b'"task_status":"waiting_for_godot"' in answer.body
        assert b'"task_status":"succeed"' in (await caller.query(task_id)).body


async def test_a_status_can_go_back_and_come_again() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        emulator.fail_next(Fault.stale())
        seen = [(await caller.query(task_id)).task["task_status"] for _ in range(2)]
    assert seen == ["submitted", "succeed"]


async def test_a_list_can_be_stale_too() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        await caller.submit()
        emulator.fail_next(Fault.stale(on="list"))
        seen = [(await caller.list()).task[0]["task_status"] for _ in range(2)]
    assert seen == ["submitted", "succeed"]


async def test_a_success_can_come_without_videos() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        emulator.fail_next(Fault.no_videos())
        task = (await caller.query(task_id)).task
    assert (task["task_status"], task["task_result"]) == ("succeed", {"videos": []})


async def test_a_query_can_answer_for_another_task_or_for_none() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        task_id = await caller.new_task_id()
        emulator.fail_next(Fault.other_task())
        emulator.fail_next(Fault.unknown_task())
        assert (await caller.query(task_id)).task["task_id"] != task_id
        assert "Task not found" in (await caller.query(task_id)).json["message"]
        assert (await caller.query(task_id)).task["task_id"] == task_id


@pytest.mark.parametrize("message", ["Failure to pass the risk control system", ""])
async def test_a_task_can_be_accepted_and_fail_with_a_message(message: str) -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.task_failed(message))
        created = await caller.submit(external_task_id="order-42")
        task = (await caller.query("order-42")).task
        assert (created.status, created.task["task_status"]) == (200, "submitted")
        assert (task["task_status"], task["task_status_msg"]) == ("failed", message)
        assert (task["task_result"], task["final_unit_deduction"]) == ({}, "0")
        assert emulator.ledger.accepted("order-42") == 1


@pytest.mark.looptime
async def test_a_task_that_is_to_fail_takes_as_long_as_others() -> None:
    async with (
        Emulator(clips=Clips.STOCK, task_seconds=60.0) as emulator,
        calling(emulator) as caller,
    ):
        emulator.fail_next(Fault.task_failed())
        task_id = await caller.new_task_id()
        await asyncio.sleep(59)
        assert (await caller.query(task_id)).task["task_status"] == "processing"
        await asyncio.sleep(2)
        assert (await caller.query(task_id)).task["task_status"] == "failed"


@pytest.mark.parametrize("code", CODES)
async def test_a_submit_can_be_rejected_with_each_documented_code(code: int) -> None:
    status, message = CODES[code]
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.rejected(code))
        answer = await caller.submit()
        assert emulator.ledger.total == 0
    assert answer.status == status
    assert {"code": code, "message": message}.items() <= answer.json.items()


def test_a_code_that_no_table_has_cannot_be_a_rejection() -> None:
    with pytest.raises(ValueError, match="unknown code 1234; known: 1000, 1001"):
        Fault.rejected(1234)


async def test_a_fault_may_come_a_hundred_million_times() -> None:
    """Fault 95: they are counted, not kept one by one."""
    async with fast_stock() as emulator, calling(emulator) as caller:
        emulator.fail_next(Fault.html(503), times=10**8)
        emulator.fail_next(Fault.html(504))
        assert (await caller.submit()).status == 503
        assert emulator.faults_left == 10**8


async def test_a_download_can_be_cut_and_resumed() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        _, url = await finished(caller)
        emulator.fail_next(Fault.cut_answer(100, on="download"))
        with pytest.raises(aiohttp.ClientPayloadError, match="received 100 of"):
            await download(caller, url)
        status, rest, _ = await download(caller, url, Range="bytes=100-")
        _, whole, _ = await download(caller, url)
    assert (status, len(rest)) == (206, len(whole) - 100)


async def test_a_download_can_ignore_the_range() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        _, url = await finished(caller)
        emulator.fail_next(Fault.ignore_range())
        ignored = await download(caller, url, Range="bytes=100-")
        obeyed = await download(caller, url, Range="bytes=100-")
    assert (ignored[0], obeyed[0]) == (200, 206)
    assert ignored[1][100:] == obeyed[1]


async def test_a_changed_etag_makes_if_range_miss() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        _, url = await finished(caller)
        _, _, headers = await download(caller, url)
        partly = {"Range": "bytes=100-", "If-Range": headers["ETag"]}
        emulator.fail_next(Fault.changed_etag())
        changed = await download(caller, url, **partly)
        same = await download(caller, url, **partly)
    assert (changed[0], same[0]) == (200, 206)
    assert changed[2]["ETag"] != headers["ETag"] == same[2]["ETag"]


async def test_a_download_can_be_a_page_or_expired() -> None:
    async with fast_stock() as emulator, calling(emulator) as caller:
        _, url = await finished(caller)
        emulator.fail_next(Fault.html(200, on="download"))
        emulator.fail_next(Fault.expired())
        page = await download(caller, url)
        expired = await download(caller, url)
    assert (page[0], page[2]["Content-Type"]) == (200, "text/html")
    assert expired[0] == 403


async def test_a_range_of_many_digits_gives_the_whole_file() -> None:
    """Fault 95: a number that Python does not read is no error of the server."""
    async with fast_stock() as emulator, calling(emulator) as caller:
        _, url = await finished(caller)
        status, content, _ = await download(caller, url, Range=f"bytes={'9' * 5000}-")
    assert (status, content[4:8]) == (200, b"ftyp")


def test_a_fault_for_an_unknown_operation_is_rejected() -> None:
    with pytest.raises(ValueError, match="on"):
        Fault.html(on="cancel")  # type: ignore[arg-type]  # the mistake under test
