"""Results as JSON, and how new ones differ from them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.bench.loops import has_uvloop
from tests.bench.measuring import Measured
from tests.bench.table import FIGURES, aligned

__all__ = ["changes", "machine", "read", "save"]


def machine(*, is_uvloop: bool) -> str:
    """One line on where the figures come from."""
    loop = "uvloop" if is_uvloop and has_uvloop() else "asyncio's loop"
    return (
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()}, "
        f"Python {platform.python_version()}, aiohttp {version('aiohttp')}, "
        f"uvloop {_yes(has_uvloop())}, pybase64 {_yes(find_spec('pybase64') is not None)}, "
        f"clients on {loop}"
    )


def _yes(is_there: bool) -> str:
    return "yes" if is_there else "no"


def save(path: Path, done: Iterable[Measured], *, machine: str) -> None:
    """Write everything that was measured, also what the table leaves out."""
    rows = {each.row.title: {"ours": each.ours, "plain": each.plain} for each in done}
    document = {"machine": machine, "rows": rows}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> Mapping[str, Any]:
    """What ``save`` wrote."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def changes(before: Mapping[str, Any], done: Iterable[Measured]) -> str:
    """Each figure then and now; the ratio to plain tells our change from the machine's."""
    lines: list[tuple[str, ...]] = [
        ("row", "figure", "ours then", "now", "change", "ratio then", "now")
    ]
    for measured in done:
        then = before["rows"].get(measured.row.title)
        if then is not None:
            lines += _changed(measured, then)
    return f"against {before['machine']}\n" + aligned(lines, right={2, 3, 4, 5, 6})


def _changed(measured: Measured, then: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    title = measured.row.title
    for name, (label, decimals) in FIGURES.items():
        if name not in measured.ours or name not in then["ours"]:
            continue
        ours, old = measured.ours[name], then["ours"][name]
        yield (
            title,
            label,
            f"{old:,.{decimals}f}",
            f"{ours:,.{decimals}f}",
            f"{100 * (ours / old - 1):+.0f} %" if old else "",
            _ratio(then["ours"], then["plain"], name),
            _ratio(measured.ours, measured.plain, name),
        )
        title = ""


def _ratio(ours: Mapping[str, float], plain: Mapping[str, float], name: str) -> str:
    return f"{ours[name] / plain[name]:.2f}" if plain.get(name) else ""
