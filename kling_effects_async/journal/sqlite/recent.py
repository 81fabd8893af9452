"""The ids of the newest jobs, read in a few milliseconds however long the journal is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from kling_effects_async.journal.sqlite.sqlite_file import connect_for_reading

__all__ = ["recent_ids"]

_LOOKED_AT = 10_000  # of the newest jobs
_MOST = 100


def recent_ids(path: Path, prefix: str, *, of_tasks: bool) -> list[tuple[str, str, str]]:
    """External ids, or task ids, that begin so: each with its scene and state, the newest first.

    The journal may be open in another process. Blocks.

    Args:
        path: of a journal, absolute.

    Raises:
        sqlite3.Error, OSError: it cannot be read.
    """
    name = "task_id" if of_tasks else "external_task_id"
    query = (
        f"SELECT {name}, scene, state FROM jobs "
        "WHERE id > (SELECT coalesce(max(id), 0) FROM jobs) - ? "
        f"AND substr({name}, 1, ?) = ? ORDER BY id DESC LIMIT ?"
    )
    with closing(connect_for_reading(path)) as connection:
        rows = connection.execute(query, (_LOOKED_AT, len(prefix), prefix, _MOST))
        return [(str(found), str(scene), str(state)) for found, scene, state in rows]
