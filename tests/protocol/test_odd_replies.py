"""What gateways answer that no document has: who it is about, and what became of the submit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kling_effects_async import errors
from kling_effects_async.errors import KlingEffectsError, ReplyError, TaskNotFoundError
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.task_body import (
    read_found,
    read_submitted,
    read_task,
)
from tests.support.samples import json_reply

NO_TASK = {
    "null": {"code": "success", "message": "", "data": None},
    "empty object": {"code": 0, "message": "SUCCEED", "data": {}},
    "empty list": {"code": 0, "message": "SUCCEED", "data": []},
    "no data": {"code": 0, "message": "SUCCEED"},
    "nothing": {},
    "wrapped null": {"code": "success", "data": {"code": 0, "message": "SUCCEED", "data": None}},
}


@pytest.mark.parametrize("name", NO_TASK)
def test_a_lookup_answered_without_a_task_has_found_none(name: str) -> None:
    """Fault 74: no task is made of the id that was asked."""
    with pytest.raises(TaskNotFoundError):
        read_found(json_reply(NO_TASK[name]), queried_id="order-42")


@pytest.mark.parametrize("name", [name for name in NO_TASK if name != "empty list"])
def test_a_poll_answered_without_a_task_is_a_passing_failure(name: str) -> None:
    """Fault 74: it says nothing about the task."""
    with pytest.raises(ReplyError):
        read_task(json_reply(NO_TASK[name]), queried_id="1")


def test_a_lookup_answered_with_what_nobody_can_read_has_not_proved_anything() -> None:
    """Fault 74: only an empty answer is a clear one."""
    with pytest.raises(ReplyError):
        read_found(json_reply({"code": 0, "data": {"surprise": 1}}), queried_id="order-42")


def test_a_poll_answered_with_a_status_and_no_id_is_about_the_polled_task() -> None:
    body = {"code": 0, "data": {"task_status": "processing"}}
    assert read_task(json_reply(body), queried_id="1").task_id == "1"
    with pytest.raises(ReplyError):  # but no id is made up for a lookup
        read_found(json_reply(body), queried_id="order-42")


UNKNOWN = "Task not found by id/external id: a1"
WRAPPED = {
    "Kling's own": (400, {"code": 1201, "message": UNKNOWN, "request_id": "r"}),
    "as text": (
        400,
        {"code": "fail_to_fetch_task", "message": json.dumps({"code": 1201, "message": UNKNOWN})},
    ),
    "as prefixed text": (
        400,
        {"error": {"message": 'status_code=400, {"code":1201,"message":"' + UNKNOWN + '"}'}},
    ),
    "in data": (200, {"code": "success", "data": {"code": 1201, "message": UNKNOWN}}),
    "in a 200": (200, {"code": 1201, "message": UNKNOWN}),
    "new-api's": (400, {"code": "task_not_exist", "message": "task_not_exist", "data": None}),
    "with the id first": (404, {"detail": "task a1 does not exist"}),
    "in Chinese": (400, {"code": "invalid", "message": "任务 a1 不存在"}),
    "said to fail": (200, {"success": False, "message": "no such task"}),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_an_unknown_id_is_known_by_its_words_however_it_is_wrapped(name: str) -> None:
    """Fault 75: Kling's real answer to an unknown id."""
    status, body = WRAPPED[name]
    for read in (read_task, read_found):
        with pytest.raises(TaskNotFoundError):
            read(json_reply(body, status), queried_id="a1")


HAS_NOT_LOOKED = [
    (503, {"code": 5001, "message": "task storage node not found, try again later"}),
    (500, {"code": 500, "message": "get task info failed: task does not exist in cache"}),
    (502, {"error": {"message": "upstream task service does not exist"}}),
    (500, {"code": "fail_to_fetch_task", "message": "channel of task not found"}),
    (400, {"code": "fail_to_fetch_task", "message": "channel of task not found"}),
    (429, {"code": 1302, "message": "task id rate unknown"}),
    (401, {"code": 1004, "message": "task token not found or unknown"}),
    (200, {"code": 500, "message": "task not found"}),
    (400, {"message": "task a1 not found in the cache, try again"}),
    (404, {"detail": "task does not exist upstream"}),
    (200, {"status": "error", "message": "db down"}),
    (200, {"message": "internal error"}),
    (200, {"success": True, "msg": "system busy, retry later"}),
    (200, {"code": "success", "message": "upstream timeout", "data": None}),
    (200, {"code": "success", "message": "upstream timeout", "data": {}}),
]


@pytest.mark.parametrize(("status", "body"), HAS_NOT_LOOKED)
def test_a_lookup_that_failed_has_not_found_that_there_is_no_task(
    status: int, body: object
) -> None:
    """Faults 74, 75: a submit would be sent again on the strength of it."""
    with pytest.raises(KlingEffectsError) as caught:
        read_found(json_reply(body, status), queried_id="a1")
    assert not isinstance(caught.value, TaskNotFoundError)


