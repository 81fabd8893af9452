"""From the values of a record to a row, by the rules of the library. Pure: no file is looked at."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path

from attrs import field, frozen

import kling_effects_async as kling
from kling_effects_async.arguments import check_name, check_share
from kling_effects_async.cli.bulk.problems import Problem
from kling_effects_async.cli.bulk.row import Flawed, Row
from kling_effects_async.clip_names import check_clip_name
from kling_effects_async.protocol.requests import build_submit, check_external_task_id
from kling_effects_async.scenes import find_scene
from kling_effects_async.web_address import address_label, address_problem, tidied

__all__ = ["Defaults", "Place", "RowMaker", "image_label_of", "is_address"]

_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# Excel may write 5 as 5.0, and people write 5s.
_DURATION = re.compile(r"([0-9]{1,6})(?:\.0*)?\s*s?")
_NO_SCENE = "it names no scene: fill the column scene, or name one on the command line."
_NEEDED = ("scene", "image")
_SHOWN = 60  # of a value in a message
_IMAGES = ("image", "left", "right")
_THE_IMAGE = "column image: "  # not said of a list, which has no columns
_STANDS_FOR_AN_IMAGE = "https://image.example/"
_CHECKED_OPTIONS = 4096  # combinations of scene and options; few files have more than ten


@frozen(kw_only=True)
class Defaults:
    """What a row is where it says nothing itself.

    Attributes:
        scene: ``None``: each row must name its own.
        model_name, mode, duration_s: as in an effect; ``mode`` is for rows with two images.
        is_to_prepare: images are converted before they are sent.
        service: what it takes is checked; ``None``: only what no service takes is rejected.
    """

    scene: str | None = None
    model_name: str | None = None
    mode: str | None = None
    duration_s: int | None = None
    share: str | None = None
    is_to_prepare: bool = False
    service: kling.Service | None = None


@frozen
class Place:
    """Where a record was read.

    Attributes:
        where: as it is shown.
        line: see ``Row``.
        folder: paths are relative to it.
        has_columns: see ``Row``.
    """

    where: str
    line: int | None
    folder: Path
    has_columns: bool = False


def is_address(text: str) -> bool:
    """Whether this text for an image is an address, and no path."""
    return _ADDRESS.match(text) is not None


def image_label_of(text: str) -> str:
    """An image's text in a message: short, and an address without its signature."""
    label = address_label(text) if is_address(text) else text
    return label if len(label) <= _SHOWN else f"{label[:_SHOWN]}..."


