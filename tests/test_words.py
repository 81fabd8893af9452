"""One word for one thing: no class name stands for two, and no word of the past comes back."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import kling_effects_async

ROOT = Path(__file__).parents[1]
PACKAGE = Path(kling_effects_async.__file__).parent

# Each with the word that is used now.
GONE = {
    r"ambiguous": "uncertain",
    r"in doubt": "uncertain",
    r"trouble\w*": "failure",
    r"span_s|patience_s": "max_elapsed_s, max_outage_s, max_retry_after_s",
    r"ceiling_s": "max_interval_s",
    r"cap_s": "max_pause_s",
    r"(?:bring|brought|come|came)s? home": "download, finish",
    r"see[ns]? through|saw through": "finish",
    r"give[ns]? up|gave up": "abandon, stop",
    r"spoils_batch": "is_fatal",
    r"last_words": "resume_summary",
    r"look_first|looks_first": "look_up_first",
    r"ask_once": "send_once",
    r"take_up|taken_up": "resume",
    r"stands? in (?:a )?row": "waits for the next page",
}
# What was renamed, for users; the words in old journals.
TELLS_OF_THE_PAST = {"changelog.md", "schema.py", "test_damage.py", "test_budget.py"}
CLASSES_GONE = {"Watch", "Tracker", "Questions", "Wire", "Gate", "Slots", "Experience", "Rounds"}


def sources(*suffixes: str) -> Iterator[Path]:
    """The package, the docs and the README; not the recorded answers, which are others' words."""
    tests = [path for path in ROOT.joinpath("tests").rglob("*.py") if path.name != "test_words.py"]
    docs = ROOT.joinpath("docs").rglob("*")
    paths = [*PACKAGE.rglob("*"), *docs, ROOT / "README.md", *tests]
    yield from (path for path in sorted(paths) if path.suffix in suffixes)


def class_names() -> Iterator[str]:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield node.name


def test_no_class_name_stands_for_two_things() -> None:
    assert [name for name, count in Counter(class_names()).items() if count > 1] == []
    assert CLASSES_GONE.isdisjoint(class_names())


@pytest.mark.parametrize("word", GONE)
def test_a_word_of_the_past_does_not_come_back(word: str) -> None:
    pattern = re.compile(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])", re.IGNORECASE)
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sources(".py", ".md")
        if path.name not in TELLS_OF_THE_PAST
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == [], f"say {GONE[word]}"
