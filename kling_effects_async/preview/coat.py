"""A coat of fur, painted in shells as games do it.

Each shell is the picture seen a little further along the hair; a hair reaches a shell if it is
long enough. Seen one over the other, the shells make strands with the colour of their roots.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from kling_effects_async.preview.fields import Field, box_mean, coordinates, noise, resized
from kling_effects_async.preview.subject import Subject

__all__ = ["Coat"]

LENGTH = 0.055  # of the picture's shorter side
SHELL_PX = 1.6  # apart; more shows as dots instead of strands

# On a likely face, and where a picture is as marked as around eyes, hair keeps to this part of its
# length and is thin: from about 0.4 on a face cannot be recognized.
SHORT = 0.16


class Coat:
    """Everything about the fur of one picture that does not change while it grows.

    ``loose``, shape (h, w), is how much of the wind each place feels, 0..1.
    """

    def __init__(self, picture: Image.Image, subject: Subject) -> None:
        self._pixels = np.asarray(picture, np.float32)
        self._size = picture.size
        self._places = coordinates(picture.size)
        self._longest_px = LENGTH * min(picture.size)
        rng = np.random.default_rng(7)
        self._matte = np.clip((subject.matte - 0.35) / 0.4, 0, 1)
        self._spared = _spared(picture, subject)
        self._thick = 0.88 - 0.7 * self._spared
        self._comb = _combed(picture, subject, rng)
        self.loose: Field = self._matte * (1 - 0.85 * self._spared)
        self._roots = self._packed(picture, rng)

    def grown(self, share: float) -> Image.Image:
        """The picture with hair of ``share`` (above 0, up to 1) of its full length."""
        length = self._longest_px * share
        shells = max(3, round(length / SHELL_PX))
        skin = 1 - 0.22 * share * self._matte * (1 - self._spared)
        painted = self._pixels * skin[..., None]
        for shell in range(1, shells + 1):
            self._paint(painted, shell / shells, length, min(2 * share, 1))
        return Image.fromarray(np.clip(painted, 0, 255).astype(np.uint8))

    def _paint(self, painted: Field, level: float, length: float, relief: float) -> None:
        """Lay the shell at ``level`` (0 skin, 1 tips) over ``painted``, in place for speed.

        Stubble without ``relief`` of light (0..1) would look like sand thrown at the picture.
        """
        root = self._roots.ravel().take(self._rooted(level * length))
        rgba = root.view(np.uint8).reshape(*painted.shape[:2], 4)
        alive = np.clip((rgba[..., 3] * np.float32(1 / 255) - 0.92 * level) * 7, 0, self._thick)
        alive *= 0.3 + 0.7 * relief
        light = 1 + (0.38 * level - 0.22) * relief
        painted += (rgba[..., :3] * np.float32(light) - painted) * alive[..., None]

    def _rooted(self, distance_px: float) -> npt.NDArray[np.int32]:
        """For each pixel the flat index of the root whose hair, that long, ends there."""
        x, y = self._places
        width, height = self._size
        from_x = np.clip(x - self._comb[0] * distance_px, 0, width - 1).astype(np.int32)
        droop = 0.25 * distance_px * distance_px / self._longest_px
        from_y = np.clip(y - self._comb[1] * distance_px - droop, 0, height - 1).astype(np.int32)
        return from_y * np.int32(width) + from_x

    def _packed(self, picture: Image.Image, rng: np.random.Generator) -> npt.NDArray[np.uint32]:
        """Colour and length of the hair at each pixel, four bytes in one number: one look-up."""
        unit = min(self._size) / 426
        strand = 0.6 * noise(self._size, 2 * unit, rng) + 0.4 * noise(self._size, 1.2 * unit, rng)
        clump = noise(self._size, 11 * unit, rng)
        length = np.clip((1.5 * strand - 0.1) * (0.62 + 0.6 * clump), 0, 1)
        length *= self._matte * (1 - (1 - SHORT) * self._spared)
        tone = 0.84 + 0.32 * noise(self._size, 2 * unit, rng)
        soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(1.6 * unit)), np.float32)
        colour = np.clip(soft * tone[..., None], 0, 255)
        packed = np.dstack([colour, np.clip(length, 0, 1) * 255]).astype(np.uint8)
        return packed.view(np.uint32)[..., 0]


def _spared(picture: Image.Image, subject: Subject) -> Field:
    """1 where hair has to be short and thin: on a likely face, on what is as marked as eyes."""
    size = (max(8, picture.width // 4), max(8, picture.height // 4))
    small = np.asarray(picture.convert("L").resize(size, Image.Resampling.BOX), np.float32)
    down, across = np.gradient(small)
    marked = box_mean(np.hypot(down, across), 2)
    # Measured by the picture's own strongest marks: to a tabby's coat its stripes are plain.
    share = np.clip(marked / (np.quantile(marked, 0.985) + 4), 0, 1) ** 1.6
    x, y = coordinates(picture.size)
    radius = np.hypot(x - subject.face[0], y - subject.face[1]) / subject.face_radius
    face = np.clip((1.55 - radius) / 0.6, 0, 1)
    spared: Field = np.clip(np.maximum(0.95 * face, resized(share, picture.size)), 0, 1)
    return spared


def _combed(
    picture: Image.Image, subject: Subject, rng: np.random.Generator
) -> tuple[Field, Field]:
    """The unit direction of the hair: outwards, somewhat down, along edges, with whirls."""
    x, y = coordinates(picture.size)
    u, v = (x - subject.face[0]) / min(picture.size), (y - subject.face[1]) / min(picture.size)
    far = np.hypot(u, v) + 0.12
    size = (max(16, picture.width // 4), max(16, picture.height // 4))
    small = picture.convert("L").resize(size, Image.Resampling.BOX)
    down, across = np.gradient(box_mean(np.asarray(small, np.float32), 3))
    steep = np.hypot(down, across) + 6
    whirl = 0.16 * min(picture.size)
    fx = 0.9 * u / far - 0.4 * resized(down / steep, picture.size)
    fy = 0.9 * v / far + 0.4 * resized(across / steep, picture.size) + 0.45
    fx += 1.3 * (noise(picture.size, whirl, rng) - 0.5)
    fy += 1.3 * (noise(picture.size, whirl, rng) - 0.5)
    length = np.maximum(np.hypot(fx, fy), 0.3)
    return fx / length, fy / length