@frozen
class RowMaker:
    """Makes rows with the same defaults."""

    defaults: Defaults
    _options_problem: Callable[..., str | None] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        # Rows have the same few options, and building a request for each would double the time.
        cached = lru_cache(_CHECKED_OPTIONS)(self._look_at_options)
        object.__setattr__(self, "_options_problem", cached)

    def make(self, values: Mapping[str, str], place: Place) -> Row | Flawed:
        """The row, or everything that is wrong with it.

        Args:
            values: by column, none of them empty.
        """
        problems = list(self._problems(values))
        if not problems:
            return self._row(values, place)
        wrong = {column for column, _text in problems}
        rest = {column: value for column, value in values.items() if column not in wrong}
        row = self._row(rest, place) if wrong.isdisjoint(_NEEDED) else None
        prefix = "" if place.has_columns else _THE_IMAGE
        return Flawed(
            tuple(Problem(place.where, text.removeprefix(prefix)) for _column, text in problems),
            row,
        )

    def _row(self, values: Mapping[str, str], place: Place) -> Row:
        texts = _image_texts(values)
        return Row(
            _effect(self._options(values), [_source(text, place.folder) for text in texts]),
            external_task_id=values.get("external_task_id"),
            share=values.get("share", self.defaults.share),
            name=values.get("name"),
            where=place.where,
            line=place.line,
            has_columns=place.has_columns,
            image_texts=tuple(texts),
            is_to_prepare=self.defaults.is_to_prepare,
        )

    def _options(self, values: Mapping[str, str]) -> tuple[str, str | None, str | None, int | None]:
        """Scene, model, mode and duration of a row without problems."""
        defaults, is_dual = self.defaults, "left" in values
        duration = values.get("duration_s")
        return (
            _scene(values, defaults) or "",
            values.get("model_name", defaults.model_name),
            values.get("mode", defaults.mode if is_dual else None),
            defaults.duration_s if duration is None else _seconds(duration),
        )

    def _problems(self, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """The column that is wrong, and a sentence about it."""
        scene = _scene(values, self.defaults)
        if scene is None:
            yield "scene", _NO_SCENE
        has_images = True
        for problem in _image_problems(values, scene):
            has_images = False
            yield "image", problem
        yield from _text_problems(values)
        if "duration_s" in values and _seconds(values["duration_s"]) is None:
            given = values["duration_s"][:_SHOWN]
            yield "duration_s", f"column duration_s: use whole seconds such as 5, not {given!r}."
        elif has_images and scene is not None:
            found = self._options_problem(*self._options(values), is_dual="left" in values)
            if found is not None:
                yield "options", f"{found}."

    def _look_at_options(
        self,
        scene: str,
        model_name: str | None,
        mode: str | None,
        duration_s: int | None,
        *,
        is_dual: bool,
    ) -> str | None:
        if mode is not None and not is_dual:
            return "column mode: it is for scenes with two images; leave it empty"
        options = (scene, model_name, mode, duration_s)
        try:
            effect = _effect(options, [_STANDS_FOR_AN_IMAGE] * (2 if is_dual else 1))
            if self.defaults.service is not None:
                build_submit(self.defaults.service, effect)
        except kling.EffectRejectedError as error:
            return str(error)
        return None


def _effect(
    options: tuple[str, str | None, str | None, int | None], images: list[Path | str]
) -> kling.Effect:
    scene, model_name, mode, duration_s = options
    if len(images) == 1:
        return kling.SingleImageEffect(
            scene, image=images[0], model_name=model_name, duration_s=duration_s
        )
    left, right = images
    return kling.DualImageEffect(
        scene, left=left, right=right, model_name=model_name, mode=mode, duration_s=duration_s
    )


def _scene(values: Mapping[str, str], defaults: Defaults) -> str | None:
    name = values.get("scene", defaults.scene)
    return None if name is None else _scene_named(name)


@lru_cache(maxsize=1024)
def _scene_named(name: str) -> str:
    return find_scene(name) or name  # an unknown one is sent as it is, with a warning


def _seconds(text: str) -> int | None:
    found = _DURATION.fullmatch(text)
    return int(found[1]) if found and int(found[1]) else None


def _image_texts(values: Mapping[str, str]) -> list[str]:
    return [values[column] for column in _IMAGES if column in values]


def _source(text: str, folder: Path) -> Path | str:
    return tidied(text) if is_address(text) else Path(folder, text)


def _image_problems(values: Mapping[str, str], scene: str | None) -> Iterator[str]:
    has_image, is_pair = "image" in values, "left" in values or "right" in values
    info = kling.catalogue().get(scene or "")
    if has_image and is_pair:
        yield "it has image, and left or right as well: use image alone, or left and right."
    elif info is not None and info.images == 2 and not ("left" in values and "right" in values):
        yield f"scene {scene} takes two images: fill the columns left and right."
    elif info is not None and info.images == 1 and not has_image:
        yield f"scene {scene} takes one image: fill the column image."
    elif is_pair and not ("left" in values and "right" in values):
        yield f"column {'right' if 'left' in values else 'left'}: it is empty; fill it."
    elif not has_image and not is_pair:
        yield "it has no image: fill the column image, or left and right."
    for column in _IMAGES:
        problem = _source_problem(values[column]) if column in values else None
        if problem is not None:
            yield f"column {column}: {image_label_of(values[column])}: {problem}"


def _source_problem(text: str) -> str | None:
    if is_address(text):
        if tidied(text).startswith("file:"):
            return "it is no path: leave out file://."
        return address_problem(tidied(text))
    if text[:5].lower() == "data:":
        return "it is a data: URL: save the picture to a file, and name that."
    return None if text.isascii() and "\0" not in text else _path_problem(text)


def _path_problem(text: str) -> str | None:
    try:
        is_name = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_name = False
    return None if is_name else "no file can have this name: correct it."


def _text_problems(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The values that are words, and wrong: the column, and a sentence."""
    for column, check in _CHECKS:
        if column in values:
            try:
                check(values[column])
            except (kling.EffectRejectedError, kling.SettingsError) as error:
                yield column, f"{error}."


# The library's own, so that what is accepted here is not rejected in the middle of a run.
_CHECKS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("scene", partial(check_name, "scene")),
    ("external_task_id", check_external_task_id),
    ("name", partial(check_clip_name, "name")),
    ("share", partial(check_share, "share")),
    ("model_name", partial(check_name, "model_name")),
)
