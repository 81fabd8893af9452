"""When to ask next about one task, from what this service's tasks took so far; pure.

    nothing learned   |--1--|--1--|---2---|----3----|  a growing pace, a small part of the age
    learned           |......quiet......|-1-|-1-|-1-|--2--|----4----|
                                        ^ shortly before the earliest likely end

Growing intervals alone ask least when the end is most likely. So the lengths of past tasks are kept
for each scene, and questions are dense where ends were. A gateway that looks at its upstream only
every so often is noticed, and not asked more often than that.
"""

from __future__ import annotations

import json
from collections import deque

from kling_effects_async.policy import PollPolicy

__all__ = ["Experience"]

# Cold start: the end of a task is known, on average, 5 % of its length late.
_SHARE_OF_AGE = 0.1
# Enough to hold a whole batch: its last tasks alone would be the slow ones.
_KEPT = 512
_ENOUGH = 8
_REVIEW_EVERY = 16
# Ends are expected from a little before the 2 % quantile to a little after the 98 % one, and asked
# for some 25 times in between if the shortest pause allows.
_EARLY, _LATE = 0.02, 0.98
_MARGIN = 0.05
_LOOKS = 25
# Third parties plan for six minutes.
_NOTHING_LEARNED = (0.0, 360.0)
# One late answer is an accident; this many are how the gateway works.
_STALE_ENOUGH = 3
# Beyond what gateways are known for (about 15 s), the service's times mean something else.
_STALE_FROM_S, _STALE_TO_S = 2.0, 20.0


class Experience:
    """How long the tasks of one account took, by scene, and how stale the answers were."""

    def __init__(self) -> None:
        self._lengths: dict[str, deque[float]] = {}
        self._windows: dict[str, tuple[float, float]] = {}
        self._staleness: deque[float] = deque(maxlen=16)
        self._learned = 0

    def learn(
        self, scene: str, *, seen_s: float, seen_running_s: float, told_s: float | None
    ) -> None:
        """Take in one task that ended.

        Args:
            seen_s: its age when the end was seen.
            seen_running_s: its age when it was last seen running.
            told_s: its length by the service's own times.
        """
        behind_s = 0.0 if told_s is None else seen_running_s - told_s
        if _STALE_FROM_S < behind_s <= _STALE_TO_S:
            self._staleness.append(behind_s)
        if told_s is None or behind_s > _STALE_TO_S:
            told_s = (seen_running_s + seen_s) / 2  # its times are of something else
        # The service's clock may be another one; but an end is never later than it was seen.
        lengths = self._lengths.setdefault(scene, deque(maxlen=_KEPT))
        lengths.append(min(told_s, seen_s))
        self._learned += 1
        if len(lengths) == _ENOUGH or (
            len(lengths) > _ENOUGH and self._learned % _REVIEW_EVERY == 0
        ):
            self._windows[scene] = _window(sorted(lengths))

    def pause(self, policy: PollPolicy, scene: str, age_s: float) -> float:
        """Seconds until the next question about a running task of this age."""
        window = self._windows.get(scene)
        shortest_s = max(policy.shortest_s, self._refresh_s(policy))
        if window is None:
            pause_s = age_s * _SHARE_OF_AGE
        elif age_s < window[0]:
            return max(shortest_s, window[0] - age_s)
        elif age_s < window[1]:
            pause_s = (window[1] - window[0]) / _LOOKS
        else:
            pause_s = (age_s - window[1]) / 2
        return min(policy.ceiling_s, max(shortest_s, pause_s))

    def quiet_s(self, scene: str, age_s: float) -> float | None:
        """Seconds in which a running task of this age cannot be expected to end.

        ``None``: it runs far longer than the others did, or than any task is known to.
        """
        earliest_s, latest_s = self._windows.get(scene, _NOTHING_LEARNED)
        if age_s > 2 * latest_s:
            return None
        return earliest_s - age_s if age_s < earliest_s else 0.0

    def dumps(self) -> str:
        """What is worth remembering, as text."""
        rounded = {
            scene: [round(length, 3) for length in lengths]
            for scene, lengths in self._lengths.items()
        }
        return json.dumps({"lengths": rounded, "staleness": list(self._staleness)})

    def load(self, text: str) -> None:
        """Take up what ``dumps`` said; what cannot be read is learned anew."""
        try:
            told = json.loads(text)
            for scene, lengths in told["lengths"].items():
                self._lengths[scene] = deque(map(float, lengths), maxlen=_KEPT)
                if len(lengths) >= _ENOUGH:
                    self._windows[scene] = _window(sorted(self._lengths[scene]))
            self._staleness.extend(map(float, told["staleness"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def _refresh_s(self, policy: PollPolicy) -> float:
        """How often the service looks at its upstream, as far as was noticed."""
        if len(self._staleness) < _STALE_ENOUGH:
            return 0.0
        return min(policy.ceiling_s, max(self._staleness))


def _window(lengths: list[float]) -> tuple[float, float]:
    """From when to when ends are likely."""
    last = len(lengths) - 1
    early, late = lengths[round(last * _EARLY)], lengths[round(last * _LATE)]
    return early * (1 - _MARGIN), late * (1 + _MARGIN)
