"""The columns of a manifest, by every name that people give them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import lru_cache

from kling_effects_async.scenes import folded

__all__ = [
    "COLUMNS",
    "IGNORED",
    "column_named",
    "header_problems",
    "is_header",
    "unknown_column",
]

COLUMNS = (
    "scene",
    "image",
    "left",
    "right",
    "external_task_id",
    "name",
    "share",
    "model_name",
    "mode",
    "duration_s",
)
# Written for people, by ``row_writer``; read as if they were not there.
IGNORED = ("reason", "advice", "error")

_ALIASES = {
    "scene": ("effect", "effect scene"),
    "image": ("picture", "photo", "file", "path", "url", "image url", "image path"),
    "left": ("left image", "image left"),
    "right": ("right image", "image right"),
    "external_task_id": ("external id", "id"),
    "name": ("clip name",),
    "model_name": ("model",),
    "duration_s": ("duration", "seconds"),
}
_NAMES = {
    **{folded(column): column for column in (*COLUMNS, *IGNORED)},
    **{folded(alias): column for column, aliases in _ALIASES.items() for alias in aliases},
}
# A word of some length, with letters and dots, is the name of a file and no heading.
_LONGEST_SHOWN = 40


@lru_cache(maxsize=1024)  # a JSONL file repeats its keys in every line
def column_named(text: str) -> str | None:
    """The column with this name, however it is written: "External ID" is ``external_task_id``."""
    return _NAMES.get(folded(text))


def unknown_column(text: str) -> str:
    """The sentence about a column that is not known, with the nearest one that is."""
    near = difflib.get_close_matches(folded(text), _NAMES, n=1)
    hint = f"did you mean {_NAMES[near[0]]}?" if near else f"the columns are {', '.join(COLUMNS)}."
    return f"there is no column {text[:_LONGEST_SHOWN]!r}: {hint}"


def is_header(cells: Sequence[str]) -> bool:
    """Whether most of these words name columns, and one of them is of images."""
    known = [column_named(cell) for cell in cells if cell.strip()]
    has_image = not {"image", "left", "right"}.isdisjoint(known)
    return has_image and 2 * sum(column is not None for column in known) > len(known)


def header_problems(cells: Sequence[str]) -> Iterator[str]:
    """What is wrong with the first row of a table, each as a sentence."""
    named = [cell for cell in cells if cell.strip()]
    columns = [column_named(cell) for cell in named]
    if not any(columns):
        yield "the first row must name the columns, such as scene,image,name; write one above it."
        return
    yield from (
        unknown_column(cell) for cell, column in zip(named, columns, strict=True) if column is None
    )
    twice = {column for column in columns if column is not None and columns.count(column) > 1}
    for column in sorted(twice - set(IGNORED)):
        yield f"two columns mean {column}: keep one of them."
    if {"image", "left", "right"}.isdisjoint(columns) and None not in columns:
        yield "there is no column image (or left and right, for scenes with two images): add it."
