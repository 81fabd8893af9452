"""Rows of text under each other, of which nothing is ever cut, whatever the terminal's width."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kling_effects_async.cli.console import one_line

__all__ = ["Table"]


class Table:
    """Aligns rows as they come: the first ones decide the widths.

    Args:
        columns: their names.
        numbers: those of them that are aligned to the right.
    """

    def __init__(self, columns: Sequence[str], *, numbers: Collection[str] = ()) -> None:
        self._columns = tuple(columns)
        self._numbers = numbers
        self._widths: tuple[int, ...] = ()

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        """The rows as lines, the very first below a line of names."""
        cells = [tuple(map(one_line, row)) for row in rows]
        if not self._widths:
            cells = [self._columns, *cells]
            self._widths = tuple(max(map(len, column)) for column in zip(*cells, strict=True))
        return [self._line(row) for row in cells]

    def _line(self, row: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if name in self._numbers else cell.ljust(width)
            for name, cell, width in zip(self._columns, row, self._widths, strict=True)
        ]
        return "  ".join(padded).rstrip()
