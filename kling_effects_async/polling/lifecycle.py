"""The life of a task as a table.

    SUBMITTED --> PROCESSING --> SUCCEEDED or FAILED
        an unknown word may stand anywhere before the end; it is never final

A status never goes back, and a final one absorbs whatever comes late or from a stale replica. The
same status seen again replaces what is held: its addresses are fresher.
"""

from __future__ import annotations

from kling_effects_async.models import TaskSnapshot, TaskStatus

__all__ = ["FOLLOWERS", "is_change", "newer"]

_ENDS = frozenset(status for status in TaskStatus if status.is_final)

FOLLOWERS: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.SUBMITTED: frozenset(TaskStatus),
    TaskStatus.PROCESSING: frozenset({TaskStatus.PROCESSING, TaskStatus.UNKNOWN}) | _ENDS,
    TaskStatus.UNKNOWN: frozenset({TaskStatus.PROCESSING, TaskStatus.UNKNOWN}) | _ENDS,
    **{end: frozenset({end}) for end in _ENDS},
}


def newer(held: TaskSnapshot | None, seen: TaskSnapshot) -> TaskSnapshot:
    """What to hold after ``seen`` came in; one of the two, unchanged."""
    if held is None or seen.status in FOLLOWERS[held.status]:
        return seen
    return held


def is_change(held: TaskSnapshot | None, seen: TaskSnapshot) -> bool:
    """Whether a caller is notified; new times and addresses alone are no change."""
    return held is None or (held.status, held.raw_status, held.message) != (
        seen.status,
        seen.raw_status,
        seen.message,
    )
