"""``fuzzyfuzzy``: fur grows over the subject, and a wind goes through it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image

from kling_effects_async.preview.coat import Coat
from kling_effects_async.preview.fields import Field, Frame, resized
from kling_effects_async.preview.motion import ease
from kling_effects_async.preview.subject import find_subject
from kling_effects_async.preview.warp import Grid

__all__ = ["FuzzyFuzzy"]

# Painting fur takes too long for every frame (0.6 s at 720p), so it is painted at these lengths,
# and frames between are blended. The first steps are short: that is where growing is seen best.
STAGES = (0.0, 0.16, 0.4, 0.7, 1.0)

WIND = 0.011  # how far hair is blown, of the shorter side


class FuzzyFuzzy:
    """Blend two stages of growth, then bend them by waves that travel over the coat."""

    def __init__(self, picture: Image.Image) -> None:
        subject = find_subject(picture)
        coat = Coat(picture, subject)
        self._stages = [picture, *(coat.grown(share) for share in STAGES[1:])]
        self._grid = Grid(picture.size)
        rows, columns = self._grid.x.shape
        self._loose = resized(coat.loose, (columns, rows))

    def frame(self, t: float) -> Frame:
        length = ease(t, 0.02, 0.62)
        grid, wave = self._grid, self._wave(t) * length
        return np.asarray(grid.warp(self._grown(length), wave, 0.4 * wave))

    def _grown(self, length: float) -> Image.Image:
        steps = zip(pairwise(STAGES), pairwise(self._stages), strict=True)
        for (low, high), (shorter, longer) in steps:
            if length <= high:
                return Image.blend(shorter, longer, (length - low) / (high - low))
        return self._stages[-1]

    def _wave(self, t: float) -> Field:
        """How far each node is blown, in pixels: two gusts of different pace and direction."""
        u, v = self._grid.x / min(self._grid.size), self._grid.y / min(self._grid.size)
        turn = 2 * np.pi * t
        gust = np.sin(11 * u + 6 * v - 4 * turn) + 0.5 * np.sin(19 * u - 13 * v + 6 * turn)
        return WIND * min(self._grid.size) * gust * self._loose
