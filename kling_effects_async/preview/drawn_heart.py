"""A heart of light, drawn by two lines that meet at the top."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageChops

from kling_effects_async.preview.fields import Field, grey, resized, soft_step, tinted
from kling_effects_async.preview.heart_shape import filled, outline
from kling_effects_async.preview.motion import ease

__all__ = ["DrawnHeart"]

LINE = (255, 236, 240)
LIGHT = (255, 70, 120)

BEGUN, CLOSED = 0.3, 0.66  # of the clip: when the two lines set out, and when they meet
SOFT_END = 0.08  # over which a line that is being drawn fades in, of its length
BEATS = 4  # in what is left of the clip


class DrawnHeart:
    """A heart of light between two people: each side draws its half from below, then it beats."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self._middle = width / 2, 0.6 * height
        self._side = round(0.62 * height)  # of the square; the heart itself takes half of it
        distance, self._order = _to_outline(self._side)
        self._line = np.clip(1.6 - distance / (0.009 * self._side), 0, 1)
        self._glow = np.exp(-distance / (0.045 * self._side)) * _faded_rim(self._side)
        square = Image.new("L", (self._side, self._side))
        square.paste(filled(self._side // 2), (self._side // 4, self._side // 4))
        self._inside = np.asarray(square, np.float32) / 255

    def over(self, picture: Image.Image, t: float) -> Image.Image:
        """The picture with the heart as far as it is drawn at ``t``."""
        drawn = (1 + SOFT_END) * ease(t, BEGUN, CLOSED)
        if drawn <= 0:
            return picture
        shown = np.clip((drawn - self._order) / SOFT_END, 0, 1)
        beat = _beat(t)
        light = self._glow * (0.6 + 0.5 * beat) + 0.3 * self._inside * ease(t, CLOSED, 0.8)
        line, glow = (_enlarged(field * shown, 1 + 0.07 * beat) for field in (self._line, light))
        left, top = (round(place - self._side / 2) for place in self._middle)
        box = (left, top, left + self._side, top + self._side)
        adorned = picture.copy()
        adorned.paste(_drawn(picture.crop(box), line, glow), box)
        return adorned


def _drawn(picture: Image.Image, line: Image.Image, glow: Image.Image) -> Image.Image:
    """The picture with a line and its glow, both given in grey, in their colours."""
    # Light alone cannot be seen in front of a white wall, so it takes some of the wall away.
    tinged = picture.copy()
    tinged.paste(LIGHT, mask=glow.point([v // 2 for v in range(256)]))
    lit = ImageChops.screen(tinged, tinted(glow, LIGHT))
    lit.paste(LINE, mask=line)
    return lit


def _enlarged(field: Field, scale: float) -> Image.Image:
    """A grey square in which the middle of the field's square is ``scale`` times as large."""
    side = len(field)
    edge = side * (1 - 1 / scale) / 2
    box = (edge, edge, side - edge, side - edge)
    return grey(field).resize((side, side), Image.Resampling.BICUBIC, box=box)


def _to_outline(side: int) -> tuple[Field, Field]:
    """For each pixel of a square, its distance to the heart's outline and its turn to be drawn.

    The distance is in pixels; the turn is how far along its half the nearest point of the outline
    is, 0 at the tip, 1 at the notch.
    """
    rough = side // 2  # the fields are smooth, and this is the costly part
    place = (np.mgrid[0:rough, 0:rough].astype(np.float32) + 0.5) / rough * 2 - 1
    curve = outline(140) * 0.46
    across = np.abs(place[1])[..., None] - curve[:, 0]
    down = place[0][..., None] - curve[:, 1]
    squares = across**2 + down**2
    steps = np.hypot(*np.diff(curve, axis=0, prepend=curve[:1]).T)
    order = (np.cumsum(steps) / steps.sum())[squares.argmin(-1)].astype(np.float32)
    distance = np.sqrt(squares.min(-1)) * side / 2
    return resized(distance, (side, side)), resized(order, (side, side))


def _faded_rim(side: int) -> Field:
    """1 in the middle of a square, 0 at its border, so that a glow ends nowhere abruptly."""
    place = np.linspace(-1, 1, side, dtype=np.float32)
    far = np.hypot(place[None, :], place[:, None])
    return 1 - soft_step(far, 0.83, 0.17)


def _beat(t: float) -> float:
    """0 at rest, 1 at the height of a beat; each beat has a weaker one after it."""
    if t < CLOSED:
        return 0.0
    phase = (t - CLOSED) / (1 - CLOSED) * BEATS % 1.0
    strong = math.exp(-(((phase - 0.2) / 0.09) ** 2))
    weak = math.exp(-(((phase - 0.48) / 0.1) ** 2))
    return strong + 0.5 * weak
