"""What a failed submit means for the next step: the table, row by row."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kling_effects_async.errors import (
    AccountError,
    ApiError,
    AuthenticationError,
    BudgetExceededError,
    ConcurrencyLimitError,
    ContentRejectedError,
    ImageRejectedError,
    InvalidRequestError,
    JournalError,
    KlingEffectsError,
    NetworkError,
    ProxyError,
    RateLimitError,
    ReplyError,
    RequestTimeoutError,
    ServiceError,
    SettingsError,
    SubmissionUncertainError,
    TaskNotFoundError,
    TlsError,
    TransportError,
)
from kling_effects_async.protocol.verdicts import verdict_of
from kling_effects_async.submitting.outcome import SubmitOutcome, outcome_of

UNCERTAIN = SubmissionUncertainError("lost", external_task_id="order-42", scene="squish")
ONE = Decimal(1)
NO_MONEY = BudgetExceededError(
    scene="squish",
    limit_units=ONE,
    spent_units=ONE,
    running_units=ONE,
    unsettled_units=ONE,
    expected_units=ONE,
)

ROWS: list[tuple[KlingEffectsError, SubmitOutcome]] = [
    # nothing was sent
    (TransportError("no answer", sent=False), SubmitOutcome.NOT_RECEIVED),
    (NetworkError("no connection", sent=False), SubmitOutcome.NOT_RECEIVED),
    (RequestTimeoutError("no connection in time", sent=False), SubmitOutcome.NOT_RECEIVED),
    (TlsError("not to be trusted", sent=False), SubmitOutcome.REJECTED),
    (ProxyError("rejected", sent=False), SubmitOutcome.REJECTED),
    (ImageRejectedError("a.jpg", ["It changed."]), SubmitOutcome.REJECTED),
    (SettingsError("no key"), SubmitOutcome.REJECTED),
    (JournalError("no room"), SubmitOutcome.REJECTED),
    (NO_MONEY, SubmitOutcome.REJECTED),
    # sent, and no answer or none that can be read
    (TransportError("no answer"), SubmitOutcome.UNCERTAIN),
    (NetworkError("broke"), SubmitOutcome.UNCERTAIN),
    (RequestTimeoutError("too slow"), SubmitOutcome.UNCERTAIN),
    (TlsError("broke off", sent=True), SubmitOutcome.UNCERTAIN),
    (ProxyError("cut", sent=True), SubmitOutcome.UNCERTAIN),
    (UNCERTAIN, SubmitOutcome.UNCERTAIN),
    (ReplyError("a page", http_status=200), SubmitOutcome.UNCERTAIN),
    (ServiceError("oops", retryable=True, may_be_accepted=True), SubmitOutcome.UNCERTAIN),
    (ApiError("who knows", may_be_accepted=True), SubmitOutcome.UNCERTAIN),
    (InvalidRequestError("external_task_id exists", may_be_accepted=True), SubmitOutcome.UNCERTAIN),
    # rejected before acceptance, passing
    (RateLimitError("too fast", retryable=True), SubmitOutcome.NOT_ACCEPTED),
    (ConcurrencyLimitError("no slot", retryable=True), SubmitOutcome.NOT_ACCEPTED),
    (AuthenticationError("not valid yet", retryable=True), SubmitOutcome.NOT_ACCEPTED),
    (ServiceError("not now", retryable=True), SubmitOutcome.NOT_ACCEPTED),
    # rejected before acceptance, for good
    (ApiError("no"), SubmitOutcome.REJECTED),
    (AuthenticationError("wrong key"), SubmitOutcome.REJECTED),
    (AccountError("nothing left"), SubmitOutcome.REJECTED),
    (ContentRejectedError("risk control"), SubmitOutcome.REJECTED),
    (InvalidRequestError("image is missing"), SubmitOutcome.REJECTED),
    (TaskNotFoundError("no such task"), SubmitOutcome.REJECTED),
]


def name_of(row: object) -> str:
    if isinstance(row, SubmitOutcome):
        return row.value
    sent = getattr(row, "sent", None)
    return type(row).__name__ + ("" if sent is None else f" sent={sent}")


@pytest.mark.parametrize(("error", "outcome"), ROWS, ids=name_of)
def test_every_error_has_its_outcome(error: KlingEffectsError, outcome: SubmitOutcome) -> None:
    assert outcome_of(error) is outcome


def test_no_error_of_the_tree_is_sent_again_unless_the_table_says_so() -> None:
    again = {SubmitOutcome.NOT_RECEIVED, SubmitOutcome.NOT_ACCEPTED}
    for error, outcome in ROWS:
        if outcome in again:
            assert getattr(error, "sent", False) is False
            assert getattr(error, "may_be_accepted", False) is False


@pytest.mark.parametrize(
    "words",
    [
        "external_task_id 'order-42' already exists",
        "external task id is duplicated",
        "External_Id has been used",
        "the externalTaskId must be unique",
        "repeated external_task_id",
        "external_task_id 重复",
        "external_task_id已存在",
        "external_task_id 必须唯一",
        '{"code":1201,"message":"external_task_id order-42 already exists"}',
    ],
)
def test_a_used_external_id_is_told_by_its_words(words: str) -> None:
    """Fault 21: duplicate external id rejected."""
    assert outcome_of(InvalidRequestError(words, code=1201)) is SubmitOutcome.DUPLICATE


@pytest.mark.parametrize(
    "words",
    [
        "external_task_id is too long",
        "image already exists",
        "effect_scene is not supported",
        "",
    ],
)
def test_other_rejections_are_no_used_id(words: str) -> None:
    assert outcome_of(InvalidRequestError(words, code=1201)) is SubmitOutcome.REJECTED


@pytest.mark.parametrize(
    ("external_task_id", "outcome"),
    [
        ("external_task_id-exists", SubmitOutcome.REJECTED),
        ("order-42", SubmitOutcome.DUPLICATE),
        ("", SubmitOutcome.DUPLICATE),
    ],
)
def test_the_id_itself_is_none_of_the_words(external_task_id: str, outcome: SubmitOutcome) -> None:
    error = InvalidRequestError("no such image: external_task_id-exists", code=1201)
    assert outcome_of(error, external_task_id=external_task_id) is outcome


CODES = {
    (429, 1303): SubmitOutcome.NOT_ACCEPTED,
    (429, 1302): SubmitOutcome.NOT_ACCEPTED,
    (429, None): SubmitOutcome.NOT_ACCEPTED,
    (429, 1102): SubmitOutcome.REJECTED,
    (401, 1000): SubmitOutcome.REJECTED,
    (401, 1003): SubmitOutcome.NOT_ACCEPTED,
    (403, None): SubmitOutcome.REJECTED,
    (400, 1201): SubmitOutcome.REJECTED,
    (400, 1301): SubmitOutcome.REJECTED,
    (404, None): SubmitOutcome.REJECTED,
    (500, 5000): SubmitOutcome.UNCERTAIN,
    (503, 5001): SubmitOutcome.UNCERTAIN,
    (504, 5002): SubmitOutcome.UNCERTAIN,
    (408, None): SubmitOutcome.UNCERTAIN,
    (502, None): SubmitOutcome.UNCERTAIN,
    (200, 9999): SubmitOutcome.UNCERTAIN,
}


@pytest.mark.parametrize(("status", "code"), CODES)
def test_every_documented_answer_has_its_outcome(status: int, code: int | None) -> None:
    """Faults 9, 11, 12: by code; uncertain unless the code says "not accepted"."""
    verdict = verdict_of(status, code, "no", about_task=False)
    error = verdict.error(
        "no", retryable=verdict.retryable, may_be_accepted=verdict.may_be_accepted
    )
    assert outcome_of(error) is CODES[status, code]