STRANGERS = [
    {"code": 0, "id": "a1", "status": "success", "data": {"task_info": {"external_task_id": "b"}}},
    {"code": 0, "task_id": "a1", "data": {"task_info": {"external_task_id": "b"}}},
    {"code": 0, "data": {"task_id": "a1", "task_info": {"external_task_id": "b"}}},
    {"code": 0, "data": {"task_id": "a1"}},
]


@pytest.mark.parametrize("body", STRANGERS)
def test_a_lookup_finds_only_the_task_that_has_the_external_id(body: dict[str, Any]) -> None:
    """Fault 73: an echo of the id that was asked is no task of that id."""
    task = {"task_id": "9", "task_status": "succeed"} | body["data"]
    with pytest.raises(ReplyError):
        read_found(json_reply(body | {"data": task}), queried_id="a1")


NO_TASKS = [
    {"id": "req-77", "status": "error", "message": "upstream busy"},
    {"id": "req-77", "status": "ok", "data": None},
    {"id": 7, "status": 200, "msg": "ok"},
]


@pytest.mark.parametrize("body", NO_TASKS)
def test_an_envelope_with_an_id_of_its_own_is_no_task(body: object) -> None:
    """Fault 74: a request's id is not a task's."""
    with pytest.raises(ReplyError):
        read_submitted(json_reply(body))


def test_an_envelopes_own_word_of_success_is_not_the_tasks() -> None:
    task = {"task_id": "1", "task_status": "submitted"}
    body = {"id": "req-77", "status": "success", "code": 0, "data": task}
    snapshot = read_submitted(json_reply(body))
    assert (snapshot.task_id, snapshot.status) == ("1", TaskStatus.SUBMITTED)


@pytest.mark.parametrize("status", [400, 403, 404, 429])
def test_a_rejection_whose_body_names_an_accepted_task_may_have_been_accepted(status: int) -> None:
    """Fault 9: status and code disagree."""
    body = {"code": 0, "message": "SUCCEED", "data": {"task_id": "1", "task_status": "submitted"}}
    with pytest.raises(ReplyError) as caught:
        read_submitted(json_reply(body, status))
    assert caught.value.may_be_accepted


@pytest.mark.parametrize("status", [401, 403, 409, 421])
def test_a_firewalls_page_does_not_tell_what_became_of_a_submit(status: int) -> None:
    """Fault 10: it may stand behind the service."""
    page = Reply(status=status, headers={"content-type": "text/html"}, body=b"<html>no</html>")
    with pytest.raises(ReplyError) as caught:
        read_submitted(page)
    assert caught.value.may_be_accepted


def test_a_401_without_a_word_on_a_poll_passes() -> None:
    """Fault 79: anybody on the way can have said that."""
    for reply in (Reply(status=401), json_reply({"code": 500, "message": "try again"}, 401)):
        with pytest.raises(errors.ApiError) as caught:
            read_task(reply, queried_id="1")
        assert caught.value.retryable


@pytest.mark.parametrize(
    "odd",
    [
        {"duration": "5s"},
        {"duration": "1e400"},
        {"duration": []},
        {"id": ["v1"]},
        {"watermark_url": {"url": "x"}},
    ],
)
def test_an_odd_decoration_is_no_reason_to_lose_a_paid_clip(odd: dict[str, object]) -> None:
    """Fault 80: what only informs becomes None."""
    videos = [{"url": "https://v.example/o.mp4"} | odd]
    task = {"task_id": "1", "task_status": "succeed", "task_result": {"videos": videos}}
    snapshot = read_task(json_reply({"code": 0, "data": task | {"external_task_id": {"a": 1}}}))
    (video,) = snapshot.videos
    assert video.url == "https://v.example/o.mp4"
    assert (video.duration_s, video.watermark_url) == (None, None)


def test_half_a_character_in_the_services_words_can_be_stored() -> None:
    """Fault 80: JSON can spell it, and no file can hold it."""
    task = {"task_id": "1", "task_status": "failed", "task_status_msg": "no \ud83d good \U0001f600"}
    snapshot = read_task(json_reply({"code": 0, "data": task}))
    assert snapshot.message == "no \ufffd good \U0001f600"


WRONG_ADDRESSES = {
    "Spring's": (404, {"status": 404, "error": "Not Found", "path": "/v1/x", "message": ""}),
    "new-api's": (404, {"error": {"message": "Invalid URL (GET /v1/videos/effects/a1)"}}),
    "FastAPI's": (404, {"detail": "Not Found"}),
    "a bare one": (404, {}),
    "Express's": (404, {"message": "Cannot GET /v1/videos/effects/a1"}),
}


