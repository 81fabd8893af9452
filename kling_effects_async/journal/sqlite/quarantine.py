"""A damaged journal is moved aside and kept, and a fresh one needs the user's word.

Its jobs may be paid for and running. So moving it aside leaves a marker next to it, and as long as
the marker is there nothing opens. The journal that begins after that misses rows, see ``commits``:
each job that is submitted again is looked up, and its task is found instead of paid for once more.

    effects.db                          damaged
    effects.db.damaged-20261123T...Z    the same file, with its -wal and -shm
    effects.db.damaged                  the marker: what happened, in words
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from kling_effects_async.errors import JournalDamagedError
from kling_effects_async.journal.sqlite.times import stamp_of

__all__ = ["move_aside", "reject_after_damage"]

# The files that belong to a database; the database itself last, see `move_aside`.
_SUFFIXES = ("-wal", "-shm", "")


def move_aside(path: Path, error: Exception, *, at: datetime) -> JournalDamagedError:
    """Keep the damaged file under another name and leave the marker; the error to raise."""
    kept = path.with_name(f"{path.name}.damaged-{stamp_of(at)}")
    # The marker first: a crash after the renames would let an empty journal open without a word.
    _leave_marker(_marker(path), _story(path, kept, error))
    # With the side files first, no crash in between lets a fresh file meet the old one's WAL.
    for suffix in _SUFFIXES:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    return JournalDamagedError(_story(path, kept, error), path=kept)


def reject_after_damage(path: Path, *, start_fresh: bool) -> None:
    """Open nothing where a damaged journal was moved aside, unless the user said so.

    Raises:
        JournalDamagedError: the marker is there; its text is the message.
    """
    marker = _marker(path)
    if start_fresh:
        marker.unlink(missing_ok=True)
    elif marker.exists():
        story = marker.read_text("utf-8")
        kept = story.partition("\n")[0]
        raise JournalDamagedError(story, path=path.with_name(kept))


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _leave_marker(marker: Path, story: str) -> None:
    with marker.open("w", encoding="utf-8") as file:
        file.write(story)
        file.flush()
        os.fsync(file.fileno())


def _story(path: Path, kept: Path, error: Exception) -> str:
    return (
        f"{kept.name}\n"
        f"The journal {path} is damaged ({error}) and was moved aside to {kept}; nothing was "
        "deleted. Its jobs may be paid for. To go on, open it again with start_fresh=True: that "
        "begins an empty journal, which looks up each job at the service before it is submitted"
    )
