"""When to poll one task next, from how long this service's tasks took so far; pure.

    nothing learned   |--1--|--1--|---2---|----3----|  a growing pace, a small part of the age
    learned           |....no polls.....|-1-|-1-|-1-|--2--|----4----|
                                        ^ shortly before the earliest likely end

Growing intervals alone poll least when the end is most likely. So the lengths of past tasks are
kept for each scene, and polls are dense where ends were. A gateway that refreshes from its upstream
only every so often is noticed, and not polled more often than that.

A task's end lies between the last time it was seen running and the first time it was seen ended, by
our own clock. The service's times show where in between; those that contradict what was seen, or do
not move, teach nothing, and a service whose times have contradicted it is not believed for a while.
"""

from __future__ import annotations

import json
import math
from collections import deque

from kling_effects_async.policy import PollPolicy
from kling_effects_async.polling.staleness import Sighting, Staleness

__all__ = ["DurationHistory"]

# Cold start: the end of a task is known, on average, 5 % of its length late.
_SHARE_OF_AGE = 0.1
# Enough to hold a whole batch: its last tasks alone would be the slow ones.
_KEPT = 512
_ENOUGH = 8
_REVIEW_EVERY = 16
# Ends are expected from a little before the 2 % quantile to a little after the 98 % one, with some
# 25 polls in between if the shortest pause allows.
_EARLY, _LATE = 0.02, 0.98
_MARGIN = 0.05
_LOOKS = 25
# Third parties plan for six minutes.
_NOTHING_LEARNED = (0.0, 360.0)
# What a request takes to and fro is no contradiction.
_TOLERANCE_S = 1.0
# The service's times are believed while at most so many of its last 16 contradicted what was seen.
_CONTRADICTIONS = 2
# How long before it was seen an end is taken to be where no times are believed: half of the time
# without a poll, but at most this part of the age, or a task that was hardly polled would count
# with half its age.
_UNSEEN = 0.05
# The last part of that time, in which the service's end is taken for the time of its answer.
_EDGE = 0.1


class DurationHistory:
    """How long the tasks of one account took, by scene, and how stale the answers were."""

    def __init__(self) -> None:
        self._lengths: dict[str, deque[float]] = {}
        self._windows: dict[str, tuple[float, float]] = {}
        self._staleness = Staleness()
        self._refresh_s = 0.0  # of the staleness; every poll needs it, and only ends change it
        self._contradicted: deque[bool] = deque(maxlen=16)
        self._learned = 0

    def learn(
        self,
        scene: str,
        *,
        seen_s: float,
        seen_running_s: float,
        stated_s: float | None,
        began_at: float | None = None,
    ) -> None:
        """Add one task that ended.

        Args:
            seen_s: its age when the end was seen.
            seen_running_s: its age when it was last seen running.
            stated_s: its length by the service's own times; ``None`` where there are none.
            began_at: when it began, by the clock of the ages; ``None`` where that is not known.
        """
        if stated_s is not None:
            self._contradicted.append(_contradicts(stated_s, seen_running_s, seen_s))
        if stated_s is not None and stated_s > 0:
            self._notice_staleness(seen_s, seen_running_s, stated_s, began_at)
        if began_at is not None:
            self._staleness.saw(began_at + seen_running_s, began_at + seen_s)
        self._refresh_s = self._staleness.refresh_s
        is_believed = sum(self._contradicted) <= _CONTRADICTIONS
        lengths = self._lengths.setdefault(scene, deque(maxlen=_KEPT))
        lengths.append(_length(seen_s, seen_running_s, stated_s if is_believed else None))
        self._learned += 1
        if len(lengths) == _ENOUGH or (
            len(lengths) > _ENOUGH and self._learned % _REVIEW_EVERY == 0
        ):
            self._windows[scene] = _window(sorted(lengths))

    def pause(self, policy: PollPolicy, scene: str, age_s: float) -> float:
        """Seconds until the next poll of a running task of this age."""
        window = self._windows.get(scene)
        shortest_s = max(policy.shortest_s, min(policy.max_interval_s, self._refresh_s))
        if window is None:
            pause_s = age_s * _SHARE_OF_AGE
        elif age_s < window[0]:
            return max(shortest_s, window[0] - age_s)
        elif age_s < window[1]:
            pause_s = (window[1] - window[0]) / _LOOKS
        else:
            pause_s = (age_s - window[1]) / 2
        return min(policy.max_interval_s, max(shortest_s, pause_s))

    def earliest_end_in_s(self, scene: str, age_s: float) -> float | None:
        """Seconds in which a running task of this age cannot be expected to end.

        ``None``: it runs far longer than the others did, or than any task is known to.
        """
        earliest_s, latest_s = self._windows.get(scene, _NOTHING_LEARNED)
        if age_s > 2 * latest_s:
            return None
        return earliest_s - age_s if age_s < earliest_s else 0.0

    def spread(self, scene: str) -> tuple[float, float, float] | None:
        """What a tenth, nine tenths, and all tasks of the scene took at most, in seconds.

        ``None`` before eight of them ended here.
        """
        lengths = sorted(self._lengths.get(scene, ()))
        if len(lengths) < _ENOUGH:
            return None
        last = len(lengths) - 1
        return lengths[round(last * 0.1)], lengths[round(last * 0.9)], lengths[last]

    def dumps(self) -> str:
        """What is worth remembering, as text."""
        rounded = {
            scene: [round(length, 3) for length in lengths]
            for scene, lengths in self._lengths.items()
        }
        return json.dumps({"lengths": rounded, "staleness": self._staleness.dumps()})

    def load(self, text: str) -> None:
        """Restore what ``dumps`` returned; what cannot be read is learned anew."""
        try:
            saved = json.loads(text)
            for scene, lengths in saved["lengths"].items():
                usable = [length for length in map(float, lengths) if 0 < length < math.inf]
                self._lengths[scene] = deque(usable, maxlen=_KEPT)
                if len(usable) >= _ENOUGH:
                    self._windows[scene] = _window(sorted(self._lengths[scene]))
            self._staleness.add(map(float, saved["staleness"]))
            self._refresh_s = self._staleness.refresh_s
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return

    def _notice_staleness(
        self, seen_s: float, seen_running_s: float, stated_s: float, began_at: float | None
    ) -> None:
        if began_at is None:
            self._staleness.add([seen_running_s - stated_s])
            return
        end = Sighting(began_at + seen_running_s, began_at + seen_s, began_at + stated_s)
        self._staleness.notice(end)


def _contradicts(stated_s: float, seen_running_s: float, seen_s: float) -> bool:
    """Whether the service's length cannot be, by what was seen; a stale answer is no exception."""
    is_possible = seen_running_s - _TOLERANCE_S <= stated_s <= seen_s + _TOLERANCE_S
    return stated_s <= 0 or not is_possible


def _length(seen_s: float, seen_running_s: float, stated_s: float | None) -> float:
    """The task's length: the service's, if that is possible; else just before it was seen ended.

    An end at the very moment of the answer is worth nothing: some services send the time of each
    answer instead.
    """
    unseen_s = max(0.0, seen_s - seen_running_s)
    stated_s = stated_s or 0.0
    if max(0.0, seen_running_s) < stated_s < seen_s - _EDGE * unseen_s:
        return stated_s
    return seen_s - min(unseen_s / 2, seen_s * _UNSEEN)


def _window(lengths: list[float]) -> tuple[float, float]:
    """From when to when ends are likely."""
    last = len(lengths) - 1
    early, late = lengths[round(last * _EARLY)], lengths[round(last * _LATE)]
    return early * (1 - _MARGIN), late * (1 + _MARGIN)
