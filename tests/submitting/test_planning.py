"""An effect as a job and back, and what makes two jobs the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kling_effects_async import DualImageEffect, SingleImageEffect, derived_id
from kling_effects_async.effects import Effect, ImageSource
from kling_effects_async.images.checks import image_hash
from kling_effects_async.journal.job import Job, JobState
from kling_effects_async.submitting.planning import effect_of, image_hashes_of, make_job

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SQUISH = SingleImageEffect("squish", image="https://img.example/a.jpg")
HUG = DualImageEffect("hug", left="https://img.example/a.jpg", right="https://img.example/b.jpg")


def plan(effect: Effect, *hashes: str, **options: Any) -> Job:
    return make_job(
        effect,
        account="mine",
        external_task_id="order-42",
        image_hashes=hashes or [image_hash(image) for image in effect.images],
        now=NOW,
        **options,
    )


WORDS = st.text(min_size=1, max_size=20).filter(str.strip)
NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)
IMAGES = st.one_of(
    NAMES.map(lambda name: "https://img.example/" + quote(name)),
    NAMES.map(lambda name: Path("/photos") / name),
)
CONTENT = st.binary(min_size=1, max_size=20)
MAYBE = st.none() | WORDS
SECONDS = st.none() | st.integers(1, 60)


def effects(images: st.SearchStrategy[ImageSource]) -> st.SearchStrategy[Effect]:
    options = {"model_name": MAYBE, "duration_s": SECONDS}
    return st.one_of(
        st.builds(SingleImageEffect, WORDS, image=images, **options),
        st.builds(DualImageEffect, WORDS, left=images, right=images, mode=MAYBE, **options),
    )


EFFECTS = effects(IMAGES)
READABLE = effects(CONTENT)  # without a file


@given(EFFECTS)
def test_an_effect_comes_back_from_its_job_as_it_was(effect: Effect) -> None:
    job = plan(effect, *["0" * 64] * len(effect.images))
    assert effect_of(job) == effect
    assert image_hashes_of(job) == ["0" * 64] * len(effect.images)


@given(EFFECTS, EFFECTS)
def test_two_effects_have_one_fingerprint_only_if_they_make_the_same_clip(
    one: Effect, other: Effect
) -> None:
    def clip(effect: Effect) -> object:
        options = [effect.model_name, effect.duration_s, getattr(effect, "mode", None)]
        return effect.scene, options, [str(image) for image in effect.images]

    prints = [plan(effect, *map(str, effect.images)).fingerprint for effect in (one, other)]
    assert (prints[0] == prints[1]) is (clip(one) == clip(other))


CHANGES: dict[str, dict[str, Any]] = {
    "scene": {"scene": "kiss"},
    "image": {"left": "https://img.example/c.jpg"},
    "order of the images": {"left": HUG.right, "right": HUG.left},
    "model_name": {"model_name": "kling-v1-6"},
    "mode": {"mode": "pro"},
    "duration_s": {"duration_s": 10},
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_clip_changes_the_fingerprint(change: str) -> None:
    assert plan(evolve(HUG, **CHANGES[change])).fingerprint != plan(HUG).fingerprint


def test_the_same_content_under_another_file_name_is_the_same_job(
    cat: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "another name.jpg"
    copy.write_bytes(cat.read_bytes())
    plans = [plan(SingleImageEffect("squish", image=image)) for image in (cat, copy)]
    assert plans[0].fingerprint == plans[1].fingerprint
    assert plans[0].effect != plans[1].effect


def test_other_content_under_the_same_file_name_is_another_job(
    cat: Path, coffee: Path, tmp_path: Path
) -> None:
    image = tmp_path / "a.jpg"
    prints = set()
    for photo in (cat, coffee):
        image.write_bytes(photo.read_bytes())
        prints.add(plan(SingleImageEffect("squish", image=image)).fingerprint)
    assert len(prints) == 2


@given(READABLE, st.none() | WORDS)
def test_a_derived_id_is_the_one_that_a_run_gives(effect: Effect, salt: str | None) -> None:
    hashes = [image_hash(image) for image in effect.images]
    job = make_job(
        effect, account="mine", external_task_id=None, image_hashes=hashes, now=NOW, run=salt
    )
    assert derived_id(effect, salt=salt) == job.external_task_id


def test_the_same_content_under_another_file_name_has_the_same_derived_id(
    cat: Path, coffee: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "another name.jpg"
    copy.write_bytes(cat.read_bytes())
    one, same, other = (
        derived_id(SingleImageEffect("squish", image=image)) for image in (cat, copy, coffee)
    )
    assert one == same != other


@pytest.mark.parametrize("change", ["scene", "image", "order of the images", "mode", "duration_s"])
def test_whatever_changes_the_clip_changes_the_derived_id(change: str) -> None:
    assert derived_id(evolve(HUG, **CHANGES[change])) != derived_id(HUG)


def test_a_salt_makes_the_same_effect_another_job() -> None:
    ids = {derived_id(HUG, salt=salt) for salt in (None, "", "order-1", "order-2")}
    assert len(ids) == 4


def test_bytes_and_a_file_of_the_same_content_are_the_same_job(cat: Path) -> None:
    images = (cat, cat.read_bytes())
    prints = {plan(SingleImageEffect("squish", image=image)).fingerprint for image in images}
    assert len(prints) == 1


def test_what_is_not_part_of_the_clip_does_not_change_the_fingerprint() -> None:
    options = {"callback_url": "https://me.example/", "run": "monday", "download_to": "/clips"}
    assert plan(SQUISH, **options).fingerprint == plan(SQUISH).fingerprint


@pytest.mark.parametrize(
    "effect",
    [
        SingleImageEffect("squish", image=b"\xff\xd8"),
        DualImageEffect("hug", left=b"\xff\xd8", right="https://img.example/b.jpg"),
        DualImageEffect("hug", left="https://img.example/b.jpg", right=b"\xff\xd8"),
    ],
)
def test_an_effect_with_an_image_in_bytes_does_not_come_back(effect: Effect) -> None:
    assert effect_of(plan(effect)) is None


def test_a_relative_path_comes_back_absolute(cat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may resume from another folder."""
    monkeypatch.chdir(cat.parent)
    effect = effect_of(plan(SingleImageEffect("squish", image=Path("cat.jpg"))))
    assert effect == SingleImageEffect("squish", image=cat)


def test_a_new_job_is_planned_and_free() -> None:
    job = plan(SQUISH)
    assert (job.state, job.task_id, job.is_paid) == (JobState.PLANNED, None, False)
    assert job.created_at == job.updated_at == NOW


def test_a_job_shows_no_address_in_its_repr() -> None:
    """Fault 67: an address may hold a signature."""
    signed = SingleImageEffect("squish", image="https://img.example/a.jpg?sign=secret")
    assert "secret" not in repr(plan(signed, callback_url="https://me.example/?token=secret"))
