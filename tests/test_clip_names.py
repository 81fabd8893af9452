"""File names of clips, made from what they show."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async import BulkItem, DualImageEffect, SettingsError, SingleImageEffect
from kling_effects_async.clip_names import (
    NameTemplate,
    clip_key,
    clip_name,
    numbered,
    stem_of,
)
from kling_effects_async.downloading.file_names import clip_file_name
from kling_effects_async.effects import Effect

CAT = SingleImageEffect("squish", image=Path("photos/cat.jpg"))
HUG = DualImageEffect("hug", left=Path("ann.png"), right="https://img.example/a/ben.png?sig=1#x")
SIDE = ".part.json"  # the longest that is put behind a name
ANY_FIELDS = "{stem}-{scene}-{external_task_id}-{task_id}-{index}"


def name_of(effect: Effect, template: str = "{stem}-{scene}", index: int = 1) -> str:
    return NameTemplate.read(template).clip_name(effect, external_task_id="keb-1", index=index)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{stem}-{scene}", "cat-squish.mp4"),
        ("{stem}-{scene}.mp4", "cat-squish.mp4"),
        ("{index:04} {stem}", "0007 cat.mp4"),
        ("{index}", "7.mp4"),
        ("{external_task_id}", "keb-1.mp4"),
        ("{stem}{{1}}", "cat{1}.mp4"),
        ("{scene}: {stem}?", "squish_ cat_.mp4"),
        ("{stem}-{task_id}", "cat-<task_id>.mp4"),
        ("clip", "clip.mp4"),
    ],
)
def test_a_template_is_filled_in(template: str, name: str) -> None:
    assert name_of(CAT, template, index=7) == name


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("", "must not be empty"),
        ("   ", "is no name"),
        ("..", "is no name"),
        (".mp4", "is no name"),
        ("{stem}/{scene}", "names a folder"),
        ("..\\{stem}", "names a folder"),
        ("{stem}\n", "plain text"),
        ("{stem}\x00", "plain text"),
        ("{stem}\ud800", "plain text"),
        ("{stam}", r"unknown field \{stam\}.*\{stem\}, \{scene\}"),
        ("{}", r"unknown field \{\}"),
        ("{stem.real}", "unknown field"),
        ("{stem[0]}", "unknown field"),
        ("{stem!r}", "only {index} takes a width"),
        ("{stem:20}", "only {index} takes a width"),
        ("{index:999999999}", "only {index} takes a width"),
        ("{stem", "cannot be read"),
        ("stem}", "cannot be read"),
        ("{task_id}{task_id}", "twice"),
        ("x" * 201, "201 bytes"),
        ("ü" * 101, "202 bytes"),
    ],
)
def test_a_template_that_can_name_no_clip_is_rejected(template: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        NameTemplate.read(template)


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "a\\b", "a\x00", "a\nb", "x" * 201, ".mp4"])
def test_a_name_of_an_item_that_no_file_can_have_is_rejected(name: str) -> None:
    with pytest.raises(SettingsError, match=r"^name "):
        BulkItem(CAT, name=name)


def test_the_name_of_an_item_has_no_fields() -> None:
    assert clip_name(str(BulkItem(CAT, name="{stem} <task_id>").name)) == "{stem} _task_id_.mp4"


@pytest.mark.parametrize(
    ("effect", "stem"),
    [
        (CAT, "cat"),
        (HUG, "ann-ben"),
        (SingleImageEffect("squish", image="https://img.example/a%20b/c%20d.jpeg?e=f.g"), "c d"),
        (SingleImageEffect("squish", image="https://img.example/x%2Fy.jpg"), "x_y"),
        (SingleImageEffect("squish", image="https://img.example/"), "keb-1"),
        (SingleImageEffect("squish", image="https://img.example"), "keb-1"),
        (SingleImageEffect("squish", image=b"\xff\xd8"), "keb-1"),
        (DualImageEffect("hug", left=b"\xff", right=b"\xd8"), "keb-1"),
        (DualImageEffect("hug", left=b"\xff", right=Path("ben.jpg")), "keb-1-ben"),
        (SingleImageEffect("squish", image=Path("holiday.old.jpg")), "holiday.old"),
    ],
)
def test_a_stem_is_what_the_source_is_called(effect: Effect, stem: str) -> None:
    assert stem_of(effect, "keb-1") == stem


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("con", "_con.mp4"),
        ("COM1.x", "_COM1.x.mp4"),
        ("nul ", "_nul.mp4"),
        ("lpt²", "_lpt².mp4"),
        ("console", "console.mp4"),
        ("-rf", "_-rf.mp4"),
        (".hidden", "hidden.mp4"),
        ("cat. . ", "cat.mp4"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j.mp4"),
        ("\ud83d", "_.mp4"),
        ("cafe\u0301", "café.mp4"),
        ("cat.MP4", "cat.mp4"),
    ],
)
def test_a_name_is_one_that_every_system_takes(text: str, name: str) -> None:
    """Fault 54: a name that Windows keeps for a device, or that no file system takes."""
    assert clip_name(text) == name


STEMS = st.text(st.characters(exclude_characters="/\x00"), min_size=1, max_size=300)


@given(STEMS, st.sampled_from([ANY_FIELDS, "{stem}", "{stem}{task_id}{stem}", "{task_id} {stem}"]))
def test_whatever_a_file_is_called_its_clip_has_a_short_harmless_name(
    stem: str, template: str
) -> None:
    """Faults 54, 55: a name that is too long, or leads out of the folder."""
    effect = SingleImageEffect("squish" * 50, image=Path(f"{stem}.jpg"))
    name = clip_file_name(name_of(effect, template, index=10**6), "T" * 200)
    longest = numbered(name, 10**6) + SIDE
    assert len(longest.encode("utf-8")) <= 255
    assert not set(name) & set('<>:"/\\|?*\x00\n\r')
    assert name == name.strip(" .")
    assert name[0] not in ".-"


def test_names_that_some_file_system_takes_for_one_have_one_key() -> None:
    """Fault 54: case clash."""
    same = ["Café.mp4", "CAFÉ.mp4", "cafe\u0301.mp4"]
    assert len(set(map(clip_key, same))) == 1
    assert clip_key("cat.mp4") != clip_key("cat-2.mp4")
    assert clip_key("cat-<task_id>.mp4") is None


def test_a_file_is_named_by_its_tasks_id_where_the_job_has_no_name() -> None:
    assert clip_file_name(None, "t1") == "t1.mp4"
    assert clip_file_name("cat.mp4", "t1") == "cat.mp4"
    assert clip_file_name("cat-<task_id>.mp4", "t1") == "cat-t1.mp4"
    assert "/" not in clip_file_name("cat-<task_id>.mp4", "../t1")
