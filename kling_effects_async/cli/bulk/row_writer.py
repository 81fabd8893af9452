"""Rows as a manifest that can be run again, such as ``failed.csv``."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, TypeAlias

import kling_effects_async as kling
from kling_effects_async.cli.bulk.columns import COLUMNS
from kling_effects_async.cli.bulk.records import FORMATS, Format
from kling_effects_async.cli.bulk.row import Row

__all__ = ["Write", "row_writer", "write_rows"]

Write: TypeAlias = Callable[[Row, Mapping[str, str]], None]
_NOTES = ("reason", "advice")


def write_rows(path: Path, rows: Iterable[tuple[Row, Mapping[str, str]]]) -> None:
    """Write rows, each with what is to be said of it (``reason``, ``advice``). Blocks.

    Raises:
        OSError, ValueError: as ``row_writer``.
    """
    with row_writer(path) as write:
        for row, notes in rows:
            write(row, notes)


@contextmanager
def row_writer(path: Path) -> Iterator[Write]:
    """A function that writes one row; the file is there, whole, after the block. Blocks.

    ``read_rows`` reads it back as the same rows, and passes over what is said of them. It is for
    its owner alone (0600), as it may have addresses with signatures, and takes the place of an
    earlier file of this name. After an exception nothing is written.

    Args:
        path: its suffix decides about the format: .csv, .tsv, .jsonl or .ndjson.

    Raises:
        OSError: it cannot be written.
        ValueError: it has another suffix.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path.name}: a manifest ends in {', '.join(FORMATS)}")
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        # What is no UTF-8 in the name of a file is written as it is, as ``text_lines`` reads it.
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield _writer(file, kind, path.parent)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def _writer(file: TextIO, kind: Format, folder: Path) -> Write:
    if kind is Format.JSONL:
        return lambda row, notes: _write_object(file, _values(row, folder) | _readable(notes))
    dialect = csv.excel_tab if kind is Format.TSV else csv.excel
    table = csv.DictWriter(file, (*COLUMNS, *_NOTES), dialect=dialect)
    table.writeheader()

    def write(row: Row, notes: Mapping[str, str]) -> None:
        table.writerow(_values(row, folder) | _readable(notes))

    return write


def _write_object(file: TextIO, values: Mapping[str, str]) -> None:
    file.write(json.dumps(values, ensure_ascii=False) + "\n")


def _readable(notes: Mapping[str, str]) -> dict[str, str]:
    """Without halves of characters, which a service's words may have and no file can."""
    return {name: text.encode("utf-8", "replace").decode() for name, text in notes.items()}


def _values(row: Row, folder: Path) -> dict[str, str]:
    effect = row.effect
    is_dual = isinstance(effect, kling.DualImageEffect)
    columns = ("left", "right") if is_dual else ("image",)
    given = {
        "scene": effect.scene,
        **dict(zip(columns, _image_values(row, folder), strict=True)),
        "external_task_id": row.external_task_id,
        "name": row.name,
        "share": row.share,
        "model_name": effect.model_name,
        "mode": effect.mode if isinstance(effect, kling.DualImageEffect) else None,
        "duration_s": None if effect.duration_s is None else str(effect.duration_s),
    }
    return {column: value for column, value in given.items() if value is not None}


def _image_values(row: Row, folder: Path) -> Iterator[str]:
    for source in row.sources:
        if isinstance(source, bytes):
            raise ValueError(f"{row.where}: an image of bytes cannot be written to a manifest")
        yield _path_text(source, folder) if isinstance(source, Path) else source


def _path_text(path: Path, folder: Path) -> str:
    """Relative to the manifest where it lies below it, so that both can be moved together."""
    whole, base = path.absolute(), folder.absolute()
    if not whole.is_relative_to(base):
        return str(whole)
    text = str(whole.relative_to(base))
    # Spaces before a cell mean nothing, and a name may look like an address.
    return text if text[:1].isalnum() and ":" not in text else os.path.join(".", text)
