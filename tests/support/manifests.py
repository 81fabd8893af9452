"""Reading the rows of a bulk run in one call, and what a check says of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kling_effects_async import Service
from kling_effects_async.cli.bulk.checks import CheckedRows, check_rows
from kling_effects_async.cli.bulk.row import Row
from kling_effects_async.cli.bulk.row_maker import Defaults
from kling_effects_async.cli.bulk.sources import read_rows

__all__ = ["SQUISH", "checked", "images_of", "problems", "rows_of", "written"]

SQUISH = Defaults(scene="squish", service=Service.vapi())


def written(path: Path, content: str | bytes) -> str:
    """A file with this content; its path as text."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def checked(
    *arguments: object,
    defaults: Defaults = SQUISH,
    stdin: bytes | None = None,
    with_pictures: bool = False,
    **options: Any,
) -> CheckedRows:
    """What one pass over the rows finds."""
    given = None if stdin is None else io.BytesIO(stdin)
    with read_rows([str(each) for each in arguments], defaults, stdin=given, **options) as rows:
        return check_rows(rows, with_pictures=with_pictures)


def problems(*arguments: object, **options: Any) -> list[str]:
    """The problems that the command would show."""
    return [str(problem) for problem in checked(*arguments, **options).problems]


def rows_of(
    *arguments: object, defaults: Defaults = SQUISH, stdin: bytes | None = None, **options: Any
) -> list[Row]:
    """The rows, read twice, because a run reads them twice."""
    given = None if stdin is None else io.BytesIO(stdin)
    with read_rows([str(each) for each in arguments], defaults, stdin=given, **options) as rows:
        first, second = list(rows), list(rows)
    assert first == second
    return first


def images_of(rows: Sequence[Row], folder: Path) -> list[str]:
    """The single images as text, paths relative to the folder."""
    images = [row.effect.images[0] for row in rows]
    return [
        image.relative_to(folder).as_posix() if isinstance(image, Path) else str(image)
        for image in images
    ]
