"""``kling-effects scenes``: which of the known scenes to show, in which order, and their table."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Sequence

from attrs import asdict, frozen

from kling_effects_async import Scene, SceneInfo, catalogue
from kling_effects_async.cli.console import print_json, print_lines, say
from kling_effects_async.scenes import folded, similar_scenes

__all__ = ["SceneFilter", "list_scenes"]

_COLUMNS = ("scene", "images", "name", "Kling's name", "status")
_GATEWAY = tuple(Scene)
_BREAK = re.compile(r"[\s_-]+")  # between words; an empty one is in every name


@frozen(kw_only=True)
class SceneFilter:
    """What the command line asks to see.

    Attributes:
        search: words that must all be in the id or in a name; empty: every scene.
        images: only scenes with so many; ``None``: any.
        shows_all: those that have ended, or are in no list any more, too.
    """

    search: str = ""
    images: int | None = None
    shows_all: bool = False


def list_scenes(wanted: SceneFilter, *, as_json: bool) -> None:
    """Print the scenes that are wanted, and say what else there is."""
    shown, hidden = _chosen(catalogue().values(), wanted)
    if as_json:
        print_json([_row_of(info) for info in shown])
    elif shown:
        _print_table(shown)
    if not shown and not hidden:
        _say_similar(wanted.search)
    if hidden:
        say(f"{len(hidden)} more have ended or are in no newest list: --all shows them")


def _print_table(shown: Iterable[SceneInfo]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    table = Table(*_COLUMNS, box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False)
    for info in shown:
        name_zh = info.name_zh or ""
        table.add_row(info.scene, str(info.images), info.name_en, name_zh, _status_of(info))
    if is_terminal:
        Console(highlight=False).print(table)
        return
    # What reads a pipe wants whole lines, however wide, in an encoding that has Chinese.
    text = io.StringIO()
    Console(file=text, width=200, highlight=False).print(table)
    print_lines(line.rstrip() for line in text.getvalue().splitlines())


def _say_similar(words: str) -> None:
    similar = similar_scenes(words)
    say(
        f"no known scene matches {words!r}"
        + (f"; like it: {', '.join(similar)}" if similar else "")
    )


def _chosen(
    scenes: Iterable[SceneInfo], wanted: SceneFilter
) -> tuple[Sequence[SceneInfo], Sequence[SceneInfo]]:
    """The scenes to show, those of the gateway's page first, and those that ``--all`` would add."""
    found = sorted((info for info in scenes if _matches(info, wanted)), key=_place)
    shown = [info for info in found if wanted.shows_all or _is_current(info)]
    return shown, [info for info in found if info not in shown]


def _status_of(info: SceneInfo) -> str:
    """Whether it is still available, as far as the lists tell."""
    facts = ["gateway's page"] if info.scene in _GATEWAY else []
    if info.ended is not None:
        facts.append(f"ended on {info.ended}")
    elif info.is_listed:
        facts.append("listed" if len(info.regions) == 2 else f"listed, {info.regions[0]} only")
    elif not facts:
        facts.append("in no newest list")
    return "; ".join(facts)


def _row_of(info: SceneInfo) -> dict[str, object]:
    """A scene as ``--json`` prints it."""
    return {
        **asdict(info),
        "is_listed": info.is_listed,
        "is_in_gateway_page": info.scene in _GATEWAY,
        "status": _status_of(info),
    }


def _matches(info: SceneInfo, wanted: SceneFilter) -> bool:
    names = [folded(name) for name in (info.scene, info.name_en, info.name_zh or "")]
    words = map(folded, _BREAK.split(wanted.search))
    has_words = all(any(word in name for name in names) for word in words)
    return has_words and wanted.images in (None, info.images)


def _is_current(info: SceneInfo) -> bool:
    return info.scene in _GATEWAY or (info.is_listed and info.ended is None)


def _place(info: SceneInfo) -> tuple[int, str]:
    first = _GATEWAY.index(Scene(info.scene)) if info.scene in _GATEWAY else len(_GATEWAY)
    return first, info.scene
