"""Rules that are broken on purpose, one at a time, in a copy of the package: each is found."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from attrs import frozen

__all__ = ["Planted", "find_planted", "planted_rules", "search"]

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("planted.toml")
LIMIT_S = 60


@frozen
class Planted:
    """One rule, and how it is broken.

    Attributes:
        rule: the rule, in words.
        path: the module, below the package.
        old, new: what stands there, once, and what takes its place.
    """

    rule: str
    path: str
    old: str
    new: str

    def break_in(self, package: Path) -> None:
        """Break the rule in a copy of the package.

        Raises:
            ValueError: the module is not what it was when this was written down.
        """
        module = package / self.path
        source = module.read_text("utf-8")
        if source.count(self.old) != 1:
            raise ValueError(f"{self.path} has not once: {self.old!r}")
        module.write_text(source.replace(self.old, self.new), "utf-8")


def planted_rules() -> list[Planted]:
    """The list in the file."""
    return [Planted(**rule) for rule in tomllib.loads(LIST.read_text("utf-8"))["planted"]]


def find_planted() -> int:
    """Break each rule, and print what the simulator finds, and when; 1 if one is not found."""
    missed = 0
    for rule in planted_rules():
        began = time.monotonic()
        found = search(rule, "--seconds", str(LIMIT_S))
        took_s = time.monotonic() - began
        missed += not found
        print(f"{took_s:5.1f} s  {rule.rule}: {found or 'NOT FOUND'}", flush=True)
    number = len(planted_rules())
    print(f"{number - missed} of {number} planted rules found")
    return 1 if missed else 0


def search(rule: Planted, *options: str) -> str:
    """What the simulator says of the broken package; empty: nothing."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("kling_effects_async", "tests"):
            ignored = shutil.ignore_patterns("__pycache__", "*.mp4")
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=ignored)
        rule.break_in(Path(folder) / "kling_effects_async")
        command = [sys.executable, "-m", "tests.simulation", "--stop", *options]
        try:
            ended = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return ""
    shrunk = re.search(r"^  shrunk: (.*)$", ended.stdout, re.MULTILINE)
    return shrunk[1] if shrunk else ended.stderr.strip().rpartition("\n")[2]
