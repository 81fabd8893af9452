"""Where the subject of a picture is, and where its face may be."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from PIL import Image

from kling_effects_async.preview.fields import Field, box_mean, resized, soft_step
from kling_effects_async.preview.matte import find_matte, without_detours

__all__ = ["Subject", "find_subject"]

# A guess that covers next to nothing, or nearly all, is replaced by an oval in the middle.
LEAST_SHARE, LARGEST_SHARE = 0.06, 0.85

# Where the skin of people of all shades lies in YCbCr; shades differ in Y far more than in hue.
SKIN_CB, SKIN_CR, SKIN_SPREAD = 108.0, 151.0, 11.0


@frozen
class Subject:
    """What stands out in a picture. Places and lengths are in the picture's pixels.

    Attributes:
        matte: shape (h, w), 0 background to 1 subject, soft at the edge.
        middle, reach: the centre of the matte and its half width and half height.
        top: how far below the picture's upper edge it begins.
        face, face_radius: the likeliest place of a face; for a thing, of its middle.
    """

    matte: Field
    middle: tuple[float, float]
    reach: tuple[float, float]
    top: float
    face: tuple[float, float]
    face_radius: float

    @property
    def centre(self) -> tuple[float, float]:
        """Between body and face: what moves this much moves the whole person."""
        (mx, my), (fx, fy) = self.middle, self.face
        return (mx + fx) / 2, (my + fy) / 2

    @property
    def crowding(self) -> float:
        """1 where the subject touches the upper edge, 0 where there is room above it."""
        room = 0.2 * self.matte.shape[0]
        return float(min(max(1 - self.top / room, 0), 1))

    @property
    def steady_y(self) -> float:
        """The height that should stay in place when the subject grows.

        With little room above, a subject that grew from its centre would lose its head.
        """
        return self.centre[1] + 0.9 * self.crowding * (self.top - self.centre[1])


def find_subject(picture: Image.Image) -> Subject:
    """Find the one subject of a picture."""
    small = find_matte(picture)
    if not LEAST_SHARE < float(small.mean()) < LARGEST_SHARE:
        small = _oval(small.shape)
    scale = picture.width / small.shape[1]
    face, radius = _find_face(picture, small)
    small = _with_face(without_detours(small, face), small, face, radius)
    middle, reach = _moments(small)
    return Subject(
        matte=np.clip(resized(small, picture.size), 0, 1),
        middle=(middle[0] * scale, middle[1] * scale),
        reach=(reach[0] * scale, reach[1] * scale),
        top=int(np.argmax(small.max(axis=1) > 0.5)) * scale,
        face=(face[0] * scale, face[1] * scale),
        face_radius=radius * scale,
    )


def _oval(shape: tuple[int, ...]) -> Field:
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = np.hypot((x / width - 0.5) / 0.36, (y / height - 0.54) / 0.42)
    return 1 - soft_step(radius, 1, 0.2)


def _with_face(matte: Field, before: Field, face: tuple[float, float], radius: float) -> Field:
    """The matte as it was ``before`` around the face, and without a hole in the face itself."""
    y, x = np.mgrid[0 : matte.shape[0], 0 : matte.shape[1]].astype(np.float32)
    far = np.hypot(x - face[0], y - face[1]) / radius
    around = 1 - soft_step(far, 1.6, 0.3)
    return np.maximum(np.maximum(matte, before * around), 1 - soft_step(far, 1, 0.4))


def _moments(weight: Field) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centre and half extents; an ellipse filled evenly has a spread of half its half axis."""
    y, x = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]].astype(np.float32)
    total = float(weight.sum()) + 1e-6
    cx, cy = float((x * weight).sum()) / total, float((y * weight).sum()) / total
    sx = float(((x - cx) ** 2 * weight).sum() / total) ** 0.5
    sy = float(((y - cy) ** 2 * weight).sum() / total) ** 0.5
    return (cx, cy), (2 * sx + 1, 2 * sy + 1)


def _find_face(picture: Image.Image, matte: Field) -> tuple[tuple[float, float], float]:
    """The densest skin-coloured spot of the subject, preferably high and not far to a side."""
    height, width = matte.shape
    skin = _skin(picture.resize((width, height), Image.Resampling.BOX)) * matte
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    likely = np.exp(-(((x / width - 0.5) / 0.38) ** 2) - ((y / height - 0.38) / 0.34) ** 2)
    window = max(2, min(height, width) // 10)
    score = box_mean(box_mean((skin + 0.08 * matte) * likely, window), window)
    (fx, fy), _ = _moments((score > 0.9 * score.max()).astype(np.float32))
    near = np.exp(-((x - fx) ** 2 + (y - fy) ** 2) / (2 * (0.2 * min(height, width)) ** 2))
    found = (skin + 0.02) * near
    centre, _ = _moments(found)
    radius = 1.25 * (float(found.sum()) / np.pi) ** 0.5
    return centre, float(np.clip(radius, 0.12 * min(height, width), 0.36 * height))


def _skin(picture: Image.Image) -> Field:
    _, cb, cr = (np.asarray(band, np.float32) for band in picture.convert("YCbCr").split())
    distance = ((cb - SKIN_CB) ** 2 + (cr - SKIN_CR) ** 2) / (2 * SKIN_SPREAD**2)
    return np.exp(-distance)
