"""Small hearts that rise between two people and fade."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from PIL import Image

from kling_effects_async.preview.heart_shape import filled
from kling_effects_async.preview.motion import ease

__all__ = ["FloatingHearts"]

COLOUR = (255, 104, 140)

COUNT = 11
FIRST, LAST = 0.5, 0.92  # when the first and the last one appear, of the clip
LIFE = 0.4  # of the clip


@frozen
class _Heart:
    """``born`` is a time, ``aside`` in frame widths, ``side`` in heights, ``phase`` in radians."""

    born: float
    aside: float
    side: float
    phase: float


class FloatingHearts:
    """A handful of hearts for frames of one ``(width, height)``."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        rng = np.random.default_rng(5)
        self._hearts = [
            _Heart(
                born=float(born),
                aside=rng.uniform(-0.11, 0.11),
                side=rng.uniform(0.045, 0.085),
                phase=rng.uniform(0, 2 * math.pi),
            )
            for born in np.linspace(FIRST, LAST, COUNT)
        ]
        self._shape = filled(max(8, round(0.09 * size[1])))

    def over(self, picture: Image.Image, t: float) -> Image.Image:
        """The picture with those that are about at ``t``."""
        adorned = picture.copy()
        for heart in self._hearts:
            age = (t - heart.born) / LIFE
            if 0 < age < 1:
                mask, place = self._seen(heart, age)
                adorned.paste(COLOUR, place, mask)
        return adorned

    def _seen(self, heart: _Heart, age: float) -> tuple[Image.Image, tuple[int, int]]:
        """A heart as a mask, and where its corner goes; ``age`` runs from 0 to 1."""
        width, height = self._size
        sway = 0.012 * math.sin(7 * age + heart.phase)
        side = heart.side * height * ease(age, -0.1, 0.35)
        left = width * (0.5 + heart.aside * (0.4 + age) + sway) - side / 2
        top = height * (0.5 - 0.52 * age) - side / 2
        strength = 0.85 * ease(age, 0, 0.2) * (1 - ease(age, 0.5, 1))
        mask = self._shape_at(left % 1, top % 1, side).point([v * strength for v in range(256)])
        return mask, (math.floor(left) - 1, math.floor(top) - 1)

    def _shape_at(self, right: float, down: float, side: float) -> Image.Image:
        """The heart ``side`` pixels wide, moved by parts of a pixel: whole ones show as jerks.

        It has one empty pixel at its left and above it.
        """
        scale = self._shape.width / side
        room = math.ceil(side) + 3
        matrix = (scale, 0, -(right + 1) * scale, 0, scale, -(down + 1) * scale)
        return self._shape.transform(
            (room, room), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
