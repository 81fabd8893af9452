"""Names for files, made from ids that a server chose, and the text that a path is kept as.

Names that are made from what a clip shows: ``clip_names``.

Such ids may hold ``../``, differ in case alone, or be called ``NUL``; no two may share a file.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote

from kling_effects_async.clip_names import DEVICE, TASK_ID

__all__ = ["as_text", "clip_file_name", "safe_name"]

_LONGEST_STEM = 100  # with digest, suffix and ".part.json" well below the usual 255 bytes
# Nothing, what reads like an option, and what Windows keeps for devices.
_MISREAD = re.compile(rf"(?i)\Z|-|({DEVICE})\Z")


def safe_name(task_id: str, *, suffix: str = ".mp4") -> str:
    """A file name for a task's video that no file system misreads, another one for each id.

    An id of lower-case letters, digits, ``_`` and ``-`` stays as it is; any other gets a digest.

    Args:
        suffix: used as it is; not for a server's words.
    """
    stem = quote(task_id, safe="", errors="surrogatepass").replace(".", "%2E").replace("~", "%7E")
    if _MISREAD.match(stem):
        stem = f"_{stem}"
    if stem == task_id.lower() and len(stem) <= _LONGEST_STEM:
        return stem + suffix
    # The dot keeps these apart from ids that stayed as they are: those have none.
    digest = hashlib.sha256(task_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{stem[:_LONGEST_STEM]}.{digest}{suffix}"


def clip_file_name(clip_name: str | None, task_id: str) -> str:
    """The name of the file for a job's clip.

    Args:
        clip_name: as the job has it; ``None``: the clip is named by its task's id.
    """
    if clip_name is None:
        return safe_name(task_id)
    return clip_name.replace(TASK_ID, safe_name(task_id, suffix=""))


def as_text(path: Path) -> str:
    """The absolute path, as the journal keeps it: what is no text is written with escapes."""
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")
