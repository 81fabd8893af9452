"""``kling-effects scenes``: which of the known scenes to show, in which order, and their table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import rich_click as click

import kling_effects_async as kling
from kling_effects_async.cli.commands import Command
from kling_effects_async.cli.console import print_json, print_lines, say
from kling_effects_async.cli.options import as_json
from kling_effects_async.cli.signals import loaded

if TYPE_CHECKING:
    from kling_effects_async import SceneInfo

__all__ = ["scenes"]

_EXAMPLES = (
    "kling-effects scenes dance --images 1",
    "kling-effects scenes 拥抱 --all",
)

_COLUMNS = ("scene", "images", "name", "Kling's name", "status")
_WIDE = 200  # characters of a line in a pipe
_FOR_OTHERS = 40  # characters, for the columns after the first
_BREAK = re.compile(r"[\s_-]+")  # between words; an empty one is in every name


class SceneFilter(NamedTuple):
    """Which scenes to show.

    Attributes:
        search: words that must all be in the id or in a name; empty: every scene.
        images: only scenes with so many; ``None``: any.
        shows_all: also scenes that have ended, or that no list names any more.
    """

    search: str
    images: int | None
    shows_all: bool


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("search", nargs=-1)
@click.option("--images", type=click.IntRange(1, 2), help="Only scenes with this many images.")
@click.option("--all", "shows_all", is_flag=True, help="Also scenes that ended or are unlisted.")
@as_json
def scenes(search: tuple[str, ...], images: int | None, shows_all: bool, as_json: bool) -> None:
    """List the known scenes.

    With SEARCH, only scenes whose id or name (English or Chinese) contains all its words. The six
    scenes of the gateway's page come first. Scenes come and go, so a scene that is not listed here
    can be run as well.
    """
    loaded("kling_effects_async.scenes")
    wanted = SceneFilter(search=" ".join(search), images=images, shows_all=shows_all)
    shown, hidden = _chosen(kling.catalogue().values(), wanted)
    if as_json:
        print_json([_row_of(info) for info in shown])
    elif shown:
        _print_table(shown)
    if not shown and not hidden:
        _say_similar(wanted.search)
    if hidden:
        say(f"{len(hidden)} more have ended or are in no newest list: --all shows them")


def _print_table(shown: Iterable[SceneInfo]) -> None:
    import io
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = [_cells(info) for info in shown]
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False)
    width = Console().width if is_terminal else _WIDE
    longest = max(len(row[0]) for row in rows)
    # What is typed is never cut; where too little is left, the other columns go.
    columns = _COLUMNS if width >= longest + _FOR_OTHERS else _COLUMNS[:2]
    table.add_column(columns[0], no_wrap=True, min_width=longest)
    for name in columns[1:]:
        table.add_column(name)
    for row in rows:
        table.add_row(*row[: len(columns)])
    if is_terminal:
        Console(highlight=False).print(table)
        return
    # What reads a pipe wants whole lines, however wide, in an encoding that has Chinese.
    text = io.StringIO()
    Console(file=text, width=_WIDE, highlight=False).print(table)
    print_lines(line.rstrip() for line in text.getvalue().splitlines())


def _cells(info: SceneInfo) -> tuple[str, ...]:
    name_zh = info.name_zh or ""
    return (info.scene, str(info.images), info.name_en, name_zh, _status_of(info))


def _say_similar(words: str) -> None:
    from kling_effects_async.scenes import similar_scenes

    similar = similar_scenes(words)
    say(
        f"no known scene matches {words!r}"
        + (f"; like it: {', '.join(similar)}" if similar else "")
    )


def _chosen(
    scenes: Iterable[SceneInfo], wanted: SceneFilter
) -> tuple[Sequence[SceneInfo], Sequence[SceneInfo]]:
    """The scenes to show, those of the gateway's page first, and those that ``--all`` would add."""
    found = sorted((info for info in scenes if _matches(info, wanted)), key=_order)
    shown = [info for info in found if wanted.shows_all or _is_current(info)]
    return shown, [info for info in found if info not in shown]


def _status_of(info: SceneInfo) -> str:
    """Whether it is still available, as far as the lists tell."""
    facts = ["gateway's page"] if _is_in_gateway_page(info) else []
    if info.ended is not None:
        facts.append(f"ended on {info.ended}")
    elif info.is_listed:
        facts.append("listed" if len(info.regions) == 2 else f"listed, {info.regions[0]} only")
    elif not facts:
        facts.append("in no newest list")
    return "; ".join(facts)


def _row_of(info: SceneInfo) -> dict[str, object]:
    """A scene as ``--json`` prints it."""
    from attrs import asdict

    return {
        **asdict(info),
        "is_listed": info.is_listed,
        "is_in_gateway_page": _is_in_gateway_page(info),
        "status": _status_of(info),
    }


def _matches(info: SceneInfo, wanted: SceneFilter) -> bool:
    from kling_effects_async.scenes import folded

    names = [folded(name) for name in (info.scene, info.name_en, info.name_zh or "")]
    words = map(folded, _BREAK.split(wanted.search))
    has_words = all(any(word in name for name in names) for word in words)
    return has_words and wanted.images in (None, info.images)


def _is_current(info: SceneInfo) -> bool:
    return _is_in_gateway_page(info) or (info.is_listed and info.ended is None)


def _is_in_gateway_page(info: SceneInfo) -> bool:
    return info.scene in tuple(kling.Scene)


def _order(info: SceneInfo) -> tuple[int, str]:
    gateway = tuple(kling.Scene)
    first = gateway.index(kling.Scene(info.scene)) if info.scene in gateway else len(gateway)
    return first, info.scene
