"""``expansion``: the subject is blown up like a balloon, shines, lifts a little and sways."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kling_effects_async.preview.balloon import lit_as_balloon
from kling_effects_async.preview.fields import Field, Frame
from kling_effects_async.preview.motion import Spring, ease, swing
from kling_effects_async.preview.subject import find_subject
from kling_effects_async.preview.warp import Grid

__all__ = ["Expansion"]

# Three breaths into the balloon.
BREATHS = ((0.05, 0.4), (0.2, 0.72), (0.35, 1.0))

SWELL = 0.34  # a full balloon is 1 / (1 - SWELL) times as large as the subject was


class Expansion:
    """The lit picture is painted once; a frame blends it in and bends it by the grid."""

    def __init__(self, picture: Image.Image) -> None:
        self._picture = picture
        self._grid = Grid(picture.size)
        self._air = Spring.pulled(BREATHS, cycles=6, damping=0.38)
        self._subject = find_subject(picture)
        shorter = min(picture.size)
        self._reach = [min(max(r, 0.25 * shorter), 0.5 * shorter) for r in self._subject.reach]
        self._lit = lit_as_balloon(picture, self._subject.matte)

    def frame(self, t: float) -> Frame:
        air = self._air(t)
        lit = Image.blend(self._picture, self._lit, min(max(air, 0.0), 1.0))
        return np.asarray(self._grid.warp(lit, *self._shift(air, t)))

    def _shift(self, air: float, t: float) -> tuple[Field, Field]:
        """Grow evenly inside, give way quickly outside; later float on a string."""
        cx, cy = self._subject.centre
        x, y = self._grid.x - cx, self._grid.y - cy
        radius = np.hypot(x / self._reach[0], y / self._reach[1])
        swell = SWELL * air * np.exp(-((radius / 1.1) ** 3))
        body = np.exp(-((radius / 1.3) ** 4))
        afloat = ease(t, 0.45, 0.8)
        turn = 0.06 * afloat * swing(t - 0.45, 2.2) * body
        rise = 0.02 * afloat * (1 + swing(t - 0.45, 1.6)) * min(self._grid.size) * body
        from_steady = self._grid.y - self._subject.steady_y
        return -x * swell - turn * y, -from_steady * swell + turn * x + rise
