"""Where a run's own files are: its journal, by default in the user's state folder."""

from __future__ import annotations

from pathlib import Path

from kling_effects_async import SettingsError
from kling_effects_async.cli.bulk.arguments import BulkArguments, default_run_name

__all__ = ["journal_of", "state_folder"]


def state_folder() -> Path:
    """The folder for the journals of runs.

    Raises:
        SettingsError: the user has no home folder.
    """
    import platformdirs

    try:
        return platformdirs.user_state_path("kling-effects", appauthor=False) / "runs"
    except (KeyError, OSError, RuntimeError):  # a user id that no list of users has
        raise SettingsError(
            "this user has no home folder for the journal: name a file with --journal, or do "
            "without one with --no-journal"
        ) from None


def journal_of(arguments: BulkArguments) -> Path | None:
    """The run's journal, its folder made; ``None`` without one. Blocks.

    Raises:
        SettingsError: its folder cannot be made.
    """
    if not arguments.has_journal:
        return None
    if arguments.journal is not None:
        return Path(arguments.journal)
    name = default_run_name(arguments.scene, arguments.sources)
    if arguments.run is not None:
        name = f"{name}-{arguments.run}"
    path = state_folder() / f"{name}.db"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the folder {path.parent} for the journal cannot be made ({error.strerror}): name a "
            "file with --journal, or do without one with --no-journal"
        ) from None
    return path
