"""Which pixels belong to the subject: a soft guess from colour, without any trained model.

Three hints are added up as log odds and refined in rounds:
- the middle of a picture is more often subject than its upper and outer parts;
- a colour that is common inside and rare outside speaks for the subject;
- background is what can be walked to from the border without crossing a change of colour, so a
  pale face in front of a pale wall still counts, because hair and collar fence it in.

After each round a guided filter (He, Sun and Tang, 2010) draws the guess to the picture's edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from kling_effects_async.preview.fields import Field, box_mean, soft_step

__all__ = ["find_matte", "without_detours"]

# The longest side that is worked on, as a share of the picture's and in any case within bounds.
# Finer costs time and changes little once the edge is soft.
WORKING_SHARE, SMALLEST_PX, LARGEST_PX = 0.3, 48, 112
ROUNDS = 3
BINS = 16  # per colour channel

# The eight neighbours of a pixel as (down, across, length of the step).
STEPS = [(a, b, float(np.hypot(a, b))) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]


def find_matte(picture: Image.Image) -> Field:
    """How surely each pixel is subject, 0..1, in a small field of about the same aspect."""
    colours = _small(picture)
    prior = _prior(colours.shape[:2])
    rim = _rim(colours.shape[:2])
    smooth, bins = box_mean(colours, 1), _bins(colours)
    matte = np.clip((prior - 0.35) / 0.4, 0.02, 0.98)
    for _ in range(ROUNDS):
        odds = 0.9 * _colour_odds(bins, matte, rim) + 3.2 * (prior - 0.45)
        odds += 6 * (_fenced(smooth, _sigmoid(odds)) - 0.5)
        drawn = np.clip(_guided(colours, _sigmoid(odds), 5, 1e-3), 0, 1)
        matte = _sigmoid(odds + 3 * (2 * drawn - 1))
    return np.clip(_guided(colours, matte, 3, 5e-4), 0, 1)


def _small(picture: Image.Image) -> Field:
    longest = max(picture.size)
    scale = min(max(WORKING_SHARE * longest, SMALLEST_PX), LARGEST_PX) / longest
    size = (max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
    return np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32) / 255


def _axes(shape: tuple[int, ...]) -> tuple[Field, Field]:
    """Places across and down from -1 to 1, broadcastable to ``shape``."""
    across = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    down = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    return across, down


def _prior(shape: tuple[int, ...]) -> Field:
    """Likely places, highest a little below the middle; people are often cut off at the bottom."""
    across, down = _axes(shape)
    below = down - 0.1
    prior: Field = np.exp(-2.3 * across**2 - np.where(below < 0, 1.3, 0.35) * below**2)
    return prior


def _rim(shape: tuple[int, ...]) -> Field:
    """1 along the left, right and upper border, 0 elsewhere."""
    across, down = _axes(shape)
    return ((np.abs(across) > 0.86) | (down < -0.86)).astype(np.float32)


def _bins(colours: Field) -> npt.NDArray[np.intp]:
    """Each pixel's place in a flat histogram of ``BINS ** 3`` colours."""
    step = (colours * (BINS - 0.001)).astype(np.intp)
    flat: npt.NDArray[np.intp] = (step[..., 0] * BINS + step[..., 1]) * BINS + step[..., 2]
    return flat


def _colour_odds(bins: npt.NDArray[np.intp], matte: Field, rim: Field) -> Field:
    """Log odds that a pixel's colour is the subject's, by how often it is seen on either side."""
    inside = _histogram(bins, matte * (1 - 0.8 * rim))
    outside = _histogram(bins, 1 - matte + 0.5 * rim)
    rare = 2e-4  # keeps colours that were hardly seen from deciding anything
    return np.log((inside + rare) / (outside + rare))[bins]


