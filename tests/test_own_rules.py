"""The tests' own rules: short modules, and no private member of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("*.py"))
MAX_LINES = 600


def name_of(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


def private_names(source: str) -> Iterator[str]:
    """The private names of other modules and objects that this source uses."""
    nodes = list(ast.walk(ast.parse(source)))
    modules = {a.asname or a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if _is_private(alias.name))
        elif isinstance(node, ast.Attribute) and _is_private(node.attr):
            owner = ast.unparse(node.value)
            if owner not in {"self", "cls", "super()"} | modules:  # ours to use; `os._exit`
                yield node.attr


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_of_tests_has_at_most_600_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_test_uses_a_private_member_of_the_package(path: Path) -> None:
    assert list(private_names(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "from kling_effects_async.downloading.part_file import _reserve",
        "client._session",
        "self.client._session.closed",
        "def f():\n    return f()._hidden",
    ],
)
def test_a_planted_private_member_is_found(line: str) -> None:
    assert len(list(private_names(line))) == 1


@pytest.mark.parametrize(
    "line", ["import os\nos._exit(0)", "self._own", "super()._own", "x.__doc__"]
)
def test_what_is_the_tests_own_may_be_private(line: str) -> None:
    assert list(private_names(line)) == []
