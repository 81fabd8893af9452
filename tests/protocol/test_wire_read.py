"""Every documented reply is read as its sample says, and no other ends in a foreign error."""

from __future__ import annotations

import json
import traceback
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async import errors
from kling_effects_async.errors import ApiError, KlingEffectsError, ReplyError, TaskNotFoundError
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.protocol.callbacks import read_callback
from kling_effects_async.protocol.messages import Listed, Reply
from kling_effects_async.protocol.task_body import read_submitted, read_task
from kling_effects_async.protocol.task_list import read_listed, read_page
from tests.support.samples import body_of, json_reply, reply_of, samples

TASKS = samples("tasks")
PAGES = samples("pages")
ERRORS = samples("errors")
CALLBACKS = samples("callbacks")


T1 = {"task_id": "t1", "task_status": "processing"}


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


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (1, "1970-01-01T00:00:01"),
        (1773130665, "2026-03-10T08:17:45"),
        (10**11 - 1, "5138-11-16T09:46:39"),  # the last one that is taken for seconds
        (10**11, "1973-03-03T09:46:40"),  # the first one that is taken for milliseconds
        (10**12 - 1000, "2001-09-09T01:46:39"),
        (10**12, "2001-09-09T01:46:40"),
        (1773130665123, "2026-03-10T08:17:45.123"),
        ("1773130665123", "2026-03-10T08:17:45.123"),
        (253402300799000, "9999-12-31T23:59:59"),
        (253402300800000, None),  # no calendar goes so far
        (0, None),
        (-1773130665, None),
        ("soon", None),
    ],
)
def test_a_time_is_told_in_seconds_or_milliseconds(told: int | str, expected: str | None) -> None:
    """Fault 82: Kling tells milliseconds, and some gateways tell seconds in the same field."""
    reply = json_reply({"code": 0, "data": {**T1, "created_at": told}})
    assert read_task(reply).created_at == moment(expected and f"{expected}+00:00")


def wrapped(body: dict[str, Any], *, times: int) -> dict[str, Any]:
    """A task's body in so many envelopes."""
    for _ in range(times):
        body = {"code": 0, "message": "SUCCEED", "data": body}
    return body


@pytest.mark.parametrize("times", range(8))
def test_a_task_is_found_in_twice_as_many_layers_as_any_document_has(times: int) -> None:
    assert read_task(json_reply(wrapped(T1, times=times))).task_id == "t1"


@pytest.mark.parametrize("times", [8, 30, 79])
def test_a_task_in_more_layers_than_that_is_nobodys(times: int) -> None:
    """Fault 44: what a submit was answered with then is uncertain."""
    with pytest.raises(ReplyError) as caught:
        read_submitted(json_reply(wrapped(T1, times=times)))
    assert caught.value.may_be_accepted


@pytest.mark.parametrize(("times", "is_seen"), [(3, True), (7, True), (12, False)])
def test_a_reason_is_looked_for_in_no_more_layers_either(times: int, is_seen: bool) -> None:
    """Fault 44: a gateway carries another's error body as text, that one another's, and so on."""
    body: dict[str, Any] = {"code": 1102, "message": "no units left"}
    for _ in range(times):
        body = {"code": "fail_to_fetch_task", "message": json.dumps(body)}
    with pytest.raises(ApiError) as caught:
        read_submitted(json_reply(body, status=400))
    assert (caught.value.code == 1102) is is_seen


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
    """Fault 9: by the table of codes."""
    sample = ERRORS[name]
    expect = sample["expect"]
    expected = getattr(errors, expect["error"])
    read = read_task if expected is TaskNotFoundError else read_submitted
    with pytest.raises(KlingEffectsError) as caught:
        read(reply_of(sample))
    error = caught.value
    assert type(error) is expected
    assert getattr(error, "code", None) == expect["code"]
    assert error.retryable is expect["retryable"]
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
    with pytest.raises(ReplyError, match="queried task 2, and the answer is about task 1"):
        read_task(reply, queried_id="2")


RUNNING = {
    "task_id": "1",
    "task_status": "processing",
    "task_status_msg": "",
    "task_info": {},
    "created_at": 1_790_000_000_000,
    "updated_at": 1_790_000_000_250,
}


