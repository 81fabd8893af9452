"""The command ``scenes``: a table of the known scenes."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import rich_click as click

from kling_effects_async.cli.loading import loading
from kling_effects_async.cli.options import as_json
from kling_effects_async.cli.output import print_json, print_lines
from kling_effects_async.cli.talk import say

if TYPE_CHECKING:
    from kling_effects_async import SceneInfo

__all__ = ["scenes"]

_COLUMNS = ("scene", "images", "name", "Kling's name", "status")


@click.command()
@click.argument("search", nargs=-1)
@click.option("--images", type=click.IntRange(1, 2), help="Only scenes with so many images.")
@click.option("--all", "shows_all", is_flag=True, help="Ended and unlisted ones too.")
@as_json
def scenes(search: tuple[str, ...], images: int | None, shows_all: bool, as_json: bool) -> None:
    """List the known scenes.

    With SEARCH, those whose id or name (English or Chinese) has all its words in it. The six of the
    gateway's page come first. Scenes come and go: a name that is not here can be run all the same.
    """
    with loading():
        from kling_effects_async import catalogue
        from kling_effects_async.cli.scene_list import Choice, chosen, row_of

    words = " ".join(search)
    choice = Choice(search=words, images=images, shows_all=shows_all)
    shown, hidden = chosen(catalogue().values(), choice)
    if as_json:
        print_json([row_of(info) for info in shown])
    elif shown:
        _print_table(shown)
    if not shown and not hidden:
        _say_similar(words)
    if hidden:
        say(f"{len(hidden)} more have ended or are in no newest list: --all shows them")


def _print_table(shown: Iterable[SceneInfo]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from kling_effects_async.cli.scene_list import status_of

    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    table = Table(*_COLUMNS, box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False)
    for info in shown:
        name_zh = info.name_zh or ""
        table.add_row(info.scene, str(info.images), info.name_en, name_zh, status_of(info))
    if is_terminal:
        Console(highlight=False).print(table)
        return
    # What reads a pipe wants whole lines, however wide, in an encoding that has Chinese.
    text = io.StringIO()
    Console(file=text, width=200, highlight=False).print(table)
    print_lines(line.rstrip() for line in text.getvalue().splitlines())


def _say_similar(words: str) -> None:
    from kling_effects_async.scenes import similar_scenes

    similar = similar_scenes(words)
    say(
        f"no known scene matches {words!r}"
        + (f"; like it: {', '.join(similar)}" if similar else "")
    )
