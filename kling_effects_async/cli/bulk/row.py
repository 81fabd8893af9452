"""One row of a bulk run: an effect, where it was written, and what a run does to its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import Factory, evolve, field, frozen

import kling_effects_async as kling
from kling_effects_async.bulk_item import BulkItem
from kling_effects_async.cli.bulk.problems import Problem
from kling_effects_async.clip_names import stem_of
from kling_effects_async.effects import ImageSource

__all__ = ["Flawed", "Row", "prepared"]


@frozen(kw_only=True)
class Row(BulkItem):
    """An item of a bulk run that knows where it comes from.

    Attributes:
        where: for people: "photos.csv:17", or the path or the address (without its signature).
        line: in the manifest or the list, from 1; ``None`` where there is none.
        has_columns: it comes from a table, so that a message can name its column.
        image_texts: the images as they are written there; addresses with their signatures.
        sources: the images as they were given, also after ``prepared``.
        is_to_prepare: the images are to be converted before they are sent, by ``prepared``.
        changes: what ``prepared`` has done to them, as sentences.
        number: its place in the run, from 1; 0 before the run has drawn it.
    """

    where: str
    line: int | None = None
    has_columns: bool = False
    image_texts: tuple[str, ...] = field(default=(), repr=False)
    sources: tuple[ImageSource, ...] = field(
        default=Factory(lambda row: row.effect.images, takes_self=True), repr=False
    )
    is_to_prepare: bool = False
    changes: tuple[str, ...] = ()
    number: int = 0


@frozen
class Flawed:
    """A row that cannot be sent.

    Attributes:
        problems: what is wrong with it; at least one.
        row: the row without its wrong values, so that the others are checked as well; ``None``
            where its images or its scene are wrong.
    """

    problems: tuple[Problem, ...]
    row: Row | None


def prepared(row: Row) -> Row:
    """The row with each image that Kling would reject converted, as ``kling.prepare`` does. Blocks.

    A row that is not to be prepared comes back as it is, and so does an image that needs nothing.

    Raises:
        ImageRejectedError: it cannot be converted; says why.
        ImageUnreadableError: this machine cannot read the file now; try again.
    """
    if not row.is_to_prepare:
        return row
    effect, changes = row.effect, list[str]()
    images: dict[str, Any] = {}
    names = ("image",) if isinstance(effect, kling.SingleImageEffect) else ("left", "right")
    for name, image in zip(names, effect.images, strict=True):
        images[name], done = _converted(image)
        changes += done
    return evolve(
        row,
        effect=evolve(effect, **images),
        # What is converted is bytes, which have no name.
        stem=stem_of(effect, row.external_task_id or ""),
        is_to_prepare=False,
        changes=tuple(changes),
    )


def _converted(image: ImageSource) -> tuple[ImageSource, tuple[str, ...]]:
    if not isinstance(image, Path):
        return image, ()
    copy = kling.prepare(image)
    return (copy.content, copy.changes) if copy.changes else (image, ())
