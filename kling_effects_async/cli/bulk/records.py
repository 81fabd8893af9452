"""The formats of manifests and lists: lines in, values by column out.

Pure and lazy. What is wrong with one line does not end the reading, except where the lines below
cannot be told apart any more.
"""

from __future__ import annotations

import csv
import enum
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from kling_effects_async.cli.bulk.columns import (
    IGNORED,
    column_named,
    header_problems,
    is_header,
    unknown_column,
)

__all__ = [
    "FORMATS",
    "Format",
    "LineProblem",
    "Record",
    "csv_records",
    "delimiter_of",
    "format_of",
    "json_records",
    "list_records",
]


class Format(enum.Enum):
    """What a file's lines are."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    LIST = "list"
    NUL_LIST = "nul list"


# By the suffix of a manifest's name.
FORMATS = {
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
}


class Record(NamedTuple):
    """One row, as text.

    Attributes:
        line: its first line, from 1.
        values: by column, only those that are not empty.
    """

    line: int
    values: dict[str, str]


class LineProblem(NamedTuple):
    """What is wrong with a line, and what to do."""

    line: int
    text: str


Entry: TypeAlias = Record | LineProblem

# As Excel writes it in countries with a decimal comma; its first line may say so.
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
# A path keeps its spaces; around everything else they mean nothing.
_PATHS = {"image", "left", "right"}
_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")
_SHOWN = 40


def format_of(head: bytes) -> Format:
    """What is on stdin, by its beginning: a manifest, or a list of paths and addresses."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _format_of_text(head.decode("utf-16", "replace"))
    if b"\0" in head:
        return Format.NUL_LIST
    return _format_of_text(head.decode("utf-8-sig", "surrogateescape"))


def _format_of_text(head: str) -> Format:
    if head.lstrip().startswith(("{", "[")):
        return Format.JSONL
    first, *others = head.splitlines()[:2] or [""]
    separator = _SEPARATOR_LINE.fullmatch(first)
    heading = others[0] if separator and others else first
    delimiter = separator[1] if separator else delimiter_of(heading)
    cells = [cell.strip().strip('"') for cell in heading.split(delimiter)]
    return Format.CSV if is_header(cells) else Format.LIST


def delimiter_of(heading: str) -> str:
    """The character between the cells of a heading: a comma, a semicolon or a tab."""
    bare = _QUOTED.sub("", heading)
    return max(",;\t", key=bare.count)


def csv_records(lines: Iterable[str], *, delimiter: str | None = None) -> Iterator[Entry]:
    """The rows of a table, whose first one names the columns.

    Args:
        delimiter: by default what the heading has most of.
    """
    source = iter(lines)
    heading = next(source, "")
    separator = _SEPARATOR_LINE.fullmatch(heading)
    if separator:
        delimiter, heading = separator[1], next(source, "")
    cells_of = csv.reader(
        chain([heading], source),
        delimiter=delimiter or delimiter_of(heading),
        skipinitialspace=True,
        strict=True,
    )
    yield from _table(cells_of, lines_before=1 if separator else 0)


def _table(reader: Any, *, lines_before: int) -> Iterator[Entry]:
    first = 1 + lines_before
    columns: list[str | None] | None = None
    try:
        for cells in reader:
            line, first = first, reader.line_num + 1 + lines_before
            if not any(map(str.strip, cells)):
                continue
            if columns is None:
                problems = [LineProblem(line, text) for text in header_problems(cells)]
                yield from problems
                if problems:
                    return  # otherwise each row would be wrong for the same reason
                columns = [column_named(cell) for cell in cells]
                continue
            yield _record(line, columns, cells)
    except csv.Error as error:
        yield LineProblem(first, _csv_problem(error))
        return
    if columns is None:
        yield LineProblem(1, "it is empty: write a first row such as scene,image,name.")


def _csv_problem(error: csv.Error) -> str:
    if "field larger" in str(error) or "unexpected end" in str(error):
        return (
            "a quotation mark is opened here and not closed, so nothing below can be read: close "
            'it, or write "" for a mark within a text.'
        )
    return (
        f"it cannot be read as CSV ({error}), nor can what is below: put a text that holds "
        'quotation marks between marks, and write "" for each within.'
    )


def _record(line: int, columns: Sequence[str | None], cells: Sequence[str]) -> Entry:
    values = {}
    for column, cell in zip(columns, cells, strict=False):
        if not cell:
            continue
        value = cell if column in _PATHS else cell.strip()
        if not value.strip() or column in IGNORED:
            continue
        if column is None:
            return LineProblem(line, f"{cell[:_SHOWN]!r} is in a column without a name: name it.")
        values[column] = value
    if len(cells) > len(columns) and any(map(str.strip, cells[len(columns) :])):
        return LineProblem(
            line,
            f"it has {len(cells)} cells, and the first row has {len(columns)}: put a text that "
            "holds the separator between quotation marks.",
        )
    return _checked(line, values)


def _checked(line: int, values: dict[str, str]) -> Entry:
    for column, value in values.items():
        if column not in _PATHS and not value.isascii() and _NOT_UTF8.search(value):
            return LineProblem(
                line, f"column {column}: it has bytes that are not UTF-8: save the file as UTF-8."
            )
    return Record(line, values)


def json_records(lines: Iterable[str]) -> Iterator[Entry]:
    """The rows of a file with one JSON object a line."""
    number = 0
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield _json_record(number, line)
            if number == 1 and line.lstrip().startswith("["):
                return
    if not number:
        yield LineProblem(1, 'it is empty: write a line such as {"image": "cat.jpg"}.')


def _json_record(number: int, line: str) -> Entry:
    if line.lstrip().startswith("["):
        return LineProblem(number, "it is a JSON array: write one object a line (jq -c '.[]').")
    try:
        # A list of pairs, in which a name that occurs twice is seen.
        found = json.loads(line, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or too long"
        return LineProblem(number, f"it is no JSON ({why}): write one object a line.")
    if not isinstance(found, tuple):
        return LineProblem(number, 'it is no object: write a line such as {"image": "cat.jpg"}.')
    return _object_record(number, found)


def _object_record(number: int, pairs: tuple[tuple[str, object], ...]) -> Entry:
    values: dict[str, str] = {}
    for name, given in pairs:
        column = column_named(name)
        if column is None:
            return LineProblem(number, unknown_column(name))
        if column in IGNORED or given is None:
            continue
        value = _json_text(given)
        if value is None:
            return LineProblem(number, f"column {column}: it must be a text, such as {_EXAMPLE}.")
        if column in values:
            return LineProblem(number, f"two values for {column}: keep one of them.")
        if value.strip():
            values[column] = value if column in _PATHS else value.strip()
    return _checked(number, values)


_EXAMPLE = '{"image": "cat.jpg", "external_task_id": "order-42", "duration_s": 5}'


def _json_text(value: object) -> str | None:
    """The value as a cell of a table would have it; ``None`` for what no cell can be."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return str(value)
    except ValueError:  # an int of more than 4,300 digits
        return None


def list_records(lines: Iterable[str]) -> Iterator[Entry]:
    """The rows of a list with a path or an address a line."""
    for number, line in enumerate(lines, 1):
        image = line.rstrip("\r\n\0")
        if image.strip():
            yield Record(number, {"image": image})
