"""Bending a picture by a coarse grid of nodes.

An effect computes for each node how far away the colour is fetched; Pillow fills the cells between
in C (22 ms a frame of 720p; OpenCV takes 6, but its wheel has 61 MB). Two rules keep the result
whole: near the picture's edge nothing is fetched across that edge, so that nothing is mirrored in
or left black; and no cell is stretched so far that it smears or folds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from kling_effects_async.preview.fields import Field

__all__ = ["Grid"]

# A cell may be fetched from no less than this part of its own width: 3 times enlarged at most.
NARROWEST = 0.33

# Shifts below this many pixels cannot be seen; rows and columns of such nodes are not redrawn.
STILL_PX = 0.04


class Grid:
    """Nodes over a picture of ``(width, height)`` pixels.

    ``x`` and ``y`` are the nodes' places in pixels, each of shape (rows + 1, columns + 1).
    """

    def __init__(self, size: tuple[int, int], cell_px: float = 40) -> None:
        self.size = width, height = size
        columns, rows = max(4, round(width / cell_px)), max(4, round(height / cell_px))
        across = np.rint(np.linspace(0, width, columns + 1)).astype(np.float32)
        down = np.rint(np.linspace(0, height, rows + 1)).astype(np.float32)
        self.x: Field
        self.y: Field
        self.x, self.y = np.meshgrid(across, down)

    def warp(self, picture: Image.Image, dx: Field, dy: Field) -> Image.Image:
        """Show at each node the colour found ``(dx, dy)`` pixels away from it."""
        width, height = self.size
        dx, dy = self._calm(_kept_in(dx, self.x, width), _kept_in(dy, self.y, height))
        moving = np.hypot(dx, dy) > STILL_PX
        if not moving.any():
            return picture
        left, right = _span(np.flatnonzero(moving.any(axis=0)), self.x.shape[1])
        top, bottom = _span(np.flatnonzero(moving.any(axis=1)), self.x.shape[0])
        part = np.s_[top : bottom + 1, left : right + 1]
        return self._redraw(picture, part, self.x + dx, self.y + dy)

    def _calm(self, dx: Field, dy: Field) -> tuple[Field, Field]:
        """Weaken the whole shift just so much that the most stretched cell stays in bounds."""
        tightest = min(
            float((np.diff(dx, axis=1) / np.diff(self.x, axis=1)).min()),
            float((np.diff(dy, axis=0) / np.diff(self.y, axis=0)).min()),
        )
        strength = min(1.0, (1 - NARROWEST) / max(-tightest, 1e-6))
        return dx * strength, dy * strength

    def _redraw(
        self, picture: Image.Image, part: tuple[slice, slice], x: Field, y: Field
    ) -> Image.Image:
        """A copy of the picture in which only the cells of ``part`` are filled anew."""
        to_x, to_y = self.x[part].astype(int), self.y[part].astype(int)
        left, top = int(to_x[0, 0]), int(to_y[0, 0])
        cells = _corners(to_x - left, to_y - top)[:, [0, 1, 4, 5]]
        width, height = self.size
        sources = _corners(np.clip(x[part], 0, width), np.clip(y[part], 0, height))
        mesh = [(tuple(c), tuple(s)) for c, s in zip(cells.tolist(), sources.tolist(), strict=True)]
        size = (int(to_x[0, -1]) - left, int(to_y[-1, 0]) - top)
        patch = picture.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
        whole = picture.copy()
        whole.paste(patch, (left, top))
        return whole


def _corners(x: npt.NDArray[np.generic], y: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Shape (cells, 8): each cell's corners from the upper left one, counter-clockwise."""
    places = [(a[:-1, :-1], a[1:, :-1], a[1:, 1:], a[:-1, 1:]) for a in (x, y)]
    return np.stack([a for pair in zip(*places, strict=True) for a in pair], -1).reshape(-1, 8)


def _kept_in(shift: Field, place: Field, end: float) -> Field:
    """Bend shifts so that the nearer a node is to the edge, the less it reaches towards it."""
    room = np.where(shift < 0, place, end - place) * (0.9 * (1 - NARROWEST)) + 1e-3
    return (room * np.tanh(shift / room)).astype(np.float32)


def _span(places: npt.NDArray[np.intp], nodes: int) -> tuple[int, int]:
    """The first and the last of the moving nodes' places, with one still node on either side."""
    return max(int(places[0]) - 1, 0), min(int(places[-1]) + 1, nodes - 1)
