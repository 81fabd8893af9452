"""What a shell offers for a word that is being typed. Nothing here may fail, or take long."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import rich_click as click
from click.shell_completion import CompletionItem

__all__ = [
    "files",
    "folders",
    "job_ids",
    "profiles",
    "scene_then_files",
    "scenes",
    "services",
    "task_ids",
]

_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def files(_context: click.Context, _option: click.Parameter, word: str) -> list[CompletionItem]:
    """The shell's own completion of files."""
    return [CompletionItem(word, type="file")]


def folders(_context: click.Context, _option: click.Parameter, word: str) -> list[CompletionItem]:
    """The shell's own completion of folders."""
    return [CompletionItem(word, type="dir")]


def scenes(_context: click.Context, _option: click.Parameter, word: str) -> list[CompletionItem]:
    """Scenes that have not ended, as they are typed without quotes."""
    from kling_effects_async.scenes import catalogue

    known = ((_bare(scene), info) for scene, info in sorted(catalogue().items()))
    return [
        CompletionItem(name, help=f"{info.name_en}, images: {info.images}")
        for name, info in known
        if name.startswith(word) and info.ended is None
    ]


def scene_then_files(
    context: click.Context, option: click.Parameter, word: str
) -> list[CompletionItem]:
    """A scene or a manifest as the first word, and files after it."""
    is_first = not context.params.get(option.name or "")
    found = scenes(context, option, word) if is_first else []
    return found or files(context, option, word)


def services(_context: click.Context, _option: click.Parameter, word: str) -> list[CompletionItem]:
    """The names of services; a gateway's address is its owner's to know."""
    from kling_effects_async.protocol.services import SERVICE_NAMES

    return _starting(word, SERVICE_NAMES)


def profiles(_context: click.Context, _option: click.Parameter, word: str) -> list[CompletionItem]:
    """The profiles of the settings file, and those that ``auth login`` keeps a key of."""
    from kling_effects_async import cli
    from kling_effects_async.errors import SettingsError

    config = cli.settings_file.config_path()
    try:
        kept = (
            {} if config is None else cli.key_store.kept_profiles(cli.key_store.keys_path(config))
        )
        return _starting(word, sorted({*cli.settings_file.read_profiles(config), *kept}))
    except SettingsError:
        return []


def job_ids(context: click.Context, _option: click.Parameter, word: str) -> list[CompletionItem]:
    """The external ids of the newest jobs in the journal."""
    return _of_journal(context, word, is_task_id=False)


def task_ids(context: click.Context, _option: click.Parameter, word: str) -> list[CompletionItem]:
    """The task ids of the newest jobs in the journal."""
    return _of_journal(context, word, is_task_id=True)


def _of_journal(context: click.Context, word: str, *, is_task_id: bool) -> list[CompletionItem]:
    from kling_effects_async.cli.failures import Failure
    from kling_effects_async.cli.options import settings_of_file
    from kling_effects_async.journal.sqlite.recent import recent_ids

    named = [each.params.get("journal") for each in (context, context.parent) if each]
    try:
        given = next(filter(None, named), None) or os.environ.get("KLING_JOURNAL")
        given = given or settings_of_file(context).get("journal")
        found = recent_ids(Path(given).absolute(), word, of_tasks=is_task_id) if given else []
    except (Failure, OSError, ValueError, sqlite3.Error):
        return []
    return [CompletionItem(name, help=f"{scene}, {state}") for name, scene, state in found]


def _starting(word: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(word)]


def _bare(scene: str) -> str:
    """Without what a shell would take for a quote; ``run`` finds the scene all the same."""
    return scene.replace("'", "")
