"""Whether ends are announced by callbacks, so that polls need only be a safety net; pure.

    an end counts for it       a message said so before a poll saw it, or at most 5 s after
    an end counts against it   a poll saw it, and no message came within 5 s

After three ends for it in a row, tasks whose changes are sent to us are polled once in four times
``PollPolicy.max_interval_s``, or in two minutes if that is less; by default once a minute. One end
against it, and all of them are polled at the usual pace at once, until there are three in a row
again. So where callbacks stop, the first end that a poll finds ends the slow pace for all; and
where they never come, nothing is ever slower than without.

A task is not slowed once a message has said that it ended, or while its video is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.tracked_task import NEVER, TrackedTask

__all__ = ["PushTrust", "slow_poll_at"]

_ENOUGH = 3
_GRACE_S = 5.0
_SLOWER = 4
_LONGEST_S = 120.0


class PushTrust:
    """What is known of the callbacks of one account."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._not_told: dict[TrackedTask, float] = {}  # until when a message counts, oldest first

    @property
    def is_trusted(self) -> bool:
        """Ends are announced."""
        return self._in_a_row >= _ENOUGH

    @property
    def judges_at(self) -> float:
        """When ``judge`` has something to do; ``NEVER`` if there is nothing."""
        return next(iter(self._not_told.values())) if self._not_told else NEVER

    def told(self, task: TrackedTask, now: float) -> None:
        """A message says that the task has ended."""
        task.told_at = now
        if self._not_told.pop(task, None) is not None:
            self._in_a_row += 1

    def ended(self, task: TrackedTask, now: float) -> None:
        """The end of a task is known."""
        if not task.is_announced:
            return
        if now - task.told_at <= _GRACE_S:
            self._in_a_row += 1
        else:
            self._not_told[task] = now + _GRACE_S

    def judge(self, now: float) -> bool:
        """Count the ends that no message came for; whether callbacks are trusted no more."""
        if not self._not_told:  # without callbacks, as most often
            return False
        was_trusted = self.is_trusted
        for task in list(self._overdue(now)):
            del self._not_told[task]
            self._in_a_row = 0
        return was_trusted and not self.is_trusted

    def slows(self, task: TrackedTask) -> bool:
        """Whether the task is polled as a safety net only."""
        if not task.is_announced or not self.is_trusted:
            return False
        return task.result_missing_since is None and task.told_at == -math.inf

    def _overdue(self, now: float) -> Iterator[TrackedTask]:
        for task, until in self._not_told.items():
            if until > now:
                return
            yield task


def slow_poll_at(policy: PollPolicy, now: float, usual_s: float, *, is_shared: bool) -> float:
    """When to poll a task next as a safety net.

    Args:
        usual_s: the usual pause; a longer one is kept.
        is_shared: pages answer for many, so polls of many tasks are put at the same moments.
    """
    pause_s = min(_SLOWER * policy.max_interval_s, _LONGEST_S)
    if usual_s >= pause_s:
        return now + usual_s
    if not is_shared:
        return now + pause_s
    moments_s = pause_s / 2
    return math.floor((now + pause_s) / moments_s) * moments_s
