"""Imports go one way, from the applications at the bottom up to the vocabulary."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import kling_effects_async

PACKAGE = Path(kling_effects_async.__file__).parent
FLOORS = [
    (
        "vocabulary",
        {
            "arguments",
            "clip_names",
            "effects",
            "errors",
            "events",
            "log_fields",
            "models",
            "observer",
            "outcomes",
            "scenes",
            "stats",
            "web_address",
        },
    ),
    ("rules", {"protocol", "policy", "settings"}),
    (
        "edges",
        {"callbacks", "downloading", "images", "journal", "report", "telemetry", "transport"},
    ),
    ("engine", {"api", "polling", "submitting"}),
    (
        "runtime",
        {
            "account_callbacks",
            "bulk_item",
            "client_options",
            "concurrency",
            "delivery",
            "event_hub",
            "runtime",
        },
    ),
    ("surface", {"bulk", "client", "estimate", "listing", "lookback", "resuming"}),
    ("applications", {"cli", "emulator", "testing", "__main__"}),
]
# A room beside the floors: it imports nothing of ours, and one room imports its door.
ALONE, ITS_USER = "preview", "emulator"
LEVELS = {module: level for level, (_floor, modules) in enumerate(FLOORS) for module in modules}
# What the rules may not touch: they are pure.
IMPURE = {"asyncio", "aiohttp", "sqlite3", "time", "os", "socket", "threading", "random"}
# What only one module may import, and what the light modules may not import at their top.
ONLY_IN = {
    "opentelemetry": "telemetry/",
    "backoff": "transport/retrying.py",
    "standardwebhooks": "callbacks/signature.py",
}


def imports(source: str, *, at_top_only: bool = False) -> Iterator[str]:
    """The modules a file imports; those for the type checker alone do not count."""
    tree = ast.parse(source)
    for node in tree.body if at_top_only else _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _running(node)


def room_of(path: Path) -> str:
    """The first name below the package: what has a floor."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def violations(path: Path, source: str) -> list[str]:
    """Every import of this file that goes the wrong way, as ``file imports module``."""
    room = room_of(path)
    if room == "__init__":
        return []
    ours = (name for name in imports(source) if name.startswith("kling_effects_async."))
    wrong = (name for name in ours if goes_past_the_door(room, name) or goes_down(room, name))
    return [f"{path.relative_to(PACKAGE)} imports {name}" for name in wrong]


def goes_down(room: str, name: str) -> bool:
    target = name.split(".")[1]
    if target not in LEVELS or room not in LEVELS:
        return False
    is_wire_in_emulator = room == "emulator" and target == "protocol"
    return LEVELS[target] > LEVELS[room] or is_wire_in_emulator


def goes_past_the_door(room: str, name: str) -> bool:
    """Whether an import leaves the room that stands alone, or enters it other than by its door."""
    is_inside = name.split(".")[1] == ALONE
    if room == ALONE:
        return not is_inside
    is_module = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py").exists()
    return is_inside and (room != ITS_USER or is_module)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_floor_imports_from_one_below_it_on_the_page(path: Path) -> None:
    assert violations(path, path.read_text("utf-8")) == []


def test_every_module_has_a_floor() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms - set(LEVELS) == {ALONE}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("models.py", "from kling_effects_async.client import EffectsClient"),
        ("protocol/verdicts.py", "import kling_effects_async.transport.session"),
        ("protocol/verdicts.py", "def f():\n    from kling_effects_async.polling import task"),
        ("emulator/replies.py", "from kling_effects_async.protocol.services import Service"),
        ("transport/session.py", "from kling_effects_async import client"),
        ("preview/clip.py", "from kling_effects_async.errors import SettingsError"),
        ("preview/clip.py", "from kling_effects_async import EffectsClient"),
        ("preview/clip.py", "from kling_effects_async.emulator import Clips"),
        ("emulator/clips.py", "from kling_effects_async.preview.clip import render_clip"),
        ("cli/preview.py", "from kling_effects_async.preview import RenderPool"),
    ],
)
def test_a_planted_violation_is_named_by_file_and_import(file: str, line: str) -> None:
    found = violations(PACKAGE / file, line)
    assert found
    assert all(text.startswith(f"{file} imports kling_effects_async.") for text in found)


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if LEVELS.get(room_of(p), 9) <= 1],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_vocabulary_and_rules_do_no_io(path: Path) -> None:
    source = path.read_text("utf-8")
    assert {name.split(".")[0] for name in imports(source)} & IMPURE == set()
    assert "open(" not in source


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_dependency_that_needs_care_is_imported_in_one_place(path: Path) -> None:
    names = {name.split(".")[0] for name in imports(path.read_text("utf-8"))}
    for dependency, home in ONLY_IN.items():
        assert dependency not in names or str(path.relative_to(PACKAGE)).startswith(home)
