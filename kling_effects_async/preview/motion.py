"""How things move in time. Time runs from 0 to 1 over a clip, whatever its length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from attrs import frozen

from kling_effects_async.preview.fields import Field

__all__ = ["Spring", "ease", "swing"]

GLIDE = 0.1  # of a clip: how long an anchor takes to its next place; a jump would show as a jerk


def ease(t: float, begin: float = 0.0, end: float = 1.0) -> float:
    """From 0 at ``begin`` to 1 at ``end``, with speed and acceleration 0 at both."""
    x = min(max((t - begin) / (end - begin), 0.0), 1.0)
    return x**3 * (x * (6 * x - 15) + 10)


def swing(t: float, cycles: float) -> float:
    """A sine that starts at 0 and goes round ``cycles`` times in a clip."""
    return math.sin(2 * math.pi * cycles * t)


@frozen
class Spring:
    """A weight on a spring, at rest at 0, whose anchor is moved now and then.

    This one curve gives soft bodies their overshoot and their dying wobble.
    """

    path: Field

    STEPS = 600

    @classmethod
    def pulled(
        cls, pulls: Sequence[tuple[float, float]], *, cycles: float, damping: float
    ) -> Spring:
        """Follow the anchor through ``(time, place)`` pairs, in order of time.

        Args:
            cycles: free oscillations in a clip.
            damping: 0 rings for ever, 1 never overshoots.
        """
        pace = 2 * math.pi * cycles
        place = speed = 0.0
        path = [place]
        for step in range(cls.STEPS):
            anchor = _anchor(pulls, step / cls.STEPS)
            speed += (pace * pace * (anchor - place) - 2 * damping * pace * speed) / cls.STEPS
            place += speed / cls.STEPS
            path.append(place)
        return cls(np.array(path, np.float32))

    def __call__(self, t: float) -> float:
        return float(np.interp(t * self.STEPS, np.arange(len(self.path)), self.path))


def _anchor(pulls: Sequence[tuple[float, float]], t: float) -> float:
    """Where the anchor is at ``t``, gliding from each place to the next."""
    steps = pairwise([(0.0, 0.0), *pulls])
    return sum((new - old) * ease(t, at, at + GLIDE) for (_, old), (at, new) in steps)
