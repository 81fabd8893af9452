"""Which tasks have just ended, so that their videos may still be on the way to their server.

A video server can need a while to know a new file. Source: an issue of
icebear0828/notebooklm-client reports about 150 s.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta

from kling_effects_async.models import TaskSnapshot
from kling_effects_async.transport.clock import Clock

__all__ = ["RecentTasks"]

_NEW_S = 600.0  # four times what was seen
_REMEMBERED = 10_000  # tasks; as many as the client remembers jobs without a journal


class RecentTasks:
    """When tasks were seen to end.

    What was seen here counts more than the times in the service's answers: its clock can be another
    one, and some services set the times of their rows again and again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended_at: OrderedDict[str, float | None] = OrderedDict()  # None: not yet

    def note(self, snapshot: TaskSnapshot) -> None:
        """Take in an answer of the service."""
        task_id = snapshot.task_id
        if not snapshot.is_final:
            self._ended_at.setdefault(task_id, None)
        elif self._ended_at.get(task_id, 0.0) is None:
            self._ended_at[task_id] = self._clock.monotonic()
        if len(self._ended_at) > _REMEMBERED:
            self._ended_at.popitem(last=False)

    def is_new(self, snapshot: TaskSnapshot) -> bool:
        """Whether an ended task may have ended a moment ago."""
        ended_at = self._ended_at.get(snapshot.task_id)
        if ended_at is not None:
            return self._clock.monotonic() - ended_at <= _NEW_S
        if snapshot.updated_at is None:
            return True
        return self._clock.now() - snapshot.updated_at <= timedelta(seconds=_NEW_S)
