"""Every documented reply is read as its sample says."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async import errors
from kling_effects_async.errors import KlingEffectsError, ReplyError, TaskNotFoundError
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.protocol.callbacks import read_callback
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.redaction import redacted
from kling_effects_async.protocol.task_body import (
    read_listed,
    read_page,
    read_submitted,
    read_task,
)
from tests.samples import body_of, reply_of, samples

TASKS = samples("tasks")
PAGES = samples("pages")
ERRORS = samples("errors")
CALLBACKS = samples("callbacks")


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def check(snapshot: TaskSnapshot, expect: dict[str, Any]) -> None:
    assert snapshot.task_id == expect["task_id"]
    assert snapshot.status.value == expect["status"]
    assert snapshot.raw_status == expect["raw_status"]
    assert snapshot.message == expect["message"]
    assert snapshot.external_task_id == expect["external_task_id"]
    assert [video.url for video in snapshot.videos] == expect["video_urls"]
    assert [video.duration_s for video in snapshot.videos] == expect["video_durations_s"]
    assert snapshot.created_at == moment(expect["created_at"])
    assert snapshot.updated_at == moment(expect["updated_at"])
    assert (None if snapshot.units is None else str(snapshot.units)) == expect["units"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_read_from_every_documented_shape(name: str) -> None:
    sample = TASKS[name]
    snapshot = read_task(reply_of(sample))
    check(snapshot, sample["expect"])
    assert snapshot.request_id == sample["expect"]["request_id"]


@pytest.mark.parametrize("name", TASKS)
def test_times_are_aware_utc(name: str) -> None:
    snapshot = read_task(reply_of(TASKS[name]))
    for value in (snapshot.created_at, snapshot.updated_at):
        assert value is None or value.utcoffset() is not None


@pytest.mark.parametrize("name", TASKS)
def test_a_create_is_read_like_a_query(name: str) -> None:
    check(read_submitted(reply_of(TASKS[name])), TASKS[name]["expect"])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_and_its_unreadable_items_left_out(name: str) -> None:
    sample = PAGES[name]
    page = read_page(reply_of(sample))
    assert [task.task_id for task in page] == sample["expect"]["task_ids"]
    assert [task.status.value for task in page] == sample["expect"]["statuses"]


@pytest.mark.parametrize("name", ERRORS)
def test_a_no_is_an_error_of_its_class(name: str) -> None:
    sample = ERRORS[name]
    expect = sample["expect"]
    expected = getattr(errors, expect["error"])
    read = read_task if expected is TaskNotFoundError else read_submitted
    with pytest.raises(KlingEffectsError) as caught:
        read(reply_of(sample))
    error = caught.value
    assert type(error) is expected
    assert getattr(error, "code", None) == expect["code"]
    assert error.retryable is expect["retryable"]  # type: ignore[attr-defined]  # both kinds have it
    assert getattr(error, "may_be_accepted", True) is expect["may_be_accepted"]
    assert getattr(error, "retry_after_s", None) == expect["retry_after_s"]
    assert expect["message_contains"] in str(error)


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_is_read_in_both_forms(name: str) -> None:
    sample = CALLBACKS[name]
    check(read_callback(body_of(sample["callback"])), sample["expect"])


def test_an_answer_about_another_task_is_never_taken_for_ours() -> None:
    """Fault 42: poll answers for another task id."""
    body = b'{"code":0,"data":{"task_id":"1","task_status":"succeed"}}'
    reply = Reply(status=200, headers={"content-type": "application/json"}, body=body)
    with pytest.raises(ReplyError, match="asked for task 2, and the answer is about task 1"):
        read_task(reply, asked="2")


RUNNING = {
    "task_id": "1",
    "task_status": "processing",
    "task_status_msg": "",
    "task_info": {},
    "created_at": 1_790_000_000_000,
    "updated_at": 1_790_000_000_250,
}


def listed(*entries: object, wanted: dict[str, TaskSnapshot | None]) -> list[TaskSnapshot]:
    body = json.dumps({"code": 0, "data": entries}).encode()
    reply = Reply(status=200, headers={"content-type": "application/json"}, body=body)
    seen, shown = read_listed(reply, wanted)
    assert shown == len(entries)
    return seen


def test_of_a_page_only_what_is_wanted_is_read() -> None:
    (seen,) = listed(RUNNING, RUNNING | {"task_id": "2"}, "no task", wanted={"1": None})
    assert (seen.task_id, seen.status) == ("1", TaskStatus.PROCESSING)


def test_a_page_that_tells_nothing_new_of_a_task_gives_what_is_held() -> None:
    (held,) = listed(RUNNING, wanted={"1": None})
    (again,) = listed(RUNNING, wanted={"1": held})
    assert again is held


@pytest.mark.parametrize(
    "news",
    [
        {"task_status": "submitted"},
        {"task_status_msg": "queued behind 3"},
        {"updated_at": 1_790_000_000_251},
        {"task_status": "succeed"},
        {"task_result": {}},
        {"data": {"task_id": "1", "task_status": "failed"}},
    ],
    ids=lambda news: next(iter(news)),
)
def test_whatever_is_new_on_a_page_is_read_in_full(news: dict[str, object]) -> None:
    (held,) = listed(RUNNING, wanted={"1": None})
    (seen,) = listed(RUNNING | news, wanted={"1": held})
    assert seen is not held


def test_a_redirect_is_not_followed_and_names_only_the_host() -> None:
    """Fault 46: API redirects elsewhere."""
    location = "https://elsewhere.example/path?sign=secret"
    reply = Reply(status=302, headers={"location": location})
    with pytest.raises(ReplyError, match=r"redirects to elsewhere\.example") as caught:
        read_task(reply)
    assert "secret" not in str(caught.value)


def test_an_unknown_code_is_a_plain_api_error_that_may_have_been_accepted() -> None:
    body = b'{"code":777,"message":"who knows","request_id":"r1"}'
    reply = Reply(status=200, headers={"content-type": "application/json"}, body=body)
    with pytest.raises(errors.ApiError) as caught:
        read_submitted(reply)
    assert type(caught.value) is errors.ApiError
    assert caught.value.may_be_accepted
    assert str(caught.value) == "who knows (HTTP 200, code 777, request r1)"


@given(st.binary(max_size=200), st.sampled_from([200, 201, 302, 400, 404, 429, 500, 503]))
def test_no_body_ends_in_anything_but_our_errors(body: bytes, status: int) -> None:
    """Fault 44: deep or odd JSON is never a bare ValueError."""
    reply = Reply(status=status, headers={"content-type": "application/json"}, body=body)
    for read in (read_task, read_submitted, read_page):
        with pytest.raises(KlingEffectsError):
            read(reply)


MEMBERS = """
    code message data task_id id task_status status task_result videos url error outputs created_at
    fail_reason task_info duration final_unit_deduction metadata images
""".split()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(json_values)
def test_no_json_ends_in_anything_but_a_snapshot_or_our_errors(value: object) -> None:
    """Fault 44: odd JSON, member by member."""
    import json

    reply = Reply(
        status=200,
        headers={"content-type": "application/json"},
        body=json.dumps(value).encode("utf-8", "surrogatepass"),
    )
    for read in (read_task, read_page):
        try:
            read(reply)
        except KlingEffectsError:
            continue


@pytest.mark.parametrize(
    "secret",
    [
        "https://v.example/o.mp4?sign=topsecret",
        "https://user:topsecret@v.example/o.mp4",
        "Authorization: Bearer topsecret",
        "invalid token sk-topsecret",
        "eyJtopsecret.eyJtopsecret.topsecret",
        "whsec_topsecret",
    ],
)
def test_secrets_are_cut_out_of_texts(secret: str) -> None:
    """Fault 67: secrets in errors."""
    assert "topsecret" not in redacted(f"before {secret} after")
    assert redacted(f"before {secret} after").endswith(" after")
