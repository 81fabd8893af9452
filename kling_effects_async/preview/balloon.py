"""Light on a subject as if a taut skin were blown up over it: shade, gleam and a shadow behind."""

from __future__ import annotations

import numpy as np
from PIL import Image

from kling_effects_async.preview.fields import Field, box_mean, resized, soft_step

__all__ = ["lit_as_balloon"]

WORKING_PX = 120  # light is smooth, so it is computed at this longest side

# Towards the lamp: upper left, in front. A unit vector.
LAMP = (-0.45, -0.6, 0.66)


def lit_as_balloon(picture: Image.Image, matte: Field) -> Image.Image:
    """The picture with its subject lit as a full balloon. ``matte`` has the picture's size."""
    small = _closed(matte)
    shade, gleam = _light(small, _inflated(small))
    shadow = 1 - 0.35 * _behind(small)
    darker = resized(np.minimum(shade, 1) * shadow, picture.size)[..., None]
    brighter = resized(np.maximum(shade - 1, 0) + gleam, picture.size)[..., None]
    # Light is laid on as a share of what is left up to white: it never burns out in a patch.
    pixels = np.asarray(picture, np.float32) * np.clip(darker, 0, 1)
    pixels += (255 - pixels) * np.clip(brighter, 0, 1)
    return Image.fromarray(pixels.astype(np.uint8))


def _closed(matte: Field) -> Field:
    """The matte made small, its holes and frays filled: a balloon has none."""
    scale = WORKING_PX / max(matte.shape)
    height, width = (max(8, round(side * scale)) for side in matte.shape)
    blurred = box_mean(box_mean(resized(matte, (width, height)), 3), 2)
    return soft_step(blurred, 0.47, 0.23)


def _inflated(matte: Field) -> Field:
    """How far the skin stands out: 0 outside, steep at the rim, flat on top.

    Air presses evenly on a skin held down outside the matte; solved by letting it settle.
    """
    height = np.zeros_like(matte)
    for _ in range(400):
        wide = np.pad(height, 1, mode="edge")
        around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
        height = (around / 4 + 0.05) * matte
    return 3.2 * np.sqrt(height)


def _light(matte: Field, height: Field) -> tuple[Field, Field]:
    """Diffuse light, 1 on what faces the viewer, and the lamp's reflection, 0..0.75."""
    slope_y, slope_x = np.gradient(box_mean(height, 1))
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    facing = (-slope_x * LAMP[0] - slope_y * LAMP[1] + LAMP[2]) / length
    lambert = np.clip(facing, 0, 1)
    mirrored = np.clip(2 * lambert / length - LAMP[2], 0, 1)
    shade = 1 + matte * (0.42 + 0.58 * lambert / LAMP[2] - 1)
    return shade, 0.75 * matte * mirrored**26


def _behind(matte: Field) -> Field:
    """A soft shadow to the lower right of the subject, only beside it, 0..1."""
    down, right = len(matte) // 20, len(matte) // 26
    moved = np.pad(matte, ((down, 0), (right, 0)), mode="edge")[: -down or None, : -right or None]
    return box_mean(box_mean(moved, 4), 4) * (1 - matte)
