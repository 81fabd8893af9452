"""The rules by which answers are read, one by one: verdicts, layers, envelopes, tasks, pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kling_effects_async.errors import (
    AccountError,
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    ReplyError,
    Scope,
    ServiceError,
    TaskNotFoundError,
)
from kling_effects_async.models import TaskStatus
from kling_effects_async.protocol.callbacks import read_callback
from kling_effects_async.protocol.clips import clips_of
from kling_effects_async.protocol.converter import moment
from kling_effects_async.protocol.envelope import open_envelope
from kling_effects_async.protocol.layers import (
    first_value,
    json_object,
    parse_json,
    request_id_of,
)
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.task_body import (
    read_found,
    read_snapshot,
    read_submitted,
    read_task,
)
from kling_effects_async.protocol.task_list import read_listed, read_page
from kling_effects_async.protocol.verdicts import verdict_of, without_id
from tests.support.samples import json_reply

T1 = {"task_id": "t1", "task_status": "processing"}
CLIP = "https://v.example/o.mp4"


def reply(body: bytes, kind: str = "application/json", status: int = 200) -> Reply:
    headers = {"content-type": kind, "x-request-id": "r-1"}
    return Reply(status=status, headers=headers, body=body)


# -- verdicts


@pytest.mark.parametrize(
    ("status", "code", "message", "error", "retryable"),
    [
        (200, 400, "", InvalidRequestError, True),
        (200, 401, "", AuthenticationError, True),
        (200, 402, "", AccountError, True),
        (200, 500, "", ServiceError, True),
        (200, 599, "", ServiceError, True),
        (200, 600, "", ApiError, True),
        (404, None, "task not found", InvalidRequestError, False),
        (422, None, "", InvalidRequestError, False),
    ],
)
def test_a_code_like_an_http_status_is_judged_as_one_and_may_pass(
    status: int, code: int | None, message: str, error: type[ApiError], retryable: bool
) -> None:
    verdict = verdict_of(status, code, message)
    assert (verdict.error, verdict.retryable) == (error, retryable)


@pytest.mark.parametrize(
    ("status", "message", "scope"),
    [
        (400, "Invalid URL (POST /x)", Scope.ACCOUNT),
        (400, "image is missing", None),
        (422, "Invalid URL (POST /x)", None),
    ],
)
def test_a_path_that_is_not_there_is_known_by_its_words(
    status: int, message: str, scope: Scope | None
) -> None:
    assert verdict_of(status, None, message).scope is scope


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1203, TaskNotFoundError),
        ("task_not_exist", TaskNotFoundError),
        (1204, ServiceError),
    ],
)
def test_two_codes_are_clear_about_an_unknown_task_whatever_the_words(
    code: int | str, error: type[ApiError]
) -> None:
    """Fault 74: only a clear answer proves that there is no task."""
    assert verdict_of(400, code, "no available channel", about_task=True).error is error


def test_the_callers_id_is_cut_from_a_message() -> None:
    assert without_id("task a1 of a10 is a1", "a1") == "task ... of a10 is ..."


# -- reasons


def rejected(body: object, status: int = 400) -> ApiError:
    with pytest.raises(ApiError) as caught:
        open_envelope(json_reply(body, status=status))
    return caught.value


@pytest.mark.parametrize("name", ["message", "msg", "detail", "error", "error_description"])
def test_a_reason_is_found_under_any_of_its_names(name: str) -> None:
    assert rejected({"message": "", "code": 1201, name: "too dark"}).message == "too dark"
    assert rejected({"message": 5, "code": 1201}).message == ""


def test_the_second_word_of_code_decides_where_the_first_says_nothing() -> None:
    error = rejected({"error": {"code": "odd", "type": "insufficient_quota", "message": "no"}})
    assert isinstance(error, AccountError)
    assert not isinstance(rejected({"error": {"code": "odd", "type": ["a"]}}), AccountError)


def test_the_id_of_a_request_may_be_in_the_words() -> None:
    assert rejected({"code": "x", "message": "no (request id: 2026-a)"}).request_id == "2026-a"
    assert rejected({"code": "x", "message": "no"}).request_id is None


def test_the_innermost_reason_counts_with_a_code_or_an_error_of_its_own() -> None:
    inner = '{"error": {"message": "risk control system", "code": "odd"}}'
    assert rejected({"code": "x", "message": f"upstream: {inner}"}).message == "risk control system"
    plain = 'upstream: {"message": "hidden"}'
    assert rejected({"code": "x", "message": plain}).message == plain


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<", "a callback whose body is not sound JSON"),
        (b"[]", "a callback with a JSON list instead of a task"),
    ],
)
def test_a_callback_that_nobody_can_read_says_what_it_is(body: bytes, words: str) -> None:
    with pytest.raises(ReplyError) as caught:
        read_callback(body)
    assert caught.value.args == (words,)


# -- layers


def test_half_a_character_is_replaced_wherever_it_is() -> None:
    assert parse_json(rb'{"a": ["\ud800", 1]}') == {"a": ["\ufffd", 1]}


@pytest.mark.parametrize("text", [None, 5, "", "[1]", "{"])
def test_what_is_no_json_object_is_none(text: object) -> None:
    assert json_object(text) is None


def test_zero_stands_for_none_also_as_text() -> None:
    assert first_value([{"a": "0"}, {"a": 0}, {"a": 5}], "a") == 5


def test_an_id_in_a_header_can_be_shown() -> None:
    assert request_id_of(Reply(status=200, headers={"x-request-id": "a\udc80"}), ()) == "a?"


# -- envelopes


@pytest.mark.parametrize("kind", ["application/json", "text/json", "application/vnd.api+json"])
def test_what_is_json_by_its_name_is_read_whatever_is_in_it(kind: str) -> None:
    assert open_envelope(reply(b'{"x": 1}', kind)) == {"x": 1}


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        (b"<", "application/json", "a body that is not sound JSON (1 bytes)"),
        (b"<", "text/html", "text/html instead of JSON (1 bytes)"),
        (b"<", "", "no content type instead of JSON (1 bytes)"),
        (b"[]", "application/json", "a JSON list where an object belongs (2 bytes)"),
        (b'{"x": 1}', "text/html", "text/html instead of JSON (8 bytes)"),
    ],
)
def test_an_answer_that_nobody_can_read_says_what_it_is(body: bytes, kind: str, what: str) -> None:
    with pytest.raises(ReplyError) as caught:
        open_envelope(reply(body, kind))
    assert f"HTTP 200 with {what}: a proxy's or a gateway's own page" in str(caught.value)
    assert (caught.value.http_status, caught.value.request_id) == (200, "r-1")


def test_a_documented_envelope_is_read_under_any_content_type() -> None:
    assert open_envelope(reply(b'{"code": 0}', "text/plain")) == {"code": 0}


def test_a_rejection_without_a_body_to_read_is_judged_by_its_status() -> None:
    with pytest.raises(InvalidRequestError):
        open_envelope(reply(b"<html>", "text/html", status=400))


@pytest.mark.parametrize(
    ("status", "outcome"), [(300, ""), (303, ""), (307, ", and nobody has accepted anything")]
)
def test_a_redirect_is_about_the_address_of_the_service(status: int, outcome: str) -> None:
    with pytest.raises(ReplyError) as caught:
        open_envelope(reply(b"", status=status))
    error = caught.value
    start = f"HTTP {status} redirects to the same host: nothing is sent there{outcome}; if that"
    assert str(error).startswith(start)
    assert (error.http_status, error.request_id) == (status, "r-1")
    assert error.scope is Scope.ACCOUNT


def test_a_no_around_a_yes_is_known_by_its_status_and_id() -> None:
    with pytest.raises(ReplyError, match="which of them is true") as caught:
        open_envelope(reply(b'{"code": 0, "data": {"task_id": "t1"}}', status=400))
    assert (caught.value.http_status, caught.value.request_id) == (400, "r-1")


@pytest.mark.parametrize("name", ["task_id", "id"])
def test_what_is_in_a_tasks_own_layer_is_no_rejection(name: str) -> None:
    task = {name: "t1", "status": "processing", "data": {"code": 1102, "message": "no"}}
    assert open_envelope(json_reply({"code": 0, "data": task}))["code"] == 0


@pytest.mark.parametrize("code", [False, 0.0, [0], {"a": 0}, 1102, "FAIL"])
def test_what_equals_success_by_accident_is_none(code: object) -> None:
    with pytest.raises(ApiError):
        open_envelope(json_reply({"code": code, "message": "no"}))


@pytest.mark.parametrize("code", [0, "0", "SUCCESS", "ok", None])
def test_success_has_many_spellings(code: object) -> None:
    assert open_envelope(json_reply({"code": code}))["code"] == code


@pytest.mark.parametrize("name", ["task_id", "id", "data"])
def test_an_error_beside_a_task_is_that_tasks(name: str) -> None:
    assert open_envelope(json_reply({"error": {"message": "x"}, name: {"a": 1}}))
    with pytest.raises(ApiError):
        open_envelope(json_reply({"error": {"message": "x"}}))


# -- tasks


def test_an_answer_that_names_no_task_is_known_by_its_status_and_id() -> None:
    with pytest.raises(ReplyError, match="HTTP 201: the answer names no task") as caught:
        read_submitted(reply(b"{}", status=201))
    assert (caught.value.http_status, caught.value.request_id) == (201, "r-1")
    with pytest.raises(ReplyError, match="HTTP 200"):
        read_snapshot(())


def test_a_member_of_no_use_is_named() -> None:
    with pytest.raises(ReplyError, match=r"its shape: .*expected str @ \$.task_id") as caught:
        read_submitted(reply(b'{"task_id": {"a": 1}, "task_status": "processing"}'))
    assert (caught.value.http_status, caught.value.request_id) == (200, "r-1")


def test_a_clip_knows_its_task() -> None:
    done = {"task_id": "t1", "task_status": "succeed", "videos": [{"url": CLIP}]}
    assert [video.task_id for video in read_task(json_reply(done)).videos] == ["t1"]


@pytest.mark.parametrize(
    ("external", "theirs"), [({}, ""), ({"external_task_id": "b"}, " with the external id b")]
)
def test_an_answer_about_another_task_names_both(external: dict[str, str], theirs: str) -> None:
    body = b'{"task_id": "t2", "task_status": "processing"}'
    if external:
        body = b'{"task_id": "t2", "task_status": "processing", "external_task_id": "b"}'
    message = f"queried task t1, and the answer is about task t2{theirs}"
    for read in (read_task, read_found):
        with pytest.raises(ReplyError) as caught:
            read(reply(body), queried_id="t1")
        assert caught.value.args == (message,)
        assert (caught.value.http_status, caught.value.request_id) == (200, "r-1")


def test_an_empty_answer_to_a_lookup_may_be_a_late_replica() -> None:
    with pytest.raises(TaskNotFoundError) as caught:
        read_found(reply(b"{}"), queried_id="a")
    error = caught.value
    assert (error.http_status, error.request_id, error.retryable) == (200, "r-1", True)


def test_the_letters_of_a_queried_id_are_no_words_of_the_service() -> None:
    body = {"code": 1201, "message": "bad value: task not found"}
    with pytest.raises(ApiError) as caught:
        read_task(json_reply(body, status=400), queried_id="task not found")
    assert type(caught.value) is InvalidRequestError


@pytest.mark.parametrize(
    "odd",
    [
        {"status": "failed"},
        {"message": "come back later"},
        {"msg": "come back later"},
        {"data": "see the console"},
        {"surprise": 1},
    ],
)
def test_an_odd_word_in_an_empty_answer_proves_nothing(odd: dict[str, object]) -> None:
    """Fault 74."""
    with pytest.raises(ReplyError):
        read_found(json_reply({"code": 0, "data": None, **odd}), queried_id="a")


def test_an_envelope_with_all_its_members_can_be_empty() -> None:
    names = "code data message msg request_id status success time_elapsed usage".split()
    whole = {**dict.fromkeys(names), "code": 0, "status": "success", "success": True}
    with pytest.raises(TaskNotFoundError):
        read_found(json_reply(whole), queried_id="a")


@pytest.mark.parametrize(
    ("members", "is_task"),
    [
        ({"status": "processing"}, True),
        ({"status": "odd"}, False),
        ({"status": "odd", "create_time": 1}, True),
        ({"status": "odd", "created_at": 1}, True),
        ({"status": "processing", "code": 0}, False),
        ({"status": "processing", "data": None}, False),
        ({"created_at": 1}, False),
    ],
)
def test_a_task_of_the_newer_form_is_told_from_an_envelope(
    members: dict[str, object], is_task: bool
) -> None:
    answer = json_reply({"id": "t1", **members})
    if is_task:
        assert read_submitted(answer).task_id == "t1"
    else:
        with pytest.raises(ReplyError):
            read_submitted(answer)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"task_status_msg": "in line"}, "in line"),
        ({"task_status_msg": 5}, ""),
        ({}, ""),
        ({"task_status": "failed", "message": "too dark"}, "too dark"),
        ({"task_status": "failed", "message": {"a": 1}}, ""),
        ({"task_status": "failed", "message": "SUCCEED", "data": {**T1, "progress": "1"}}, ""),
    ],
)
def test_a_message_is_the_tasks_own_text(members: dict[str, object], message: str) -> None:
    assert read_submitted(json_reply({**T1, **members})).message == message


def test_an_external_id_may_stand_beside_the_tasks_own() -> None:
    body = {**T1, "external_task_id": "order-1"}
    assert read_submitted(json_reply(body)).external_task_id == "order-1"
    assert read_task(json_reply(body), queried_id="order-1").task_id == "t1"


@pytest.mark.parametrize("inner", [{"task_id": "k1"}, {"id": "k1", "status": "processing"}])
@pytest.mark.parametrize("queried_id", ["t1", "k1"])
def test_a_wrapped_task_is_found_by_either_id(inner: dict[str, object], queried_id: str) -> None:
    body = {**T1, "data": inner}
    assert read_task(json_reply(body), queried_id=queried_id).task_id == "t1"


@pytest.mark.parametrize("units", ["-5", "NaN", "Infinity", [1], True])
def test_a_price_that_cannot_be_is_none(units: object) -> None:
    assert read_submitted(json_reply({**T1, "final_unit_deduction": units})).units is None


def test_a_time_within_the_first_second_is_one() -> None:
    assert moment(0.5) == datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)


# -- clips


@pytest.mark.parametrize("name", ["videos", "outputs", "video_result"])
@pytest.mark.parametrize("address", [CLIP, "http://v.example/o.mp4", " HTTPS://v.example/o "])
def test_clips_are_found_in_a_list_of_any_name(name: str, address: str) -> None:
    others = {"id": "v1", "duration": "5", "watermark_url": "https://v.example/w"}
    entry: dict[str, Any] = {"url": address, "type": "", **others}
    assert clips_of([{name: [entry]}]) == [{"url": address.strip(), **others}]


def test_empty_members_of_a_clip_are_left_out_and_other_kinds_are_no_clips() -> None:
    entries = [{"url": CLIP, "id": "", "duration": None}, {"url": CLIP, "type": "image"}]
    assert clips_of([{"videos": entries}]) == [{"url": CLIP}]
    assert clips_of([{"videos": [{"url": "ftp://v.example/o"}]}]) == []


# -- pages


def test_a_page_counts_what_nobody_can_read() -> None:
    body = b'{"code": 0, "data": [{"task_id": "t1", "task_status": "processing"}, 5, {"x": 1}]}'
    page = read_page(reply(body), page=3, page_size=7)
    assert [(task.task_id, task.request_id) for task in page.tasks] == [("t1", "r-1")]
    assert (page.unreadable, page.page, page.page_size) == (2, 3, 7)
    usual = read_page(reply(body))
    assert (usual.page, usual.page_size) == (1, 30)


def test_an_answer_without_a_list_says_so() -> None:
    with pytest.raises(
        ReplyError, match="HTTP 200: the answer to a list request holds no list"
    ) as c:
        read_page(json_reply({"code": 0, "data": {}}))
    assert c.value.http_status == 200


def test_what_is_wanted_is_read_wherever_it_is_on_a_page() -> None:
    body = b'{"data": [5, {"task_id": "t0"}, {"task_id": "t1", "task_status": "processing"}]}'
    listed = read_listed(reply(body), {"t1": None})
    assert [(task.task_id, task.request_id) for task in listed.tasks] == [("t1", "r-1")]
    assert [task.status for task in listed.tasks] == [TaskStatus.PROCESSING]
    assert (listed.first_id, listed.shown) == ("", 3)


def test_times_of_a_page_are_those_of_the_innermost_tasks() -> None:
    entries = [
        {"task_id": "a", "created_at": 5000, "data": {"created_at": 2000}},
        {"task_id": "b", "data": {"created_at": 3000, "data": {"x": 1}}},
    ]
    listed = read_listed(json_reply({"data": entries}), {})
    assert (listed.oldest_at, listed.newest_at) == (moment(2000), moment(3000))
