"""The shape of a heart."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from kling_effects_async.preview.fields import Field

__all__ = ["filled", "outline"]


def outline(points: int) -> Field:
    """The right half of a heart from its lower tip to its notch; shape (points, 2).

    x is 0..1, y grows downwards from about -0.75 to 1; the left half is its mirror image.
    """
    turn = np.linspace(np.pi, 0, points)
    x = 16 * np.sin(turn) ** 3
    y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
    return np.stack([x / 16, -(y + 2) / 15], -1).astype(np.float32)


def filled(side_px: int) -> Image.Image:
    """A white heart on black, smooth at its edge, in a grey square of ``side_px``."""
    fine = 4 * side_px
    half = outline(60)
    both = np.concatenate([half, half[::-1] * (-1, 1)])
    square = Image.new("L", (fine, fine))
    ImageDraw.Draw(square).polygon([tuple(p) for p in (both * 0.46 + 0.5) * fine], fill=255)
    return square.resize((side_px, side_px), Image.Resampling.BOX)
