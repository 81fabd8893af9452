"""File names made of task ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async.downloading.downloader import safe_name


@pytest.mark.parametrize("task_id", ["abc", "cm-1_2", "736478361293"])
def test_a_plain_id_is_its_own_name(task_id: str) -> None:
    assert safe_name(task_id) == f"{task_id}.mp4"


@pytest.mark.parametrize(
    ("task_id", "start"),
    [
        ("../../etc/passwd", "%2E%2E%2F%2E%2E%2Fetc"),
        ("/absolute", "%2F"),
        ("a\\b", "a%5Cb"),
        ("nul\0byte", "nul%00"),
        (".hidden", "%2Ehidden"),
        ("-rf", "_-rf"),
        ("con", "_con."),
        ("COM1", "_COM1."),
        ("", "_."),
        ("x" * 500, "x" * 100 + "."),
    ],
)
def test_an_id_that_could_be_misread_is_spelt_out(task_id: str, start: str) -> None:
    """Faults 54 and 55."""
    assert safe_name(task_id).startswith(start)


@given(st.text(max_size=200))
def test_every_id_becomes_a_short_name_of_harmless_letters(task_id: str) -> None:
    """Faults 54 and 55."""
    name = safe_name(task_id)
    assert len(name) <= 120
    assert set(name.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-%.")
    assert name[0] not in ".-"


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("cat-1", "Cat-1"), ("é", "É")])
def test_ids_that_differ_by_case_alone_have_names_that_do_not(one: str, other: str) -> None:
    """Fault 54: on macOS and Windows they would be one file."""
    assert safe_name(one).casefold() != safe_name(other).casefold()


@given(st.text("aAbB.-_~%/", max_size=4), st.text("aAbB.-_~%/", max_size=4))
def test_two_ids_never_share_a_name_where_case_is_ignored(one: str, other: str) -> None:
    """Fault 54."""
    if one != other:
        assert safe_name(one).casefold() != safe_name(other).casefold()
