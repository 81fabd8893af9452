"""The page of faults, made of its rows and of the docstrings that name them.

A row is a fault and what must happen then (``faults.toml``). A test names the rows it proves in its
docstring: ``Fault 7: ...``, ``Faults 7, 8 and 11: ...``. So does a class or a module of tests. The
tests are parsed, not imported. ``python -m tests.faults`` writes the page.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

__all__ = ["COMMAND", "PAGE", "TESTS", "FaultRow", "Mention", "mentions", "page", "rows"]

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "faults.md"
COMMAND = "python -m tests.faults"

_ROWS = TESTS / "faults.toml"
_NUMBERS = re.compile(r"\bFaults?\s+(\d+(?:(?:,\s+and|,|\s+and)\s+\d+)*+)")
_RANGE = re.compile(r"\bFaults?\s+[\d\s,and]*\d(?:\s*[-–]\s*|\s+(?:to|through)\s+)\d")

# Where a condition decides, it runs somewhere.
_NEVER_RUN = re.compile(r"\bmark\.(skip|xfail)\b")

_Documented: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


@frozen(kw_only=True)
class FaultRow:
    """One row of the matrix: what goes wrong, and what must happen then."""

    number: int
    fault: str
    behaviour: str


@frozen(kw_only=True)
class Mention:
    """A docstring that names rows.

    Attributes:
        path: the file, relative to the folder of the tests.
        name: as pytest writes it, such as ``TestSubmits::test_one``; ``""`` for the module.
        is_test: whether pytest runs it; what a fixture's docstring says proves nothing.
    """

    path: str
    name: str
    is_test: bool
    numbers: tuple[int, ...]

    @property
    def address(self) -> str:
        return f"{self.path}::{self.name}" if self.name else self.path


def rows() -> list[FaultRow]:
    return [FaultRow(**row) for row in tomllib.loads(_ROWS.read_text("utf-8"))["row"]]


def mentions(folder: Path = TESTS) -> list[Mention]:
    """Every docstring below ``folder`` that names rows, by file and line.

    Raises:
        ValueError: one names a range, and a test of all its rows would be a claim too wide.
    """
    return [
        mention
        for path in sorted(folder.rglob("*.py"))
        for mention in _mentions_in(path.read_text("utf-8"), path.relative_to(folder).as_posix())
    ]


def _mentions_in(source: str, path: str) -> Iterator[Mention]:
    is_collected = path.rpartition("/")[2].startswith("test_")
    for name, node in _documented(ast.parse(source)):
        if numbers := _numbers(ast.get_docstring(node) or "", f"{path}::{name}"):
            is_test = is_collected and _is_test(node)
            yield Mention(path=path, name=name, is_test=is_test, numbers=numbers)


def _documented(node: _Documented, prefix: str = "") -> Iterator[tuple[str, _Documented]]:
    yield prefix, node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return  # what is inside is the test's own
    for child in node.body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _documented(child, f"{prefix}::{child.name}" if prefix else child.name)


def _is_test(node: _Documented) -> bool:
    if isinstance(node, ast.Module):
        return any(_is_test(child) for _, child in _documented(node) if child is not node)
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test")
    marks = map(ast.unparse, node.decorator_list)
    is_run = not any(_NEVER_RUN.search(mark) for mark in marks)
    return is_run and node.name.startswith("test_")


def _numbers(docstring: str, where: str) -> tuple[int, ...]:
    if found := _RANGE.search(docstring):
        raise ValueError(f"{where} names {found[0]!r}: write its rows one by one")
    lists = " ".join(_NUMBERS.findall(docstring))
    return tuple(int(number) for number in re.findall(r"\d+", lists))


def page(matrix: Sequence[FaultRow], named: Iterable[Mention]) -> str:
    """The text of ``docs/faults.md``."""
    tests = [mention for mention in named if mention.is_test]
    proofs = {row: [test for test in tests if row.number in test.numbers] for row in matrix}
    table = [
        f"| {row.number} | {_cell(row.fault)} | {_cell(row.behaviour)} "
        f"| [{len(proofs[row])}](#row-{row.number}) |"
        for row in matrix
    ]
    lists = [
        "\n".join([f"### Row {row.number}", "", f"{row.fault}.", "", *map(_entry, proofs[row]), ""])
        for row in matrix
    ]
    return "\n".join([_HEAD, *table, "", _BETWEEN, *lists, _FOOT])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _entry(test: Mention) -> str:
    return f"- [`{test.address}`](../tests/{test.path})"


_HEAD = """\
# Faults

What can go wrong between a client and a paid video, what must happen then, and the tests that show
it. The suite fails where a row has no test, where a test names a row that is not here, and where
this page is not what the tests say.

| row | what goes wrong | what happens then | tests |
| --- | --- | --- | --- |"""

_BETWEEN = """\
## The tests of each row

A test is listed under the rows that its docstring names; a file without a test's name names them
for all of its tests.
"""

_FOOT = f"""\
## How this page is made

`{COMMAND}` writes it, from `tests/faults.toml` and the docstrings of the tests. Run it after a test
that names a row was added, renamed or removed.
"""


if __name__ == "__main__":
    PAGE.write_text(page(rows(), mentions()), "utf-8")
