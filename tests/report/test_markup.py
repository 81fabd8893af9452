"""Texts and figures of the page."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.report.markup import amount, linked, name, seconds, shown, text
from tests.support.reports import ReadPage


@pytest.mark.parametrize(
    ("duration_s", "figures"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (252, "4 min 12 s"),
        (3_600, "1 h"),
        (4_650, "1 h 17 min"),
        (86_400 * 2 + 3_600 * 3 + 59, "2 d 3 h"),
    ],
)
def test_a_duration_has_two_figures_at_most(duration_s: float, figures: str) -> None:
    assert seconds(duration_s) == figures


@pytest.mark.parametrize(
    ("units", "figures"),
    [("94.50", "94.5"), ("0", "0"), ("1E+2", "100"), ("12345.678", "12,345.678"), ("0.00", "0")],
)
def test_an_amount_has_no_exponent_and_no_zeros_at_its_end(units: str, figures: str) -> None:
    assert amount(Decimal(units)) == figures


@pytest.mark.parametrize("clip", ["cat.mp4", "clips/cat%20squish.mp4", "../clips/%D7%97.mp4"])
def test_a_relative_address_is_linked(clip: str) -> None:
    assert linked(clip) == clip


@pytest.mark.parametrize(
    "clip",
    [
        "",
        "https://cdn.example/cat.mp4?sign=S3CRET",
        "https://cdn.example/cat.mp4",
        "//cdn.example/cat.mp4",
        "cat.mp4?sign=S3CRET",
        "cat.mp4#t=1",
        "javascript:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "\\\\host\\share\\cat.mp4",
        "//[cat.mp4",
    ],
)
def test_nothing_but_a_plain_relative_address_is_linked(clip: str) -> None:
    assert linked(clip) is None


@given(st.text(alphabet=st.characters(), max_size=80))
def test_any_text_is_one_text_for_a_parser_of_html(anything: str) -> None:
    read = ReadPage(f'<p title="{text(anything)}">{text(anything)}</p>')
    assert [tag for tag, _attributes in read.tags] == ["p"]
    (paragraph,) = read.all("p")
    assert paragraph["title"] == "".join(read.texts)
    text(anything).encode("utf-8")  # half characters of undecodable names are gone


def test_what_looks_like_a_secret_is_cut_out_of_a_name_and_not_of_an_id() -> None:
    """Fault 67: no signature of an address, and no key that a service repeated."""
    assert "S3CRET" not in name("https://cdn.example/cat.jpg?X-Amz-Signature=S3CRET")
    assert "S3CRET" not in shown("Bearer S3CRETS3CRET was rejected")
    assert text("sign=5") == "sign=5"


def test_a_very_long_text_is_cut() -> None:
    assert len(shown("a" * 100_000)) == 2_000
