"""Whether a video can be written under a name: tried before anything is paid for.

A file system is known by trying: what it takes for a name, and whether we may write there. The
trial's name is as long as the longest that a download uses beside the video.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["obstacle_to"]

_SHOWN_LETTERS = 40


def obstacle_to(path: Path) -> str | None:
    """Why no video can be written to ``path``, as the end of a sentence; ``None`` if one can be.

    Blocks. Missing folders are made by the download; here only their names are looked at.
    """
    trial = path.with_name(f"{path.name}.part.{secrets.token_hex(2)}")  # as long as ".part.json"
    parents = path.absolute().parents
    folder = next(parent for parent in parents if os.path.lexists(parent))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is no folder you may write to"
    missing = [parent.name for parent in parents if not os.path.lexists(parent)]
    if long := _too_long(folder, [trial.name, *missing]):
        return f"the name {long[:_SHOWN_LETTERS]}... is too long for this folder"
    if len(os.fsencode(trial)) >= _limit(folder, "PC_PATH_MAX"):  # which counts a closing NUL
        return f"the path {str(path)[:_SHOWN_LETTERS]}... is too long"
    return _rejection(folder / trial.name)


def _too_long(folder: Path, names: list[str]) -> str | None:
    limit = _limit(folder, "PC_NAME_MAX")
    return next((name for name in names if len(os.fsencode(name)) > limit), None)


def _limit(folder: Path, name: str) -> float:
    """One of the folder's limits in bytes; infinite where it has none, or nobody can tell."""
    try:
        limit = os.pathconf(folder, name)
    except (AttributeError, OSError, ValueError):  # Windows has no pathconf
        return float("inf")
    return limit if limit > 0 else float("inf")


def _rejection(trial: Path) -> str | None:
    """What the system says against a new file of this name; ``None``: nothing."""
    try:
        os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        trial.unlink()
    except OSError as error:
        return f"{trial.parent} takes no such file: {error.strerror}"
    return None
