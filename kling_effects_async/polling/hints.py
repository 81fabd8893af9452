"""How many polls may be caused by messages that prove nothing; pure.

Anybody who knows the address of a receiver and the id of a running task can send such a message. So
each task is polled for one at most every 2 s, then 4 s, and so on up to a minute while the service
does not confirm what they claim, and all tasks together a limited number of times.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from kling_effects_async.callbacks.limits import TokenBucket
from kling_effects_async.polling.tracked_task import TrackedTask

__all__ = ["HintLimiter"]

_FIRST_S, _LONGEST_S = 2.0, 60.0
# A batch whose tasks end together, and then the ends of 300 tasks of a minute; without callbacks a
# client polls more often. Half of the burst is kept for ends.
_BURST, _PER_S = 50, 5.0


class HintLimiter:
    """Of one client."""

    def __init__(self) -> None:
        self._next: WeakKeyDictionary[TrackedTask, tuple[float, float]] = WeakKeyDictionary()
        self._bucket = TokenBucket(_BURST, _PER_S)

    def take(self, task: TrackedTask, now: float, *, is_end: bool = True) -> bool:
        """Whether the task may be polled now for a message about it; by default about its end."""
        from_s, pause_s = self._next.get(task, (now, _FIRST_S))
        if now < from_s or not self._bucket.take(now, leaving=0 if is_end else _BURST // 2):
            return False
        self._next[task] = (now + pause_s, min(_LONGEST_S, 2 * pause_s))
        return True
