"""The command ``scenes``: options in, ``scene_list`` does it."""

from __future__ import annotations

import rich_click as click

from kling_effects_async.cli.options import as_json
from kling_effects_async.cli.signals import loading

__all__ = ["scenes"]


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
        from kling_effects_async.cli.scene_list import SceneFilter, list_scenes

    wanted = SceneFilter(search=" ".join(search), images=images, shows_all=shows_all)
    list_scenes(wanted, as_json=as_json)
