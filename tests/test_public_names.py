"""The public names: one table, and what has to agree with it."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import kling_effects_async

TABLE = kling_effects_async._NAMES
NAMES = [name for names in TABLE.values() for name in names]
PACKAGE = Path(kling_effects_async.__file__)
TYPED = Path(__file__).parent / "typing" / "api.py"


def imported(body: list[ast.stmt]) -> dict[str, set[str]]:
    """Names by the modules that they are imported from."""
    found: dict[str, set[str]] = {}
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return found


def for_type_checkers() -> list[ast.stmt]:
    """What only a type checker imports in the package's ``__init__``."""
    tree = ast.parse(PACKAGE.read_text("utf-8"))
    (guarded,) = [n for n in tree.body if isinstance(n, ast.If) and isinstance(n.test, ast.Name)]
    return guarded.body


def test_type_checkers_import_what_the_table_has() -> None:
    shown = imported(for_type_checkers())
    assert shown == {f"kling_effects_async.{home}": set(names) for home, names in TABLE.items()}


def test_type_checkers_see_each_name_as_exported() -> None:
    aliases = [a for n in for_type_checkers() if isinstance(n, ast.ImportFrom) for a in n.names]
    assert [alias.name for alias in aliases if alias.asname != alias.name] == []


def test_every_public_name_and_no_other_is_used_by_the_typed_file() -> None:
    """To add or drop a name, change ``tests/typing/api.py`` too: it pins the public names."""
    tree = ast.parse(TYPED.read_text("utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    is_mistake = {"EffectClient"}
    shown = imported(tree.body)["kling_effects_async"] - is_mistake
    assert shown == set(NAMES)
    assert shown - used == set()


def test_no_name_is_in_the_table_twice() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_dir_and_star_import_give_the_names_of_the_table() -> None:
    starred: dict[str, object] = {}
    exec("from kling_effects_async import *", starred)
    assert starred.keys() - {"__builtins__"} == set(NAMES)
    assert dir(kling_effects_async) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_its_modules_own(name: str) -> None:
    home = next(home for home, names in TABLE.items() if name in names)
    module = import_module(f"kling_effects_async.{home}")
    assert getattr(kling_effects_async, name) is getattr(module, name)
    assert name in getattr(module, "__all__", vars(module))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_class_or_function_has_a_docstring_of_its_own(name: str) -> None:
    value = getattr(kling_effects_async, name)
    if isinstance(value, type) or inspect.isfunction(value):
        assert vars(value).get("__doc__") if isinstance(value, type) else value.__doc__


def drawn_parents(drawing: str) -> dict[str, str]:
    """The parent of each name in a drawing whose branches are four columns wide."""
    parents: dict[str, str] = {}
    line_of: list[str] = ["KlingEffectsError"]
    for indent, name in re.findall(r"^((?:[│ ]   )*(?:├|└)── )(\w+)", drawing, re.MULTILINE):
        depth = len(indent) // 4
        line_of[depth:] = [name]
        parents[name] = line_of[depth - 1]
    return parents


def test_the_drawing_of_the_errors_is_their_class_tree() -> None:
    errors = import_module("kling_effects_async.errors")
    own = [getattr(errors, name) for name in TABLE["errors"]]
    bases = {
        error.__name__: error.__bases__[0].__name__
        for error in own
        if issubclass(error, errors.KlingEffectsError) and error is not errors.KlingEffectsError
    }
    assert drawn_parents(errors.__doc__ or "") == bases


def test_every_class_of_the_errors_is_public() -> None:
    errors = import_module("kling_effects_async.errors")
    own = {n for n, c in vars(errors).items() if getattr(c, "__module__", "") == errors.__name__}
    assert set(TABLE["errors"]) == {name for name in own if name[0] != "_"}


def test_a_misspelled_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'kling_effects_async' has no attribute 'Efects'"):
        _ = kling_effects_async.Efects  # type: ignore[attr-defined]  # the mistake


def test_the_import_loads_neither_our_modules_nor_typing() -> None:
    code = (
        "import sys; had = set(sys.modules); import kling_effects_async as k; dir(k); "
        "new = set(sys.modules) - had; "
        "print([m for m in new if m.startswith('kling_effects_async.') or m == 'typing'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
