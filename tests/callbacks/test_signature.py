"""Which callbacks are surely the service's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from kling_effects_async import CallbackVerdict, SettingsError
from kling_effects_async.callbacks.signature import Secrets, webhook_id
from tests.support.callbacks import OTHER_SECRET, SECRET, signed

# The test vector of Kling's callbacks page, 2026-09.
BODY = (
    b'{"id":"1234567890","status":"succeeded","message":"",'
    b'"create_time":1781080778802,"update_time":1781080794151}'
)
AT = datetime.fromtimestamp(1781080794, UTC)
HEADERS = {
    "webhook-id": "9876543210",
    "webhook-timestamp": "1781080794",
    "webhook-signature": "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4=",
}
SIGNED, UNSIGNED = CallbackVerdict.SIGNED, CallbackVerdict.UNSIGNED
WRONG, STALE = CallbackVerdict.WRONG, CallbackVerdict.STALE


def judged(
    headers: dict[str, str] = HEADERS,
    body: bytes = BODY,
    at: datetime = AT,
    secrets: tuple[str, ...] = (SECRET,),
) -> CallbackVerdict:
    return Secrets.of(secrets).judge(headers, body, at)


def test_the_documented_vector_is_signed() -> None:
    assert judged() is SIGNED
    assert judged({name.title(): value for name, value in HEADERS.items()}) is SIGNED


def test_what_another_implementation_signs_is_signed() -> None:
    mark = Webhook(SECRET).sign("msg_1", AT, BODY.decode())
    assert judged({**HEADERS, "webhook-id": "msg_1", "webhook-signature": mark}) is SIGNED


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_clock_may_be_five_minutes_off(seconds: int) -> None:
    assert judged(at=AT + timedelta(seconds=seconds)) is SIGNED


@pytest.mark.parametrize("seconds", [-301, 301, 86400])
def test_an_old_message_that_is_sent_again_is_stale(seconds: int) -> None:
    """Fault 59: somebody recorded a real one."""
    assert judged(at=AT + timedelta(seconds=seconds)) is STALE


def test_while_secrets_rotate_either_signs() -> None:
    for secrets in ((SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET)):
        assert judged(secrets=secrets) is SIGNED
    old = signed(BODY, secret=OTHER_SECRET, at=AT)["webhook-signature"]
    both = f"v1,AAAA v1a,xyz {old} {HEADERS['webhook-signature']}"
    assert judged({**HEADERS, "webhook-signature": both}) is SIGNED
    assert judged(secrets=(OTHER_SECRET,)) is WRONG


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "9876543211"},
        {"webhook-id": "9876543210 "},
        {"webhook-timestamp": "1781080795"},
        {"webhook-timestamp": "1781080794.0"},
        {"webhook-timestamp": "01781080794"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": "9" * 11},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "\u0661"},
        {"webhook-timestamp": "nan"},
        {"webhook-signature": "UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="},
        {"webhook-signature": "v2,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="},
        {"webhook-signature": "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ5="},
        {"webhook-signature": "v1,UsKlJP00"},
        {"webhook-signature": "v1"},
        {"webhook-signature": ",,,"},
        {"webhook-signature": "="},
        {"webhook-signature": "v1,\udc80"},
        {"webhook-signature": f"{HEADERS['webhook-signature']} " * 100},
    ],
    ids=str,
)
def test_any_change_of_a_header_makes_the_signature_wrong(change: dict[str, str]) -> None:
    """Fault 59: forged headers raise nothing either."""
    assert judged({**HEADERS, **change}) is WRONG


@pytest.mark.parametrize("body", [BODY + b" ", BODY.replace(b"0", b"1", 1), b"", b"\xff\xfe"])
def test_any_change_of_the_body_makes_the_signature_wrong(body: bytes) -> None:
    """Fault 59: a forged body."""
    assert judged(body=body) is WRONG


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp"])
def test_a_signature_alone_is_wrong(missing: str) -> None:
    assert judged({name: text for name, text in HEADERS.items() if name != missing}) is WRONG


def test_without_a_signature_or_a_secret_it_is_unsigned() -> None:
    assert judged({}) is UNSIGNED
    assert judged({"webhook-id": "1", "webhook-timestamp": "1781080794"}) is UNSIGNED
    assert judged(secrets=()) is UNSIGNED


TEXTS = st.text(max_size=60) | st.text(alphabet="v1,= \udc80\x00+/aA9", max_size=60)


@given(
    headers=st.dictionaries(st.sampled_from(sorted(HEADERS)), TEXTS),
    body=st.binary(max_size=200),
)
def test_whatever_is_forged_is_judged_and_nothing_raises(
    headers: dict[str, str], body: bytes
) -> None:
    """Fault 59: the package behind this raises five kinds of errors for such input."""
    assert judged({**HEADERS, **headers}, body) in {WRONG, UNSIGNED} | (
        {SIGNED} if body == BODY else set()
    )


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_!!!!", "whsec_c2VjcmV0", "whsec_=", "a b", "whsec_A", "\udc80"]
)
def test_what_cannot_be_a_secret_is_rejected_and_not_repeated(secret: str) -> None:
    with pytest.raises(SettingsError, match="secret 2 is") as caught:
        Secrets.of([SECRET, secret])
    assert "copy it whole" in str(caught.value)
    assert secret.removeprefix("whsec_") in ("", "=", "A", "a b") or secret not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_one_secret_instead_of_a_list_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="several texts") as caught:
        Secrets.of(SECRET)
    assert SECRET not in str(caught.value)


def test_secrets_are_in_no_repr() -> None:
    shown = repr(Secrets.of([SECRET]))
    assert SECRET.removeprefix("whsec_")[:8] not in shown


def test_the_id_of_a_message_is_its_header() -> None:
    assert webhook_id({"Webhook-Id": "msg_1"}) == "msg_1"
    assert webhook_id({}) is webhook_id({"webhook-id": "x" * 257}) is None