def _histogram(bins: npt.NDArray[np.intp], weight: Field) -> Field:
    """The shares of all colours, blurred so that neighbouring shades support each other."""
    counts = np.bincount(bins.ravel(), weight.ravel(), BINS**3).reshape(BINS, BINS, BINS)
    for axis in (0, 1, 2, 0, 1, 2):
        edges = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        wide = np.pad(counts, edges, mode="edge")
        up, down = np.take(wide, range(BINS), axis), np.take(wide, range(2, BINS + 2), axis)
        counts = 0.5 * counts + 0.25 * (up + down)
    shares: Field = (counts / counts.sum()).ravel()
    return shares


def _fenced(colours: Field, subject: Field) -> Field:
    """0 where an easy walk leads to the border, near 1 where every way crosses edges.

    Walking over what already looks like subject costs a little more, and so does starting there.
    """
    start = np.full(subject.shape, 1e3, np.float32)
    sides = np.s_[: len(subject) * 3 // 4, [0, -1]]
    start[0], start[sides] = 0.6 * subject[0], 0.6 * subject[sides]
    toll = 0.004 + 0.03 * np.clip(subject - 0.3, 0, 1)
    cost = _walk(start, [_climb(colours, a, b) + toll * length for a, b, length in STEPS])
    fenced: Field = 1 - np.exp(-cost / 0.5)
    return fenced


def _walk(start: Field, prices: Sequence[Field]) -> Field:
    """The cheapest way to each pixel.

    Args:
        start: what it costs to begin at a pixel.
        prices: for each of ``STEPS``, what it costs to come to a pixel from that neighbour.
    """
    height, width = start.shape
    cost = start
    for _ in range(height + width):
        before, wide = cost, np.pad(cost, 1, constant_values=1e3)
        for (a, b, _length), price in zip(STEPS, prices, strict=True):
            cost = np.minimum(cost, wide[1 + a : 1 + a + height, 1 + b : 1 + b + width] + price)
        if float((before - cost).max()) < 1e-3:
            break
    return cost


def without_detours(matte: Field, centre: tuple[float, float]) -> Field:
    """The matte without what is reached from ``centre`` only by a long way round, or not at all.

    That is what stands beside or behind a person: a flag, a model on the desk.
    """
    y, x = np.mgrid[0 : matte.shape[0], 0 : matte.shape[1]].astype(np.float32)
    direct = np.hypot(x - centre[0], y - centre[1])
    toll = 1 + 40 * (1 - matte) ** 2
    home = 0.06 * max(matte.shape)
    start = np.where(direct < home, direct, 1e4).astype(np.float32)
    way = _walk(start, [toll * length for _, _, length in STEPS])
    detour = way / (direct + home)
    return matte * (1 - soft_step(detour, 1.5, 0.25))


def _climb(colours: Field, down: int, across: int) -> Field:
    """How much the colour changes between each pixel and one neighbour."""
    height, width = colours.shape[:2]
    wide = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
    neighbour = wide[1 + down : 1 + down + height, 1 + across : 1 + across + width]
    climb: Field = np.sqrt(((colours - neighbour) ** 2).sum(-1))
    return climb


def _guided(guide: Field, values: Field, radius_px: int, softness: float) -> Field:
    """Smooth ``values`` along, never across, the edges of ``guide`` (h, w, 3)."""
    mean, level = box_mean(guide, radius_px), box_mean(values, radius_px)
    shared = box_mean(guide * values[..., None], radius_px) - mean * level[..., None]
    products = box_mean(guide[..., :, None] * guide[..., None, :], radius_px)
    spread = products - mean[..., :, None] * mean[..., None, :] + softness * np.eye(3)
    slope = np.linalg.solve(spread, shared[..., None])[..., 0].astype(np.float32)
    base = level - (slope * mean).sum(-1)
    drawn: Field = (box_mean(slope, radius_px) * guide).sum(-1) + box_mean(base, radius_px)
    return drawn


def _sigmoid(odds: Field) -> Field:
    return 1 / (1 + np.exp(-odds))
