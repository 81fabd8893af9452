"""Two pictures, one frame: two people leave their pictures and come together.

``Together`` is the approach alone, for scenes that have no effect of their own. ``Hug``, ``Kiss``
and ``HeartGesture`` differ in how near the two come, and in what is laid over the picture.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from attrs import astuple
from PIL import Image

from kling_effects_async.preview.composition import Composition
from kling_effects_async.preview.drawn_heart import DrawnHeart
from kling_effects_async.preview.fields import Frame
from kling_effects_async.preview.floating_hearts import FloatingHearts
from kling_effects_async.preview.motion import ease, swing
from kling_effects_async.preview.portrait import Portrait, Pose, portray

__all__ = ["HeartGesture", "Hug", "Kiss", "Together"]

PUSH_IN = 0.08  # how much larger the two are at the end; what is behind them is far and stays

# Heads are brought to one size within these bounds; beyond, bodies would be cut or pixels show.
LEAST_SCALE, LARGEST_SCALE = 0.68, 1.5


class Together:
    """Side by side at first; then each leaves its background, approaches, and they rock a little.

    The class attributes are what scenes differ in.
    """

    apart: ClassVar[float] = 1.1  # from the middle to each face, in breadths of that head
    head_size: ClassVar[float] = 0.2  # face radius at the end, of the frame's height
    head_height: ClassVar[float] = 0.43  # of the faces at the end, of the frame's height
    lean: ClassVar[float] = 0.03  # tilt towards each other at the end, radians
    rocking: ClassVar[float] = 0.012  # radians
    warmth: ClassVar[float] = 0.2  # of the light between them, 0..1

    def __init__(self, left: Image.Image, right: Image.Image, size: tuple[int, int]) -> None:
        self._size = width, _ = size
        self._left = portray(left, size, width / 4)
        self._right = portray(right, size, 3 * width / 4)
        self._composition = Composition(self._left, self._right, size)

    def frame(self, t: float) -> Frame:
        near, released = ease(t, 0.03, 0.58), ease(t, 0.0, 0.38)
        poses = self._pose(self._left, -1, near, t), self._pose(self._right, 1, near, t)
        picture = self._composition.seen(poses, released)
        lit = self._composition.lit(picture, released, self.warmth * near)
        return np.asarray(self._adorned(lit, t))

    def _adorned(self, picture: Image.Image, t: float) -> Image.Image:
        """What a scene lays over the finished picture."""
        return picture

    def _pose(self, portrait: Portrait, side: int, near: float, t: float) -> Pose:
        """On the way from its half, then rocking, while the camera comes nearer."""
        pose = _between(portrait.home, self._goal(portrait, side), near)
        rock = self.rocking * swing(t, 2.5) * ease(t, 0.45, 0.7)
        # As one body, about the middle of the frame's lower edge.
        x, y = pose.x - self._size[0] / 2, pose.y - self._size[1]
        x, y = x - rock * y, y + rock * x
        camera = 1 + PUSH_IN * ease(t)
        moved = Pose(
            x=self._size[0] / 2 + x * camera,
            y=self._size[1] + y * camera,
            scale=pose.scale * camera,
            tilt=pose.tilt + rock,
        )
        return portrait.grounded(moved, self._size)

    def _goal(self, portrait: Portrait, side: int) -> Pose:
        width, height = self._size
        scale = self.head_size * height / portrait.face_radius
        scale = min(max(scale, LEAST_SCALE), LARGEST_SCALE)
        inner = portrait.breadth[1 if side < 0 else 0]
        gap = min(max(self.apart * inner * scale, 0.08 * width), 0.3 * width)
        goal = Pose(
            width / 2 + side * gap, self.head_height * height, scale, tilt=-side * self.lean
        )
        return portrait.grounded(goal, self._size)


class Hug(Together):
    """Cheek to cheek, rocking gently."""

    apart: ClassVar[float] = 0.8
    lean: ClassVar[float] = 0.1
    rocking: ClassVar[float] = 0.03


class Kiss(Together):
    """Face to face in warm light, and hearts that rise."""

    apart: ClassVar[float] = 0.66
    head_size: ClassVar[float] = 0.24
    lean: ClassVar[float] = 0.13
    warmth: ClassVar[float] = 0.38

    def __init__(self, left: Image.Image, right: Image.Image, size: tuple[int, int]) -> None:
        super().__init__(left, right, size)
        self._hearts = FloatingHearts(size)

    def _adorned(self, picture: Image.Image, t: float) -> Image.Image:
        return self._hearts.over(picture, t)


class HeartGesture(Together):
    """Side by side; each draws half of a heart."""

    apart: ClassVar[float] = 1.25
    head_size: ClassVar[float] = 0.18
    head_height: ClassVar[float] = 0.4
    lean: ClassVar[float] = 0.05

    def __init__(self, left: Image.Image, right: Image.Image, size: tuple[int, int]) -> None:
        super().__init__(left, right, size)
        self._heart = DrawnHeart(size)

    def _adorned(self, picture: Image.Image, t: float) -> Image.Image:
        return self._heart.over(picture, t)


def _between(start: Pose, goal: Pose, share: float) -> Pose:
    """The pose ``share`` of the way from ``start`` to ``goal``."""
    return Pose(*(a + (b - a) * share for a, b in zip(astuple(start), astuple(goal), strict=True)))
