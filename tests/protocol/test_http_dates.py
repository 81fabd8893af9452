"""What strangers write into headers and addresses never raises anything but our errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kling_effects_async import Video
from kling_effects_async.effects import image_label
from kling_effects_async.models import without_query
from kling_effects_async.protocol.http_dates import http_date
from kling_effects_async.protocol.messages import retry_after_seconds

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ODD_ADDRESSES = [
    "https://[oops/x.mp4?Signature=topsecret",
    "https://h:99999/x?Signature=topsecret",
    "https://\udc80/x?Signature=topsecret",
    "https://user:topsecret@[::1/x",
    "//[?topsecret",
    "https://\u2100.example/?Signature=topsecret",
    "",
]


@pytest.mark.parametrize(
    "text",
    [
        "Tue, 24 Nov 2026 12:00:00 GMT",
        "Tuesday, 24-Nov-26 12:00:00 GMT",
        "Tue Nov 24 12:00:00 2026",
        "Tue, 24 Nov 2026 12:00:00 -0000",
        "Tue, 24 Nov 2026 13:00:00 +0100",
        "Tue, 24 Nov 2026 12:00:00",
    ],
)
def test_every_form_of_an_http_date_is_read_as_utc(text: str) -> None:
    """Fault 80: RFC 9110 knows three forms, and clocks without a zone write two more."""
    moment = http_date(text)
    assert moment == NOON
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "Tue, 25 Nov 9999999999 12:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2300",
        "Tue, 25 Nov 2026 12:00:00 +99999999999",
        "Tue, 99 Nov 2026 12:00:00 GMT",
    ],
)
def test_a_date_that_cannot_be_counted_with_is_none(text: str) -> None:
    """Fault 80."""
    assert http_date(text) is None


_PIECES = ["Tue,", "24", "Nov", "2026", "12:00:00", "GMT", "-0000", "+2500", "9" * 30, "-", ":"]
_DATES = st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=9).map(" ".join)


@given(_DATES | st.text())
def test_any_text_is_an_aware_date_or_none(text: str) -> None:
    """Fault 80."""
    moment = http_date(text)
    assert moment is None or moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("1000000000", 1e9),
        ("Tue, 24 Nov 2026 12:00:07 GMT", 7.0),
        ("Tue, 24 Nov 2026 12:00:07 -0000", 7.0),
        ("Tue Nov 24 12:00:07 2026", 7.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1e3", None),
        ("1_000", None),
        ("inf", None),
        ("nan", None),
        ("\u0667", None),
        ("9" * 400, None),
        ("Tue, 25 Nov 9999999999 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_from_now_or_nothing(
    header: str | None, seconds: float | None
) -> None:
    """Faults 14 and 80."""
    assert retry_after_seconds(header, NOON) == seconds


@given(_DATES | st.text() | st.floats().map(str) | st.integers().map(str))
@example("\udc80")
def test_any_retry_after_is_a_pause_that_can_be_kept_or_none(header: str) -> None:
    """Faults 14 and 80."""
    seconds = retry_after_seconds(header, NOON)
    assert seconds is None or 0 <= seconds < float("inf")


@pytest.mark.parametrize("address", ODD_ADDRESSES)
def test_a_malformed_address_can_be_shown_and_its_secret_cannot(address: str) -> None:
    """Fault 80: printing a result must not fail for what a service wrote into it."""
    video = Video(url=address, watermark_url=address)
    assert "topsecret" not in repr(video) + image_label(address)


@given(
    st.text(), st.sampled_from(["", "https://", "https://[", "//", "https://user@", "https://h:"])
)
def test_any_text_can_be_shown_without_its_query(text: str, start: str) -> None:
    """Fault 80."""
    assert without_query(start + text).startswith(("'", '"'))
