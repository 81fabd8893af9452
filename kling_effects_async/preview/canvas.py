"""A picture amid colours of its own background, beyond its edges and behind its subject.

Whatever then moves or leaves, what comes to light is out of focus and looks as if it belonged.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from PIL import Image, ImageFilter

from kling_effects_async.preview.fields import (
    Field,
    box_mean,
    coordinates,
    grey,
    resized,
    soft_step,
)

__all__ = ["Canvas"]

# Backgrounds are filled in at this fraction of the canvas: they are out of focus anyway.
COARSE = 8

SOFT = 0.1  # how wide the picture's edges are lost, of its shorter side


@frozen
class Canvas:
    """Room of ``size`` for a picture whose upper left corner is at ``corner``."""

    size: tuple[int, int]
    corner: tuple[int, int]

    def layers(
        self, picture: Image.Image, matte: Field
    ) -> tuple[Image.Image, Image.Image, Image.Image]:
        """The picture amid its backdrop, its subject's matte in grey, and the backdrop alone."""
        pasted, placed = Image.new("RGB", self.size), Image.new("F", self.size)
        pasted.paste(picture, self.corner)
        placed.paste(Image.fromarray(matte), self.corner)
        inside, subject = self._inside(picture.size), np.asarray(placed)
        backdrop = _backdrop(pasted, inside, subject)
        whole = Image.composite(pasted, backdrop, grey(inside))
        # A thinner matte than the one found: a rim of wall around a head shows on another wall.
        return whole, grey(soft_step(subject, 0.5, 0.4) * inside), backdrop

    def _inside(self, picture: tuple[int, int]) -> Field:
        """1 well inside the picture, 0 outside, soft at its left, right and upper edge."""
        (left, top), (width, height) = self.corner, picture
        x, y = coordinates(self.size)
        from_edge = np.minimum(np.minimum(x - left, left + width - x), y - top)
        reach = SOFT * min(picture) / 2
        return np.where(y < top + height, soft_step(from_edge, reach, reach), 0)


def _backdrop(canvas: Image.Image, inside: Field, subject: Field) -> Image.Image:
    """The colours of the background, spread softly over all that is not background."""
    size = (math.ceil(canvas.width / COARSE), math.ceil(canvas.height / COARSE))
    # Widely around the subject nothing is taken: a rim of hair would stay behind as a ghost.
    near = box_mean(box_mean(np.clip(resized(subject, size), 0, 1), 2), 1)
    known = np.clip(resized(inside, size), 0, 1) * np.clip(1 - 2.5 * near, 0, 1) ** 2
    weight = known[..., None] + 1e-7
    colours = np.asarray(canvas.resize(size, Image.Resampling.BOX), np.float32) * weight
    total, share = np.zeros_like(colours), np.zeros_like(weight)
    # Each wider look counts far less than the one before: it decides only where nothing is near.
    for step, radius in enumerate((1, 2, 4, 8, 16, 32)):
        total += _blurred(colours, radius) * 0.03**step
        share += _blurred(weight, radius) * 0.03**step
    spread = Image.fromarray(np.clip(total / share, 0, 255).astype(np.uint8))
    smooth = spread.filter(ImageFilter.GaussianBlur(2.5))
    return smooth.resize(canvas.size, Image.Resampling.BICUBIC)


def _blurred(values: Field, radius: int) -> Field:
    """Three box means are as good as a bell curve; fewer leave stripes."""
    return box_mean(box_mean(box_mean(values, radius), radius), radius)
