"""What may be replaced by a video: a regular file, or a link that leads to one or to nothing.

A device, a named pipe or a socket is used by other programs under its name; a file in its place
breaks them. ``/dev/stdout`` is a link to such a thing, so a link is judged by where it leads.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["irreplaceable_kind"]

_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


def irreplaceable_kind(path: Path) -> str | None:
    """What is at ``path`` that must stay, such as "device"; ``None`` if a video may go there.

    Blocks. What cannot be looked at is left to the act itself, which then fails.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # nothing there, a dangling link; a NUL in the name
        return None
    if stat.S_ISREG(mode):
        return None
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "special file")
