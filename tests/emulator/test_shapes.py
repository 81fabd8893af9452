"""The bodies the emulator answers with, against the documents and sources they come from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kling_effects_async.emulator import Clips, Emulator, Fault, ReplyShape, UnknownTask
from tests.support.emulator_caller import GATEWAY, OFFICIAL, Answer, calling, single

WRAPPED = [ReplyShape.WRAPPED, ReplyShape.WRAPPED_TWICE]

# The members that the gateway's create page requires in `data`.
UNION_TASK = {
    *("task_id", "action", "status", "fail_reason", "submit_time", "start_time", "finish_time"),
    *("progress", "data", "created_at", "updated_at", "task_result", "task_status"),
    "task_status_msg",
}
WRAPPED_TASK = {
    *("task_id", "action", "status", "fail_reason", "submit_time", "start_time", "finish_time"),
    *("progress", "data"),
}


async def created_and_queried(
    shape: ReplyShape, *, speed: float = 1e9, path: str = GATEWAY
) -> tuple[Answer, Answer]:
    async with (
        Emulator(clips=Clips.STOCK, speed=speed, reply_shape=shape, seed=1) as emulator,
        calling(emulator, path) as caller,
    ):
        created = await caller.submit(external_task_id="job-0001")
        return created, await caller.query(created.task["task_id"])


async def test_an_accepted_task_looks_as_documented() -> None:
    created, _ = await created_and_queried(ReplyShape.FLAT)
    assert set(created.json) == {"code", "message", "request_id", "data"}
    assert (created.json["code"], created.json["message"]) == (0, "SUCCEED")
    assert set(created.task) == {
        *("task_id", "task_status", "task_info", "created_at", "updated_at"),
    }
    assert created.task["task_info"] == {"external_task_id": "job-0001"}
    assert created.task["created_at"] == created.task["updated_at"] > 1_700_000_000_000


@pytest.mark.parametrize("path", [GATEWAY, OFFICIAL])
async def test_a_finished_task_looks_as_documented(path: str) -> None:
    _, queried = await created_and_queried(ReplyShape.FLAT, path=path)
    video = queried.task["task_result"]["videos"][0]
    assert queried.task["task_status"] == "succeed"
    assert set(video) == {"id", "url", "watermark_url", "duration"}
    assert video["duration"] == "5.041"
    assert queried.task["final_unit_deduction"] == "2"
    assert queried.task["final_balance_deduction"] == {"quota": "0", "list_price": "0"}
    assert queried.task["watermark_info"] == {"enabled": False}


async def test_a_running_task_has_no_result_yet() -> None:
    _, queried = await created_and_queried(ReplyShape.FLAT, speed=1)
    assert not {"task_result", "final_unit_deduction"} & set(queried.task)


@pytest.mark.parametrize("shape", ReplyShape)
async def test_the_official_path_is_flat_whatever_the_gateway_does(shape: ReplyShape) -> None:
    _, queried = await created_and_queried(shape, path=OFFICIAL)
    assert queried.json["code"] == 0
    assert queried.task["task_result"]["videos"]


async def test_the_union_fills_every_required_member_of_the_create_page() -> None:
    for answer in await created_and_queried(ReplyShape.UNION):
        assert set(answer.json) == {"code", "message", "request_id", "data", ""}
        assert set(answer.task) >= UNION_TASK
        assert set(answer.task["data"]) >= {
            *("task_id", "created_at", "updated_at", "task_result"),
            *("task_status", "task_status_msg"),
        }
        assert set(answer.task["task_result"]) == {"images", "videos"}


async def test_the_union_has_null_videos_until_there_is_one() -> None:
    created, queried = await created_and_queried(ReplyShape.UNION)
    assert created.task["task_result"] == {"images": [], "videos": None}
    assert len(queried.task["task_result"]["videos"]) == 1
    assert queried.task["data"]["task_result"] == queried.task["task_result"]


@pytest.mark.parametrize("shape", WRAPPED)
async def test_a_wrapped_task_has_nine_members_in_seconds_and_percent(
    shape: ReplyShape,
) -> None:
    created, queried = await created_and_queried(shape)
    assert {"code": "success", "message": ""}.items() <= queried.json.items()
    assert set(queried.task) == WRAPPED_TASK
    assert (created.task["status"], created.task["progress"]) == ("SUBMITTED", "10%")
    assert (queried.task["status"], queried.task["progress"]) == ("SUCCESS", "100%")
    assert created.task["finish_time"] == created.task["start_time"] == 0
    assert 1_700_000_000 < queried.task["submit_time"] <= queried.task["start_time"]
    assert queried.task["start_time"] <= queried.task["finish_time"] < 10_000_000_000


async def test_wrapped_once_holds_the_task_and_wrapped_twice_the_whole_answer() -> None:
    _, once = await created_and_queried(ReplyShape.WRAPPED)
    _, twice = await created_and_queried(ReplyShape.WRAPPED_TWICE)
    assert once.task["data"]["task_result"]["videos"][0]["url"]
    assert set(twice.task["data"]) == {"code", "message", "request_id", "data"}
    assert twice.task["data"]["data"]["task_result"]["videos"][0]["url"]


async def test_a_wrapped_failed_task_has_the_reason() -> None:
    async with (
        Emulator(clips=Clips.STOCK, speed=1e9, reply_shape=ReplyShape.WRAPPED) as emulator,
        calling(emulator) as caller,
    ):
        order = single() | {"input": {**_input(single()), "image": "AAAA"}}
        answer = await caller.query((await caller.submit(order)).task["task_id"])
    assert (answer.task["status"], answer.task["progress"]) == ("FAILURE", "100%")
    assert answer.task["fail_reason"] == "Image pixel is invalid"


def _input(order: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = order["input"]
    return given


async def unknown(path: str = GATEWAY, **options: Any) -> Answer:
    """The answer to a query of an unknown id."""
    async with (
        Emulator(clips=Clips.STOCK, **options) as emulator,
        calling(emulator, path) as caller,
    ):
        return await caller.query("nobody")


NOT_FOUND = "Task not found by id/external id: nobody"


@pytest.mark.parametrize("path", [GATEWAY, OFFICIAL])
@pytest.mark.parametrize("shape", [ReplyShape.FLAT, ReplyShape.UNION])
async def test_an_unknown_task_is_400_with_klings_words(shape: ReplyShape, path: str) -> None:
    """Fault 75: 1201 is also what a wrong parameter gets."""
    answer = await unknown(path, reply_shape=shape)
    assert answer.status == 400
    assert set(answer.json) == {"code", "message", "request_id"}
    assert {"code": 1201, "message": NOT_FOUND}.items() <= answer.json.items()


@pytest.mark.parametrize("path", [GATEWAY, OFFICIAL])
async def test_an_unknown_task_may_be_404(path: str) -> None:
    answer = await unknown(path, unknown_task=UnknownTask.NOT_FOUND)
    assert (answer.status, answer.json["code"]) == (404, 1203)


async def test_an_unknown_task_may_be_a_success_without_a_task() -> None:
    """Fault 74: HTTP 200, and nothing in it."""
    answer = await unknown(unknown_task=UnknownTask.EMPTY)
    assert answer.status == 200
    assert answer.json == {"code": "success", "message": "", "data": None}


@pytest.mark.parametrize("shape", ReplyShape)
async def test_an_unknown_task_may_be_a_slug_in_every_shape(shape: ReplyShape) -> None:
    answer = await unknown(reply_shape=shape, unknown_task=UnknownTask.TASK_NOT_EXIST)
    assert (answer.status, answer.json["code"]) == (400, "task_not_exist")


@pytest.mark.parametrize("shape", WRAPPED)
async def test_a_wrapped_gateway_may_pass_klings_unknown_task_on(shape: ReplyShape) -> None:
    answer = await unknown(reply_shape=shape, unknown_task=UnknownTask.KLING)
    assert (answer.status, answer.json["code"]) == (400, "fail_to_fetch_task")
    assert json.loads(answer.json["message"])["message"] == NOT_FOUND


@pytest.mark.parametrize("form", [UnknownTask.TASK_NOT_EXIST, UnknownTask.EMPTY])
async def test_the_official_path_never_answers_in_a_gateways_words(form: UnknownTask) -> None:
    assert (await unknown(OFFICIAL, unknown_task=form)).json["message"] == NOT_FOUND


@pytest.mark.parametrize("shape", WRAPPED)
async def test_an_unknown_task_is_400_in_a_wrapped_gateway(shape: ReplyShape) -> None:
    async with (
        Emulator(clips=Clips.STOCK, reply_shape=shape) as emulator,
        calling(emulator) as caller,
    ):
        answer = await caller.query("nobody")
    assert answer.status == 400
    assert answer.json == {"code": "task_not_exist", "message": "task_not_exist", "data": None}


@pytest.mark.parametrize("shape", WRAPPED)
async def test_a_wrapped_gateway_rejects_a_key_in_its_own_words(shape: ReplyShape) -> None:
    async with (
        Emulator(clips=Clips.STOCK, reply_shape=shape) as emulator,
        calling(emulator, authorization="Bearer wrong") as caller,
    ):
        answer = await caller.submit()
    assert answer.status == 401
    assert set(answer.json["error"]) == {"message", "type", "code"}
    assert (
        f"(request id: {answer.headers['X-Oneapi-Request-Id']})" in answer.json["error"]["message"]
    )


@pytest.mark.parametrize("shape", WRAPPED)
async def test_a_wrapped_gateway_passes_klings_rejection_on_as_text(shape: ReplyShape) -> None:
    async with (
        Emulator(clips=Clips.STOCK, reply_shape=shape) as emulator,
        calling(emulator) as caller,
    ):
        answer = await caller.submit(effect_scene="no_such_scene")
    assert (answer.status, answer.json["code"]) == (400, "fail_to_fetch_task")
    assert json.loads(answer.json["message"])["code"] == 1201


@pytest.mark.parametrize("code", [1102, 1303])
async def test_a_wrapped_gateway_loses_the_code_of_a_429(code: int) -> None:
    async with Emulator(clips=Clips.STOCK, reply_shape=ReplyShape.WRAPPED) as emulator:
        emulator.fail_next(Fault.business_code(code))
        async with calling(emulator) as caller:
            answer = await caller.submit()
    assert (answer.status, answer.json["code"]) == (429, "fail_to_fetch_task")
    assert str(code) not in answer.json["message"]


@pytest.mark.parametrize("path", ["/kling/v1/videos/effectz", "/kling/v2/x", "/about"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path_is_a_web_page_with_200(path: str, method: str) -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        answer = await caller.send(method, path)
    assert (answer.status, answer.headers["Content-Type"][:9]) == (200, "text/html")
    assert answer.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("path", ["/v1/task/list", "/v1/videos/effectz", "/v1", "/account/x"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_path_of_kling_has_springs_body(path: str, method: str) -> None:
    """Fault 76: it does not mention a task."""
    async with (
        Emulator(clips=Clips.STOCK, wall=lambda: 1_749_888_794.778) as emulator,
        calling(emulator) as caller,
    ):
        answer = await caller.send(method, f"{path}?token=secret")
    assert answer.status == 404
    assert answer.json == {
        "timestamp": "2025-06-14T08:13:14.778+0000",
        "status": 404,
        "error": "Not Found",
        "message": "No message available",
        "path": path,
    }


async def test_a_wrong_method_on_the_official_path_is_1202() -> None:
    async with Emulator(clips=Clips.STOCK) as emulator, calling(emulator) as caller:
        answer = await caller.send("DELETE", OFFICIAL)
    assert (answer.status, answer.json["code"]) == (404, 1202)
