"""The mutation tester reads its table, and tells what survives and where."""

from __future__ import annotations

import pytest

from tests.mutants import PACKAGE, ROOT, TABLE, Explained, Plan, Report, read_plan, survivor_of

SOURCE = '''
def size() -> int:
    return 0


class Other:
    def take(self) -> int:
        return 0


class Slots:
    @property
    def size(self) -> int:
        return 1

    async def take(self) -> int:
        """Take one."""
        if self.size > 1:
            return 2
        return 3
'''
DIFF = """# module.xǁSlotsǁtake__mutmut_1: survived
--- module.py
+++ module.py
@@ -1,5 +1,5 @@
 async def take(self) -> int:
     \"\"\"Take one.\"\"\"
-    if self.size > 1:
+    if self.size >= 1:
         return 2
     return 3
"""
SURVIVOR = survivor_of("slots", SOURCE, "Slots.take", DIFF)
EXPLAINED = Explained("slots", "if self.size > 1:", "if self.size >= 1:", "the size is never 1")


def test_a_survivor_is_told_with_its_line_and_what_was_changed() -> None:
    assert str(SURVIVOR) == "slots:18  if self.size > 1:  ->  if self.size >= 1:"


def test_a_function_is_not_taken_for_a_method_of_its_name() -> None:
    diff = "@@ -1,2 +1,2 @@\n def size() -> int:\n-    return 0\n+    return 1\n"
    assert survivor_of("slots", SOURCE, "size", diff).line_number == 3


def test_a_survivor_fails_the_run_until_it_is_explained() -> None:
    report = Report(20, [SURVIVOR])
    assert str(report) == "20 mutants, 19 dead, 1 survive"
    assert report.unexplained([]) == [SURVIVOR]
    assert report.unexplained([EXPLAINED]) == []


def test_a_reason_for_what_is_dead_fails_the_run_too() -> None:
    assert Report(20, []).outdated([EXPLAINED]) == [EXPLAINED]
    assert Report(20, [SURVIVOR]).outdated([EXPLAINED]) == []


def test_the_table_names_what_exists() -> None:
    plan = read_plan(TABLE.read_text("utf-8"))
    assert all((ROOT / PACKAGE / f"{module}.py").is_file() for module in plan.tests)
    given = [path for paths in plan.tests.values() for path in paths]
    paths = [path.removeprefix("--deselect=").partition("::")[0] for path in given]
    assert all((ROOT / path).exists() for path in paths)
    assert {entry.module for entry in plan.explained} <= plan.tests.keys()
    assert all(entry.reason for entry in plan.explained)


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("slots", ["submitting/slots"]),
        ("submitting/slots", ["submitting/slots"]),
        ("submitting", ["submitting/slots", "submitting/outcome"]),
    ],
)
def test_a_module_is_chosen_by_its_name_or_its_folder(name: str, modules: list[str]) -> None:
    table = {"submitting/slots": ["a"], "submitting/outcome": ["b"], "protocol/clips": ["c"]}
    plan = Plan(table, explained=[])
    assert plan.chosen([name]) == modules


def test_an_unknown_module_is_told_with_those_there_are() -> None:
    with pytest.raises(SystemExit, match=r"no module slot in mutants.toml: submitting/slots"):
        Plan({"submitting/slots": ["a"]}, explained=[]).chosen(["slot"])