@pytest.mark.parametrize("name", WRONG_ADDRESSES)
def test_a_routers_404_is_a_wrong_address_and_no_unknown_task(name: str) -> None:
    """Fault 76: a wrong path on a query."""
    status, body = WRONG_ADDRESSES[name]
    with pytest.raises(errors.InvalidRequestError, match="base URL") as caught:
        read_task(json_reply(body, status), queried_id="a1")
    assert not isinstance(caught.value, TaskNotFoundError)
    assert caught.value.scope is errors.Scope.ACCOUNT


@pytest.mark.parametrize("read", [read_task, read_found])
def test_the_letters_of_the_callers_own_id_decide_nothing(
    read: Callable[..., TaskSnapshot],
) -> None:
    body = {"code": 1201, "message": "insufficient_quota-task-not_found is too long"}
    with pytest.raises(errors.InvalidRequestError) as caught:
        read(json_reply(body, 400), queried_id="insufficient_quota-task-not_found")
    assert type(caught.value) is errors.InvalidRequestError


MONEY = [
    (429, {"error": {"message": "You exceeded your current quota, check your billing details."}}),
    (429, {"error": {"message": "account suspended due to insufficient balance"}}),
    (429, {"code": "fail_to_fetch_task", "message": 'status_code=429, {"code":1102}'}),
    (403, {"code": "fail_to_fetch_task", "message": "账户余额不足，请充值"}),
    (200, {"code": 1102, "message": "Account balance not enough"}),
    (401, {"error": {"message": "该令牌额度已用尽", "type": "new_api_error"}}),
    (500, {"error": {"code": "insufficient_user_quota", "message": "no"}}),
]


@pytest.mark.parametrize(("status", "body"), MONEY)
def test_words_about_money_are_about_the_account_whatever_the_status(
    status: int, body: object
) -> None:
    """Fault 77: no wait mends it."""
    with pytest.raises(errors.AccountError) as caught:
        read_submitted(json_reply(body, status))
    assert (caught.value.retryable, caught.value.may_be_accepted) == (False, False)
    assert caught.value.scope is errors.Scope.ACCOUNT


@pytest.mark.parametrize("status", [403, 429, 500, 200])
def test_a_saturated_gateway_is_about_pace_whatever_the_status(status: int) -> None:
    """Fault 77: the same request is fine after a pause."""
    inner = json.dumps({"code": "upstream_load_saturated", "message": "当前分组上游负载已饱和"})
    body = {"code": "fail_to_fetch_task", "message": inner}
    with pytest.raises(errors.RateLimitError) as caught:
        read_submitted(json_reply(body, status))
    assert (caught.value.retryable, caught.value.may_be_accepted) == (True, False)
    assert caught.value.scope is errors.Scope.PACE


def test_to_ask_for_no_pause_is_not_to_ask() -> None:
    """Fault 77: Retry-After: 0."""
    reply = Reply(status=429, retry_after_s=0.0)
    with pytest.raises(errors.RateLimitError) as caught:
        read_submitted(reply)
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 409, 421, 499, 503, 524])
def test_a_page_on_a_poll_is_not_the_services_word(status: int) -> None:
    """Fault 79: a proxy's or firewall's page with any status."""
    page = Reply(status=status, headers={"content-type": "text/html"}, body=b"<html>no</html>")
    with pytest.raises(KlingEffectsError) as caught:
        read_task(page, queried_id="1")
    assert caught.value.retryable


@pytest.mark.parametrize("word", ["cancelled", "canceled", "expired", "rejected", "timeout"])
def test_a_word_for_an_end_without_a_clip_is_a_failure(word: str) -> None:
    snapshot = read_task(json_reply({"code": 0, "data": {"task_id": "1", "task_status": word}}))
    assert (snapshot.status, snapshot.raw_status) == (TaskStatus.FAILED, word)


@pytest.mark.parametrize(("word", "running"), [("running", True), ("initializing", True)])
def test_a_word_of_the_newer_family_is_no_end(word: str, running: bool) -> None:
    snapshot = read_task(json_reply({"code": 0, "data": {"id": "1", "status": word}}))
    assert snapshot.is_final is not running
    assert snapshot.status is not TaskStatus.UNKNOWN


def test_white_space_around_a_word_or_an_address_means_nothing() -> None:
    video = {"url": " HTTPS://v.example/o.mp4\n"}
    task = {"task_id": "1", "task_status": "succeed ", "task_result": {"videos": [video]}}
    snapshot = read_task(json_reply({"code": 0, "data": task}))
    assert snapshot.status is TaskStatus.SUCCEEDED
    assert snapshot.videos[0].url == "HTTPS://v.example/o.mp4"


def test_an_unknown_code_is_a_plain_api_error_that_may_have_been_accepted() -> None:
    body = b'{"code":777,"message":"who knows","request_id":"r1"}'
    reply = Reply(status=200, headers={"content-type": "application/json"}, body=body)
    with pytest.raises(errors.ApiError) as caught:
        read_submitted(reply)
    assert type(caught.value) is errors.ApiError
    assert caught.value.may_be_accepted
    assert str(caught.value) == "who knows (HTTP 200, code 777, request r1)"
