"""Any other scene with one picture: the camera comes nearer and a soft light passes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

from kling_effects_async.preview.fields import Frame, grey, resized
from kling_effects_async.preview.motion import ease, swing
from kling_effects_async.preview.subject import find_subject
from kling_effects_async.preview.warp import Grid

__all__ = ["Drift"]

PUSH = 0.09  # how much larger everything is at the end
NEARER = 0.06  # how much more than the background the subject grows
SWAY = 0.008  # of the shorter side


class Drift:
    """What is near moves more than what is far: the subject grows a little faster."""

    def __init__(self, picture: Image.Image) -> None:
        self._picture = picture
        self._bright = ImageEnhance.Brightness(picture).enhance(1.22)
        self._grid = Grid(picture.size)
        subject = find_subject(picture)
        self._eye = subject.face
        rows, columns = self._grid.x.shape
        self._near = resized(subject.matte, (columns, rows))

    def frame(self, t: float) -> Frame:
        near = self._near * ease(t, 0, 0.6)
        keep = (PUSH * ease(t) + NEARER * ease(t) * self._near) / (1 + PUSH)
        sway = SWAY * swing(t, 1) * min(self._grid.size) * near
        dx, dy = (self._eye[0] - self._grid.x) * keep, (self._eye[1] - self._grid.y) * keep
        return np.asarray(self._grid.warp(self._swept(t), dx + sway, dy))

    def _swept(self, t: float) -> Image.Image:
        """Brighten a slanted band that wanders over the picture once, from left to right."""
        across = np.linspace(0, 1, 64, dtype=np.float32)[None, :]
        down = np.linspace(0, 1, 64, dtype=np.float32)[:, None]
        place = across + 0.25 * down - (2.4 * t - 0.5)
        band = grey(np.exp(-((place / 0.2) ** 2)).astype(np.float32))
        band = band.resize(self._picture.size, Image.Resampling.BILINEAR)
        return Image.composite(self._bright, self._picture, band)
