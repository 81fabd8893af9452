"""Reply bodies seen in public are read as a person reads them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from kling_effects_async.errors import (
    AccountError,
    AuthenticationError,
    ConcurrencyLimitError,
    InvalidRequestError,
    KlingEffectsError,
    RateLimitError,
    TaskNotFoundError,
)
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.protocol.callbacks import read_callback
from kling_effects_async.protocol.messages import Reply
from kling_effects_async.protocol.task_body import read_submitted, read_task
from kling_effects_async.protocol.task_list import read_page
from kling_effects_async.submitting.outcome import SubmitOutcome, outcome_of
from tests.support.samples import FOLDER

BODIES = {
    body["id"]: body
    for body in map(json.loads, (FOLDER / "public_bodies.jsonl").read_text("utf-8").splitlines())
}

URL = "https://v.example/o.mp4"

# What a task was read as: status, address, seconds, units; what is left out is not told.
TASKS: dict[str, dict[str, Any]] = {
    "B01": {
        "status": "succeeded",
        "url": f"{URL}?Expires=1768112080&Signature=FAKE",
        "duration_s": 5.1,
    },
    "B11": {"status": "succeeded", "url": URL, "duration_s": 5.041, "units": Decimal(3)},
    "B13": {"status": "submitted", "task_id": "933557073781063683"},
    "B21": {"status": "succeeded", "url": URL, "duration_s": 5.0},
    "B22": {"status": "succeeded", "url": "https://v.example/video.mp4"},
    "B23": {"status": "succeeded", "url": URL, "duration_s": 5.0, "units": Decimal(1)},
    "B25": {"status": "succeeded", "url": URL, "duration_s": 3.041},
    "B26": {"status": "succeeded", "url": URL},
    "B27": {"status": "succeeded", "url": URL},
    "B29": {"status": "submitted"},
    "B31": {"status": "unknown", "task_id": "866361099762425934"},
    "B34": {
        "status": "failed",
        "message": "Something went wrong when we tried to get the contents of the file.",
    },
}

REJECTIONS: dict[str, type[KlingEffectsError]] = {
    "B02": TaskNotFoundError,
    "B04": AuthenticationError,
    "B06": AuthenticationError,
    "B07": InvalidRequestError,
    "B09": InvalidRequestError,
    "B14": TaskNotFoundError,
    "B16": TaskNotFoundError,
    "B17": RateLimitError,
    "B18": AccountError,
    "B32": InvalidRequestError,
    "B35": AccountError,
    "B37": ConcurrencyLimitError,
}


def reply_of(name: str) -> Reply:
    body = BODIES[name]
    return Reply(
        status=body["status"],
        headers={"content-type": "application/json"},
        body=json.dumps(body["body"]).encode(),
    )


def read(name: str) -> TaskSnapshot:
    body = BODIES[name]
    if body["reply_to"] == "callback":
        return read_callback(json.dumps(body["body"]).encode())
    if body["reply_to"] == "create":
        return read_submitted(reply_of(name))
    return read_task(reply_of(name), queried_id=body["asked_id"])


def test_every_body_has_its_reading() -> None:
    assert {*TASKS, *REJECTIONS, "B03", "B10"} == {*BODIES}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_read_as_a_person_reads_it(name: str) -> None:
    expected = TASKS[name]
    snapshot = read(name)
    assert snapshot.status.value == expected["status"]
    assert snapshot.task_id == expected.get("task_id", BODIES[name]["asked_id"] or snapshot.task_id)
    assert snapshot.message == expected.get("message", "")
    assert snapshot.units == expected.get("units")
    assert [video.url for video in snapshot.videos] == [
        expected[word] for word in ("url",) if word in expected
    ]
    assert [video.duration_s for video in snapshot.videos] == [
        expected.get("duration_s") for _ in snapshot.videos
    ]


@pytest.mark.parametrize("name", REJECTIONS)
def test_a_rejection_is_read_as_a_person_reads_it(name: str) -> None:
    with pytest.raises(KlingEffectsError) as caught:
        read(name)
    assert type(caught.value) is REJECTIONS[name]


def test_the_times_of_a_gateways_row_are_seconds() -> None:
    snapshot = read("B22")
    assert snapshot.created_at is not None
    assert f"{snapshot.created_at:%Y-%m-%d}" == "2023-11-14"


def test_a_wrong_path_is_a_wrong_address_and_no_unknown_task() -> None:
    """Fault 76: a router's 404 on a query."""
    with pytest.raises(InvalidRequestError, match="base URL"):
        read("B09")


def test_a_used_external_id_is_a_duplicate() -> None:
    """Fault 75: Kling's real answer to a used id."""
    with pytest.raises(InvalidRequestError) as caught:
        read("B03")
    assert outcome_of(caught.value) is SubmitOutcome.DUPLICATE


def test_a_bad_value_keeps_its_words() -> None:
    with pytest.raises(InvalidRequestError, match="mode value 'professional' is invalid"):
        read("B07")


def test_an_empty_list_is_an_empty_page() -> None:
    assert len(read_page(reply_of("B10"))) == 0
