"""What a video may be written to, found before anything is opened: no open waits for a pipe.

A video may replace a regular file, or a link that leads to one or to nothing. A device, a named
pipe or a socket is used by other programs under its name; a file in its place breaks them.
``/dev/stdout`` is a link to such a thing, so the target is judged by where it leads. Our own files
beside it are never links: their bytes would go elsewhere.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["irreplaceable_kind", "odd_side_file", "side_files"]

_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISLNK, "link"),
)


def side_files(target: Path) -> tuple[Path, Path]:
    """Where a video's bytes grow, and where it is noted what they are."""
    return target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json")


def irreplaceable_kind(path: Path) -> str | None:
    """What is at ``path`` that must stay, such as "device"; ``None`` if a video may go there.

    Blocks. What cannot be examined is left to the write itself, which then fails.
    """
    return _odd_kind(path, follow_symlinks=True)


def odd_side_file(target: Path) -> str | None:
    """Why a download to ``target`` cannot use its side files, as a sentence; blocks."""
    for path in side_files(target):
        if kind := _odd_kind(path, follow_symlinks=False):
            return f"{path} is a {kind}, not a file; remove it, or choose another name"
    return None


def _odd_kind(path: Path, *, follow_symlinks: bool) -> str | None:
    try:
        mode = os.stat(path, follow_symlinks=follow_symlinks).st_mode
    except (OSError, ValueError):  # nothing there, a dangling link; a NUL in the name
        return None
    if stat.S_ISREG(mode):
        return None
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "special file")
