"""``kling-effects scenes``: the catalogue, searched and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kling_effects_async import Scene, catalogue
from kling_effects_async.scenes import find_scene, folded, similar_scenes
from tests.support.command_line import kling


def ids(folder: Path, *arguments: str) -> list[str]:
    return [
        row["scene"] for row in json.loads(kling("scenes", "--json", *arguments, folder=folder).out)
    ]


def test_the_six_scenes_of_the_gateways_page_come_first_though_two_have_ended(
    tmp_path: Path,
) -> None:
    lines = kling("scenes", folder=tmp_path).out.splitlines()
    assert [line.split()[0] for line in lines[1:7]] == list(Scene)
    assert "ended on 2026-01-30" in next(line for line in lines if line.startswith("hug "))


@pytest.mark.parametrize("words", [["拥抱"], ["HUG"], ["hu", "G"]])
def test_scenes_are_found_by_id_and_by_either_name(words: list[str], tmp_path: Path) -> None:
    assert ids(tmp_path, *words)[0] == "hug"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Squish", "squish"),
        ("heart-gesture", "heart_gesture"),
        ("Heart Gesture", "heart_gesture"),
        (" heart__gesture ", "heart_gesture"),
        ("heartgesture", "heart_gesture"),
        ("ｓｑｕｉｓｈ", "squish"),
        ("let’s_ride", "let's_ride"),
        ("Lets Ride", "let's_ride"),
        ("squich", None),
        ("", None),
        ("---", None),
    ],
)
def test_a_scene_is_meant_however_it_is_typed(typed: str, meant: str | None) -> None:
    assert find_scene(typed) == meant


def test_folding_keeps_every_known_scene_apart_and_finds_it() -> None:
    assert len({folded(scene) for scene in catalogue()}) == len(catalogue())
    assert all(find_scene(scene.upper()) == scene for scene in catalogue())


def test_a_near_name_is_suggested_whatever_its_case() -> None:
    assert similar_scenes("SQUICH")[0] == "squish"
    assert "heart_gesture" in similar_scenes("Hart Gesture")


@pytest.mark.parametrize("words", ["let’s", "LET'S_RIDE", "Ｌets ride"])
def test_a_search_folds_names_as_a_run_does(words: str, tmp_path: Path) -> None:
    assert "let's_ride" in ids(tmp_path, "--all", words)


def test_every_word_of_a_search_must_be_there(tmp_path: Path) -> None:
    found = ids(tmp_path, "pet", "dance")
    assert "pet_dance" in found
    assert all("pet" in scene and "dance" in scene for scene in found)


def test_scenes_are_filtered_by_how_many_images_they_take(tmp_path: Path) -> None:
    found = ids(tmp_path, "--images", "2")
    assert {"hug", "kiss", "heart_gesture"} <= set(found)
    assert {catalogue()[scene].images for scene in found} == {2}


def test_ended_scenes_are_hidden_but_counted_until_all_are_asked_for(tmp_path: Path) -> None:
    ended = kling("scenes", folder=tmp_path)
    hidden = len(catalogue()) - (len(ended.out.splitlines()) - 1)
    assert f"{hidden} more have ended" in ended.err
    assert set(ids(tmp_path, "--all")) == set(catalogue())


def test_a_search_that_finds_nothing_names_what_is_like_it(tmp_path: Path) -> None:
    ended = kling("scenes", "squich", folder=tmp_path)
    assert (ended.code, ended.out) == (0, "")
    assert "squish" in ended.err


def test_piped_lines_are_whole_utf8_and_end_where_their_text_ends(tmp_path: Path) -> None:
    out = kling("scenes", "--all", folder=tmp_path, COLUMNS="20").out
    assert "捏捏乐" in out
    assert all(line == line.rstrip() for line in out.splitlines())
    assert "…" not in out
