"""One of two people: a picture that can leave its background and move about the frame.

It is kept on a canvas larger than the picture, so that nothing shows where the picture ends.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from PIL import Image

from kling_effects_async.preview.canvas import Canvas
from kling_effects_async.preview.fields import Field, coordinates, soft_step
from kling_effects_async.preview.subject import Subject, find_subject

__all__ = ["Portrait", "Pose", "portray"]

# The picture begins with this much below the frame, so that little has to be lowered for a tilt.
BELOW = 0.07


@frozen
class Pose:
    """Where a face is in the frame (pixels), how much enlarged, and how far tilted (radians)."""

    x: float
    y: float
    scale: float
    tilt: float


@frozen
class Portrait:
    """A picture on its canvas.

    Attributes:
        canvas, matte, backdrop: the layers of a ``Canvas``.
        face, face_radius: in canvas pixels.
        breadth: how far the head goes from the face's middle to the left and to the right.
        bottom: where the picture ends on the canvas.
        home: the pose that shows the picture as it stands before anything moves.
    """

    canvas: Image.Image
    matte: Image.Image
    backdrop: Image.Image
    face: tuple[float, float]
    face_radius: float
    breadth: tuple[float, float]
    bottom: float
    home: Pose

    def shown(
        self, layer: Image.Image, pose: Pose, box: tuple[int, int, int, int], shrink: int = 1
    ) -> Image.Image:
        """The part ``box`` of a frame that shows the canvas, or one of its companions, at ``pose``.

        Args:
            box: left, top, right and lower edge in the frame.
            shrink: how many times smaller the answer is.
        """
        left, top, right, bottom = box
        cos, sin = math.cos(pose.tilt) / pose.scale, math.sin(pose.tilt) / pose.scale
        from_x, from_y = left - pose.x, top - pose.y
        matrix = (
            *(cos * shrink, sin * shrink, self.face[0] + cos * from_x + sin * from_y),
            *(-sin * shrink, cos * shrink, self.face[1] - sin * from_x + cos * from_y),
        )
        size = (right - left) // shrink, (bottom - top) // shrink
        return layer.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)

    def grounded(self, pose: Pose, size: tuple[int, int]) -> Pose:
        """The pose, lowered if the picture's lower edge would come into a frame of ``size``."""
        lifted = 0.25 * size[0] * abs(pose.tilt)
        reach = (self.bottom - self.face[1]) * pose.scale - lifted
        return Pose(pose.x, max(pose.y, 1.02 * size[1] - reach), pose.scale, pose.tilt)


def portray(picture: Image.Image, size: tuple[int, int], middle_x: float) -> Portrait:
    """Put a picture into the half of a frame of ``size`` whose middle is at ``middle_x``."""
    width, height = size
    scale = max(width / 2 / picture.width, (1 + BELOW) * height / picture.height)
    fitting = (math.ceil(picture.width * scale), math.ceil(picture.height * scale))
    picture = picture.resize(fitting, Image.Resampling.LANCZOS, reducing_gap=2.0)
    subject = find_subject(picture)
    left, top = _corner(subject, fitting, size, middle_x)
    canvas_left, canvas_top = round(middle_x - 0.75 * width), round(-0.25 * height)
    canvas = Canvas(
        size=(round(1.5 * width), round(1.5 * height)),
        corner=(left - canvas_left, top - canvas_top),
    )
    face_x, face_y = subject.face
    return Portrait(
        *canvas.layers(picture, subject.matte * _bust(subject)),
        face=(face_x + canvas.corner[0], face_y + canvas.corner[1]),
        face_radius=subject.face_radius,
        breadth=_breadth(subject),
        bottom=canvas.corner[1] + picture.height,
        home=Pose(x=face_x + left, y=face_y + top, scale=1, tilt=0),
    )


def _corner(
    subject: Subject, picture: tuple[int, int], size: tuple[int, int], middle_x: float
) -> tuple[int, int]:
    """Where in the frame the picture's corner goes: subject in the middle, no gap at any side."""
    width, height = size
    left, right = middle_x - width / 4, middle_x + width / 4
    x = _within(middle_x - subject.centre[0], right - picture[0], left)
    y = _within(0.42 * height - subject.face[1], (1 + BELOW) * height - picture[1], 0)
    return round(x), round(y)


def _breadth(subject: Subject) -> tuple[float, float]:
    """From the face to where the head ends at either side, in pixels, within 0.9 to 2 radii."""
    x, y = round(subject.face[0]), round(subject.face[1])
    around = round(0.4 * subject.face_radius)
    row = subject.matte[max(y - around, 0) : y + around + 1].mean(axis=0) < 0.45
    ends = row[:x][::-1], row[x:]
    found = (float(np.argmax(end)) if end.any() else float(len(end)) for end in ends)
    left, right = (_within(e, 0.9 * subject.face_radius, 2 * subject.face_radius) for e in found)
    return left, right


def _bust(subject: Subject) -> Field:
    """1 in the shape of head and shoulders, 0 beside it: what stands next to a head stays behind.

    Wide below, where arms are; a thing loses only what is far out beside its upper part.
    """
    height, width = subject.matte.shape
    x, y = coordinates((width, height))
    left, right = _breadth(subject)
    out = x - subject.face[0]
    shoulders = 1.3 * np.maximum(y - subject.face[1] - 0.6 * subject.face_radius, 0)
    beyond = np.abs(out) - shoulders
    side = np.where(out < 0, left, right)
    return 1 - soft_step(beyond / side, 1.4, 0.2)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