def page_of(*entries: object, wanted: dict[str, TaskSnapshot | None]) -> Listed:
    body = json.dumps({"code": 0, "data": entries}).encode()
    reply = Reply(status=200, headers={"content-type": "application/json"}, body=body)
    return read_listed(reply, wanted)


def listed(*entries: object, wanted: dict[str, TaskSnapshot | None]) -> list[TaskSnapshot]:
    page = page_of(*entries, wanted=wanted)
    assert page.shown == len(entries)
    return list(page.tasks)


def test_of_a_page_only_what_is_wanted_is_read() -> None:
    (seen,) = listed(RUNNING, RUNNING | {"task_id": "2"}, "no task", wanted={"1": None})
    assert (seen.task_id, seen.status) == ("1", TaskStatus.PROCESSING)


def test_a_page_that_tells_nothing_new_of_a_task_gives_what_is_held() -> None:
    (held,) = listed(RUNNING, wanted={"1": None})
    (again,) = listed(RUNNING, wanted={"1": held})
    assert again is held


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ([1_790_000_003_000, 1_790_000_001_000, 1_790_000_002_000], (3, 1)),
        (["1790000003000", "1790000001000"], (3, 1)),
        ([1_790_000_003_000, None, 0], (3, 3)),
        ([1_790_000_003_000, "1790000001000"], None),
        ([None, None], None),
        ([], None),
    ],
    ids=["numbers", "text", "some missing", "mixed", "missing", "empty"],
)
def test_a_page_tells_between_which_times_its_tasks_were_created(
    times: list[object], told: tuple[int, int] | None
) -> None:
    entries = [{"task_id": str(n), "created_at": time} for n, time in enumerate(times)]
    wrapped = [{"task_id": str(n), "status": "QUEUED", "data": e} for n, e in enumerate(entries)]
    for page in (page_of(*entries, wanted={}), page_of(*wrapped, wanted={})):
        newest_s, oldest_s = (
            at and at.timestamp() - 1_790_000_000 for at in (page.newest_at, page.oldest_at)
        )
        assert (newest_s, oldest_s) == (told or (None, None))
        assert page.first_id == ("0" if times else "")


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


def test_an_unreadable_callback_is_an_error_without_its_body() -> None:
    """Fault 93: the decoder's error holds the whole document."""
    with pytest.raises(ReplyError) as caught:
        read_callback(b"{top-secret")
    assert caught.value.__context__ is caught.value.__cause__ is None
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames[1:]] == ["read_callback"]


def test_what_a_callback_says_is_harmless() -> None:
    """Fault 67."""
    said = "your key sk-topsecret, https://v.example/a.mp4?sign=topsecret"
    body = {"task_id": "1", "task_status": "failed", "task_status_msg": said, "request_id": said}
    snapshot = read_callback(json.dumps(body).encode())
    assert "topsecret" not in snapshot.message + str(snapshot.request_id)


def test_a_redirect_is_not_followed_and_names_only_the_host() -> None:
    """Fault 46: API redirects elsewhere."""
    location = "https://elsewhere.example/path?sign=secret"
    reply = Reply(status=302, headers={"location": location})
    with pytest.raises(ReplyError, match=r"redirects to elsewhere\.example") as caught:
        read_task(reply)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("/kling/v1/videos/effects/", "the same host, path /kling/v1/videos/effects/"),
        ("https://[login.example/", "an address that is none"),
        ("", "the same host"),
        ("https://h.example:99999/x", "h.example, path /x"),
        ("\x1b]0;x\x07", "the same host, path ]0;x?"),
    ],
)
def test_a_redirect_names_its_place_whatever_stands_there(location: str, place: str) -> None:
    """Faults 46, 80: a stranger's address is never a bare ValueError."""
    reply = Reply(status=307, headers={"location": location})
    with pytest.raises(ReplyError) as caught:
        read_submitted(reply)
    assert f"redirects to {place}: nothing is sent there" in str(caught.value)
    assert not caught.value.may_be_accepted


def test_a_redirect_after_the_request_was_acted_upon_may_have_been_accepted() -> None:
    """Fault 46: 303 says that the answer is elsewhere (RFC 9110, 15.4.4)."""
    with pytest.raises(ReplyError) as caught:
        read_submitted(Reply(status=303, headers={"location": "/done"}))
    assert caught.value.may_be_accepted


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
