"""What is wrong with the images of a row: whether its files are there, and what is in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import kling_effects_async as kling
from kling_effects_async.cli.bulk.problems import Problem
from kling_effects_async.cli.bulk.row import Row
from kling_effects_async.cli.bulk.row_maker import image_label_of

__all__ = ["file_problems", "picture_problems"]

_MISSING = "there is no such file"


def file_problems(row: Row) -> list[Problem]:
    """What the file system says of the row's files; no file is opened. Blocks."""
    return [
        Problem(row.where, _said(row, place, problem))
        for place, path in _files(row)
        if (problem := _file_problem(path)) is not None
    ]


def picture_problems(row: Row) -> list[Problem]:
    """What ``kling.check_image`` says of the row's files, which are read. Blocks.

    Where the row is to be prepared, a picture that is rejected is converted, as the run will do.
    """
    return [
        Problem(row.where, _said(row, place, problem))
        for place, path in _files(row)
        for problem in _content_problems(path, is_to_prepare=row.is_to_prepare)
    ]


def _files(row: Row) -> Iterator[tuple[int, Path]]:
    for place, image in enumerate(row.effect.images):
        if isinstance(image, Path):
            yield place, image


def _said(row: Row, place: int, problem: str) -> str:
    """The problem, with the column and the file where the row's place does not name them."""
    if row.line is None:
        return problem
    text = row.image_texts[place]
    named = f"{image_label_of(text)}: {problem}"
    if not row.has_columns:
        return named
    is_lost = problem.startswith(_MISSING) and not os.path.isabs(text)
    hint = " Paths begin at the folder of the manifest." if is_lost else ""
    columns = ("image",) if len(row.image_texts) == 1 else ("left", "right")
    return f"column {columns[place]}: {named}{hint}"


def _file_problem(path: Path) -> str | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return f"{_MISSING}{_why_missing(path)}."
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}."
    if stat.S_ISDIR(found.st_mode):
        return "it is a folder: name the picture in it."
    if not stat.S_ISREG(found.st_mode):
        return "it is no file, but a pipe or a device."
    if not os.access(path, os.R_OK):
        return "it may not be read: change its permissions."
    return None if found.st_size else "it is empty."


def _why_missing(path: Path) -> str:
    text = str(path)
    if "\\" in text and os.path.lexists(text.replace("\\", "/")):
        return ": write / between folders, not \\"
    if any("\udc80" <= letter <= "\udcff" for letter in text):
        return ": its name has bytes that are not UTF-8, so save the list as UTF-8"
    if text != text.strip():
        return ": its name begins or ends with a space"
    return ""


def _content_problems(path: Path, *, is_to_prepare: bool) -> list[str]:
    missing = _file_problem(path)  # it says more about the path than the picture's check does
    if missing is not None:
        return [missing]
    try:
        kling.check_image(path)
    except kling.ImageRejectedError as error:
        return _problems_left(path) if is_to_prepare else list(error.problems)
    except kling.ImageUnreadableError as error:
        return [str(error)]
    return []


def _problems_left(path: Path) -> list[str]:
    """What no conversion mends."""
    try:
        kling.prepare(path)
    except kling.ImageRejectedError as error:
        return list(error.problems)
    except kling.ImageUnreadableError as error:
        return [str(error)]
    return []
