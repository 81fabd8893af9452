"""The page of faults: each row has a test, each test's row exists, and the page is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kling_effects_async
from tests.faults import COMMAND, PAGE, TESTS, FaultRow, Mention, mentions, page, rows

MATRIX = rows()
NAMED = mentions()
# Of Python and of libraries; what is ours has to exist.
OTHERS_ERRORS = {"CancelledError", "KeyError", "RuntimeError", "TimeoutError", "ValueError"}


def untested(matrix: list[FaultRow], named: list[Mention]) -> set[int]:
    """The rows that no test names."""
    tested = {number for mention in named if mention.is_test for number in mention.numbers}
    return {row.number for row in matrix} - tested


def nowhere(matrix: list[FaultRow], named: list[Mention]) -> list[str]:
    """The docstrings that name a row which does not exist."""
    numbers = {row.number for row in matrix}
    return [mention.address for mention in named if not numbers.issuperset(mention.numbers)]


def test_the_rows_are_numbered_without_a_gap() -> None:
    assert [row.number for row in MATRIX] == list(range(1, len(MATRIX) + 1))
    assert len(MATRIX) >= 97


def test_every_row_has_a_test() -> None:
    assert untested(MATRIX, NAMED) == set()


def test_no_docstring_names_a_row_that_is_not_there() -> None:
    assert nowhere(MATRIX, NAMED) == []


def test_the_page_is_what_the_tests_say() -> None:
    assert PAGE.read_text("utf-8") == page(MATRIX, NAMED), f"run `{COMMAND}`"


def test_the_page_names_the_command_that_writes_it() -> None:
    assert COMMAND in PAGE.read_text("utf-8").rpartition("\n## ")[2]


def test_every_error_in_a_row_is_one_of_the_package() -> None:
    text = " ".join(f"{row.fault} {row.behaviour}" for row in MATRIX)
    named = set(re.findall(r"`(\w+Error)`", text))
    assert named - OTHERS_ERRORS <= set(dir(kling_effects_async))


# -- what is planted is found


def planted(folder: Path, name: str, source: str) -> list[Mention]:
    folder.joinpath(name).write_text(source, "utf-8")
    return mentions(folder)


@pytest.mark.parametrize(
    ("docstring", "numbers"),
    [
        ("Fault 7: an answer is lost.", (7,)),
        ("Faults 7, 8, 11: lost.", (7, 8, 11)),
        ("Fault 88, 73: nobody knows.", (88, 73)),
        ("Faults 7,\n    8, and 11: lost.", (7, 8, 11)),
        ("Fault 23 and 26: written.", (23, 26)),
        ("Faults 50 and 51.", (50, 51)),
        ("Fault 21, over a restart.", (21,)),
        ("A rule.\n\n    Fault 9: by its code; 260 of them.", (9,)),
    ],
)
def test_the_rows_of_a_docstring_are_read(
    tmp_path: Path, docstring: str, numbers: tuple[int, ...]
) -> None:
    source = f'async def test_one() -> None:\n    """{docstring}"""\n'
    (mention,) = planted(tmp_path, "test_planted.py", source)
    assert (mention.numbers, mention.is_test) == (numbers, True)


@pytest.mark.parametrize("span", ["Faults 1-15: all", "Faults 1, 3 to 15: all", "Fault 1–5"])
def test_a_range_of_rows_is_rejected(tmp_path: Path, span: str) -> None:
    with pytest.raises(ValueError, match=r"test_planted\.py::test_one .* one by one"):
        planted(tmp_path, "test_planted.py", f'def test_one():\n    """{span}."""\n')


MODULE = '''"""Fault 1."""

class TestGroup:
    """Fault 2."""

    def test_one(self):
        """Fault 3."""

def test_two():
    """Fault 4."""
'''


def test_modules_and_classes_of_tests_may_name_rows(tmp_path: Path) -> None:
    tmp_path.joinpath("part").mkdir()
    found = planted(tmp_path, "part/test_planted.py", MODULE)
    assert {mention.numbers[0]: mention.address for mention in found if mention.is_test} == {
        1: "part/test_planted.py",
        2: "part/test_planted.py::TestGroup",
        3: "part/test_planted.py::TestGroup::test_one",
        4: "part/test_planted.py::test_two",
    }


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("test_planted.py", 'def a_fixture():\n    """Fault 1."""\n'),
        ("test_planted.py", '"""Fault 1."""\n'),
        ("test_planted.py", 'class Server:\n    """Fault 1."""\n'),
        ("support.py", 'def test_one():\n    """Fault 1."""\n'),
        ("test_planted.py", '@pytest.mark.skip("later")\ndef test_one():\n    """Fault 1."""\n'),
        ("test_planted.py", '@mark.xfail\nasync def test_one():\n    """Fault 1."""\n'),
    ],
    ids=["a fixture", "no test", "a class of support", "not collected", "skipped", "red"],
)
def test_what_pytest_does_not_run_proves_no_row(tmp_path: Path, name: str, source: str) -> None:
    found = planted(tmp_path, name, source)
    assert [mention.numbers for mention in found] == [(1,)]
    assert untested([FaultRow(number=1, fault="a", behaviour="b")], found) == {1}


def test_a_test_that_is_skipped_somewhere_shows_its_row(tmp_path: Path) -> None:
    source = '@pytest.mark.skipif(True, reason="a")\ndef test_one():\n    """Fault 1."""\n'
    assert [mention.is_test for mention in planted(tmp_path, "test_planted.py", source)] == [True]


def test_a_row_without_a_test_is_found() -> None:
    added = FaultRow(number=98, fault="a new one", behaviour="nobody tested it")
    assert untested([*MATRIX, added], NAMED) == {98}


def test_a_test_of_a_row_that_is_not_there_is_found(tmp_path: Path) -> None:
    found = planted(tmp_path, "test_planted.py", 'def test_one():\n    """Fault 998."""\n')
    assert nowhere(MATRIX, found) == ["test_planted.py::test_one"]


def test_a_test_that_is_new_changes_the_page() -> None:
    added = Mention(path="test_new.py", name="test_one", is_test=True, numbers=(1,))
    text = page(MATRIX, [*NAMED, added])
    assert text != page(MATRIX, NAMED)
    assert "- [`test_new.py::test_one`](../tests/test_new.py)" in text


def test_the_tests_are_read_and_not_imported(tmp_path: Path) -> None:
    (mention,) = planted(
        tmp_path, "test_planted.py", f'"""Fault 1."""\nraise SystemExit\n{MODULE}'
    )[:1]
    assert mention.numbers == (1,)
    assert TESTS.joinpath(NAMED[0].path).exists()
