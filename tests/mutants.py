"""Mutation testing of the pure parts: change one operator, call or constant, and see a test fail.

    python -m tests.mutants                 # every module of mutants.toml
    python -m tests.mutants slots breaker   # these

mutmut makes the mutants and runs them, in a copy of the project for each module, where only that
module is mutated and only the tests that concern it run. It mutates bodies of functions: what is
decorated (properties) and what stands at module level (tables, constants) it leaves alone.

Log calls and sentences stay as they are: their wording is no behaviour. Where a text tells the
user what to do, a test reads it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

__all__ = ["Explained", "Plan", "Report", "Survivor", "read_plan", "survivor_of"]

ROOT = Path(__file__).parents[1]
PACKAGE = "kling_effects_async"
TABLE = Path(__file__).with_suffix(".toml")
# What mutmut says of a mutant that a test or the limit of time ended.
DEAD = {"killed", "timeout", "segfault", "suspicious"}
UNTOUCHED_LINES = [
    r"^\s*_log\.",
    r'^\s*"[^"]* [^"]*"[),]*$',  # a sentence: no word of the wire has a space in it
]


@frozen
class Explained:
    """A mutant that no test can kill, and why."""

    module: str
    line: str
    mutant: str
    reason: str = field(eq=False)


@frozen
class Survivor:
    """A mutant that every test passes."""

    module: str
    line_number: int = field(eq=False)
    line: str
    mutant: str

    def __str__(self) -> str:
        was, became = self.line or "(nothing)", self.mutant or "(nothing)"
        return f"{self.module}:{self.line_number}  {was}  ->  {became}"


@frozen
class Plan:
    """The modules, each with its tests, and the survivors that are explained."""

    tests: Mapping[str, Sequence[str]]
    explained: Sequence[Explained]

    def chosen(self, names: Sequence[str]) -> list[str]:
        """The modules with these names or in these folders; all of them for no name."""
        unknown = [name for name in names if not any(_is_named(m, name) for m in self.tests)]
        if unknown:
            raise SystemExit(
                f"no module {', '.join(unknown)} in {TABLE.name}: {', '.join(self.tests)}"
            )
        return [m for m in self.tests if not names or any(_is_named(m, name) for name in names)]


@frozen
class Report:
    """What became of the mutants of some modules."""

    mutants: int
    survivors: Sequence[Survivor]

    def unexplained(self, explained: Sequence[Explained]) -> list[Survivor]:
        """Survivors for which no reason is written down."""
        known = {(e.module, e.line, e.mutant) for e in explained}
        return [s for s in self.survivors if (s.module, s.line, s.mutant) not in known]

    def outdated(self, explained: Sequence[Explained]) -> list[Explained]:
        """Reasons for what is dead, or no longer made."""
        alive = {(s.module, s.line, s.mutant) for s in self.survivors}
        return [e for e in explained if (e.module, e.line, e.mutant) not in alive]

    def __str__(self) -> str:
        alive = len(self.survivors)
        return f"{self.mutants} mutants, {self.mutants - alive} dead, {alive} survive"


def read_plan(text: str) -> Plan:
    """The table of modules; see mutants.toml."""
    table = tomllib.loads(text)
    explained = [Explained(**entry) for entry in table.get("explained", [])]
    return Plan(table["tests"], explained)


def survivor_of(module: str, source: str, function: str, diff: str) -> Survivor:
    """Read a mutant of a function from the difference that it makes.

    Args:
        function: the name, with its class's before it: ``SlotLimiter.take``.
        diff: of the function alone, as ``mutmut show`` prints it.
    """
    changes = [line for line in diff.splitlines() if not line.startswith(("#", "---", "+++"))]
    gone = [line[1:].strip() for line in changes if line.startswith("-")]
    new = [line[1:].strip() for line in changes if line.startswith("+")]
    hunk = next(index for index, line in enumerate(changes) if line.startswith("@@"))
    before = next(i for i, line in enumerate(changes[hunk + 1 :]) if line.startswith(("-", "+")))
    match = re.match(r"@@ -(\d+)", changes[hunk])
    offset = int(match[1]) - 1 + before if match else 0
    start = _first_line(source, function)
    return Survivor(module, start + offset, " ".join(gone), " ".join(new))


def _first_line(source: str, function: str) -> int:
    owner, _, name = function.rpartition(".")
    lines = source.splitlines()
    is_class = re.compile(rf"class {owner}\b")
    start = next(i for i, line in enumerate(lines) if is_class.match(line)) if owner else 0
    head = re.compile(rf"{'    ' if owner else ''}(?:async )?def {name}\(")
    return next(i for i, line in enumerate(lines, 1) if i > start and head.match(line))


def _is_named(module: str, name: str) -> bool:
    return f"/{module}/".endswith(f"/{name}/") or module.startswith(f"{name.rstrip('/')}/")


def mutate_module(module: str, tests: Sequence[str], workspace: Path, workers: int) -> Report:
    """Make and run the mutants of one module, in a copy of the project."""
    _copy_project(workspace, module, tests)
    _mutmut(workspace, "run", "--max-children", str(workers))
    results = _mutmut(workspace, "results", "--all", "True")
    states = dict(re.findall(r"^\s+(\S+): (.+)$", results, re.MULTILINE))
    alive = [name for name, state in states.items() if state not in DEAD]
    unclear = Counter(s for s in states.values() if s not in {*DEAD, "survived", "no tests"})
    if unclear:
        raise SystemExit(f"{module}: the run was cut off: {dict(unclear)}")
    source = (ROOT / PACKAGE / f"{module}.py").read_text("utf-8")
    survivors = [
        survivor_of(module, source, _function(name), _mutmut(workspace, "show", name))
        for name in alive
    ]
    return Report(len(states), survivors)


def _function(mutant: str) -> str:
    """``package.module.xǁClassǁname__mutmut_3`` -> ``Class.name``."""
    mangled = mutant.rpartition(".")[2].rpartition("__mutmut_")[0]
    return mangled.removeprefix("x").strip("ǁ").replace("ǁ", ".") if "ǁ" in mangled else mangled[2:]


def _copy_project(workspace: Path, module: str, tests: Sequence[str]) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    for folder in (PACKAGE, "tests", "docs"):
        shutil.copytree(ROOT / folder, workspace / folder, ignore=ignored)
    shutil.copy(ROOT / "README.md", workspace)
    settings: dict[str, Any] = {
        "source_paths": [PACKAGE],
        "only_mutate": [f"{PACKAGE}/{module}.py"],
        "do_not_mutate_patterns": UNTOUCHED_LINES,
        "also_copy": ["docs", "README.md"],
        "pytest_add_cli_args_test_selection": list(tests),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "--hypothesis-profile", "mutants"],
        # Seconds: what hangs is dead, and what a busy machine delays is not.
        "timeout_constant": 1.5,
        "timeout_multiplier": 4.0,
        "use_git_change_detection": False,
        "track_dependencies": False,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    text = "\n".join([project, "[tool.mutmut]", *lines, ""])
    (workspace / "pyproject.toml").write_text(text, "utf-8")


def _mutmut(workspace: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mutmut {arguments[0]}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def _reports(plan: Plan, modules: Sequence[str], workers: int) -> Iterator[Report]:
    for module in modules:
        with tempfile.TemporaryDirectory() as folder:
            report = mutate_module(module, plan.tests[module], Path(folder), workers)
        print(f"{module}: {report}", flush=True)
        yield report


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.mutants")
    options.add_argument("modules", nargs="*", help="names or folders; all of them if not given")
    options.add_argument("--workers", type=int, default=2, help="mutants that run at once")
    given = options.parse_args()
    plan = read_plan(TABLE.read_text("utf-8"))
    modules = plan.chosen(given.modules)
    reports = list(_reports(plan, modules, given.workers))
    total = Report(sum(r.mutants for r in reports), [s for r in reports for s in r.survivors])
    explained = [e for e in plan.explained if e.module in modules]
    unexplained, outdated = total.unexplained(explained), total.outdated(explained)
    for survivor in total.survivors:
        print(survivor if survivor in unexplained else f"{survivor}  (explained)")
    for entry in outdated:
        print(f"explained, but it does not survive: {entry}")
    print(total)
    return 1 if unexplained or outdated else 0


if __name__ == "__main__":
    sys.exit(main())
