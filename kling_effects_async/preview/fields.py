"""Small arithmetic on fields: float arrays of shape (h, w), one number for each pixel.

Effects decide on such fields and leave the pixels themselves to Pillow, whose C code works on bytes
and is several times faster than the same sum in float arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = [
    "Field",
    "Frame",
    "box_mean",
    "coordinates",
    "grey",
    "noise",
    "resized",
    "soft_step",
    "tinted",
]

Field = npt.NDArray[np.floating]
Frame = npt.NDArray[np.uint8]


def coordinates(size: tuple[int, int]) -> tuple[Field, Field]:
    """x and y of every pixel's middle for a ``(width, height)``, each of shape (h, w)."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x + 0.5, y + 0.5


def resized(field: Field, size: tuple[int, int]) -> Field:
    """The field smoothly stretched or shrunk to ``(width, height)``."""
    picture = Image.fromarray(np.ascontiguousarray(field, np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


def grey(field: Field) -> Image.Image:
    """The field as a grey picture: 0 is black, 1 is white, what lies outside is cut."""
    return Image.fromarray((np.clip(field, 0, 1) * 255 + 0.5).astype(np.uint8))


def tinted(light: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Coloured light: ``colour`` where the grey picture is white, black where it is black."""
    return Image.merge("RGB", [light.point([v * c // 255 for v in range(256)]) for c in colour])


def soft_step(place: Field, middle: float, reach: float) -> Field:
    """0 below ``middle - reach``, 1 above ``middle + reach``, smooth between."""
    share = np.clip((place - middle + reach) / (2 * reach), 0, 1)
    step: Field = share * share * (3 - 2 * share)
    return step


def noise(size: tuple[int, int], grain_px: float, rng: np.random.Generator) -> Field:
    """Smooth random values around 0..1 whose spots are about ``grain_px`` wide."""
    width, height = size
    coarse = (max(2, round(height / grain_px)), max(2, round(width / grain_px)))
    return resized(rng.random(coarse, dtype=np.float32), size)


def box_mean(values: Field, radius_px: int) -> Field:
    """Mean over a square of ``2 * radius_px + 1``; beyond the border the border goes on.

    Takes (h, w) or (h, w, anything) and returns the same shape.
    """
    return _run_mean(_run_mean(values, radius_px, axis=0), radius_px, axis=1)


def _run_mean(values: Field, radius: int, *, axis: int) -> Field:
    length, span = values.shape[axis], 2 * radius + 1
    padding = [(0, 0)] * values.ndim
    padding[axis] = (radius + 1, radius)
    # Summed in float64: differences of long float32 sums show as stripes.
    sums = np.cumsum(np.pad(values, padding, mode="edge"), axis=axis, dtype=np.float64)
    high = np.take(sums, range(span, span + length), axis=axis)
    low = np.take(sums, range(length), axis=axis)
    return ((high - low) / span).astype(np.float32)
