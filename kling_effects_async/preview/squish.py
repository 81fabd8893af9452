"""``squish``: the subject is soft clay, squeezed from the sides, patted flat and let go."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kling_effects_async.preview.fields import Field, Frame, coordinates
from kling_effects_async.preview.motion import Spring
from kling_effects_async.preview.subject import find_subject
from kling_effects_async.preview.warp import Grid

__all__ = ["Squish"]

# Where two unseen hands are: 1 is full squeeze from the sides, -1 full pressure from above.
HANDS = ((0.05, 1.0), (0.26, 0.75), (0.38, -0.9), (0.58, -0.7), (0.68, 0.85), (0.86, 0.0))

SOFTNESS = 0.42  # how far the clay gives way; from 0.6 on faces are hard to read
DENT = 0.16  # how much deeper it gives way under the hands
QUIVERS = 6  # in a clip


class Squish:
    """One number, ``squeeze``, rules a frame: what goes in at the sides goes out at the top."""

    def __init__(self, picture: Image.Image) -> None:
        self._picture = picture
        self._grid = Grid(picture.size)
        self._squeeze = Spring.pulled(HANDS, cycles=7, damping=0.4)
        self._subject = find_subject(picture)
        shorter = min(picture.size)
        self._reach = [min(max(r, 0.25 * shorter), 0.45 * shorter) for r in self._subject.reach]
        x, y = coordinates(picture.size)
        self._narrow, self._flat = self._shaded(x, y, hands=0), self._shaded(x, y, hands=1)

    def frame(self, t: float) -> Frame:
        squeeze = self._squeeze(t)
        shaded = self._narrow if squeeze > 0 else self._flat
        lit = Image.blend(self._picture, shaded, min(abs(squeeze), 1.0))
        return np.asarray(self._grid.warp(lit, *self._shift(squeeze, t)))

    def _own(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Places as the clay has them: 0 is its middle, 1 its side, below or right of it."""
        cx, cy = self._subject.centre
        return (x - cx) / self._reach[0], (y - cy) / self._reach[1]

    def _shift(self, squeeze: float, t: float) -> tuple[Field, Field]:
        x, y = self._grid.x, self._grid.y
        u, v = self._own(x, y)
        soft = np.exp(-0.42 * (u * u + v * v))
        steady = self._subject.steady_y if squeeze > 0 else self._ground()
        dx = (x - self._subject.centre[0]) * np.expm1(SOFTNESS * squeeze * soft)
        dy = (y - steady) * np.expm1(-SOFTNESS * squeeze * soft)
        if squeeze > 0:
            dx += DENT * squeeze * self._dents(x, y, hands=0) * np.tanh(4 * u) * self._reach[0]
        else:
            dent = DENT * squeeze * (1 - self._subject.crowding)
            dy -= dent * self._dents(x, y, hands=1) * np.tanh(4 * v) * self._reach[1]
        quiver = np.sin(4 * v + 2 * np.pi * QUIVERS * t) * soft * abs(squeeze)
        return dx + 0.03 * quiver * self._reach[0], dy

    def _ground(self) -> float:
        """Where the clay rests when patted: on its feet, or at its head if nothing is above it.

        Sinking uncovers what is above the head; with no picture there the hair would be stretched.
        """
        feet = self._subject.centre[1] + 0.5 * self._reach[1]
        return feet + self._subject.crowding * (self._subject.top - feet)

    def _dents(self, x: Field, y: Field, *, hands: int) -> Field:
        """How deep the hands press, 0..1; ``hands`` 0 press from the sides, 1 from above."""
        place = self._own(x, y)
        out, beside = np.abs(place[hands]), place[1 - hands]
        return np.exp(-(((out - 0.95) / 0.36) ** 2) - (beside / 0.55) ** 2)

    def _shaded(self, x: Field, y: Field, *, hands: int) -> Image.Image:
        """The picture with a soft shadow where the clay, not what is behind it, is pressed."""
        light = 1 - 0.4 * self._dents(x, y, hands=hands) * self._subject.matte
        return Image.fromarray((np.asarray(self._picture) * light[..., None]).astype(np.uint8))
