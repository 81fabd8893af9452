"""A manifest, or a list of images, read row by row as often as needed; a change is noticed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from attrs import field, frozen

from kling_effects_async.cli.bulk.problems import Problem
from kling_effects_async.cli.bulk.records import (
    FORMATS,
    Entry,
    Format,
    LineProblem,
    csv_records,
    json_records,
    list_records,
)
from kling_effects_async.cli.bulk.row import Flawed, Row
from kling_effects_async.cli.bulk.row_maker import Place, RowMaker
from kling_effects_async.cli.bulk.text_lines import HEAD_BYTES, NotReadable, text_lines

__all__ = ["Manifest", "manifest_at"]

_LONGEST_NAME = 100_000  # bytes between two NULs; a path has at most some thousands


@frozen
class Manifest:
    """A file of rows.

    Attributes:
        label: its name in messages.
        format: of its lines.
        folder: paths in it are relative to this one.
        open_file: opens it for reading, at its start.
        stamp: what the file was when it was found; ``None``: nobody else can change it.
    """

    label: str
    format: Format
    folder: Path
    open_file: Callable[[], BinaryIO] = field(repr=False)
    stamp: tuple[int, ...] | None = None

    def entries(self, maker: RowMaker) -> Iterator[Row | Flawed | Problem]:
        """Its rows, and what is wrong with the others; blocks. May be called again."""
        try:
            with self.open_file() as file:
                for entry in self._entries(file, maker):
                    if self.stamp is not None and self.stamp != _stamp(file):
                        yield Problem(self.label, _CHANGED)
                        return
                    yield entry
        except NotReadable as error:
            yield Problem(f"{self.label}:{error.line}", error.text)
        except OSError as error:
            yield Problem(self.label, f"it cannot be read: {error.strerror or error}.")

    def _entries(self, file: BinaryIO, maker: RowMaker) -> Iterator[Row | Flawed | Problem]:
        has_columns = self.format not in (Format.LIST, Format.NUL_LIST)
        for entry in self._records(file):
            where = f"{self.label}:{entry.line}"
            if isinstance(entry, LineProblem):
                yield Problem(where, entry.text)
                continue
            yield maker.make(entry.values, Place(where, entry.line, self.folder, has_columns))

    def _records(self, file: BinaryIO) -> Iterator[Entry]:
        match self.format:
            case Format.NUL_LIST:
                return list_records(_between_nuls(file))
            case Format.LIST:
                return list_records(text_lines(file))
            case Format.JSONL:
                return json_records(text_lines(file))
            case Format.TSV:
                return csv_records(text_lines(file), delimiter="\t")
            case _:
                return csv_records(text_lines(file))


_CHANGED = (
    "it has changed since the command began: run the same command again once it is written; what "
    "was paid is not paid again."
)


def manifest_at(path: str) -> Manifest:
    """The manifest of this name, whose format its suffix tells.

    Raises:
        OSError: there is none.
    """
    found = os.stat(path)
    return Manifest(
        label=path,
        format=FORMATS[os.path.splitext(path)[1].lower()],
        folder=Path(path).parent,
        open_file=lambda: open(path, "rb"),
        stamp=_stamp_of(found),
    )


def _stamp(file: BinaryIO) -> tuple[int, ...]:
    return _stamp_of(os.fstat(file.fileno()))


def _stamp_of(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns


def _between_nuls(file: BinaryIO) -> Iterator[str]:
    rest = b""
    number = 0
    while block := file.read(HEAD_BYTES):
        *names, rest = (rest + block).split(b"\0")
        for name in names:
            number += 1
            yield os.fsdecode(name)
        if len(rest) > _LONGEST_NAME:
            raise NotReadable(number + 1, "a name of 100,000 bytes: is it a list of paths?")
    if rest:
        yield os.fsdecode(rest)
