"""The words "emulator preview" in a corner: nobody shall take these clips for Kling's."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from kling_effects_async.preview.fields import Frame

__all__ = ["Badge"]

WORDS = "emulator preview"
OPACITY = 0.62
SMALLEST_PX = 10  # below this the font cannot be read


class Badge:
    """The words for frames of one ``(width, height)``, at the lower right."""

    def __init__(self, size: tuple[int, int]) -> None:
        text_px = max(SMALLEST_PX, round(0.036 * min(size)))
        words, shade = _written(text_px)
        width, height = min(words.width, size[0]), min(words.height, size[1])
        self._place = np.s_[size[1] - height :, size[0] - width :]
        self._light = np.asarray(words, np.float32)[-height:, -width:, None] / 255 * OPACITY
        self._dark = np.asarray(shade, np.float32)[-height:, -width:, None] / 255 * OPACITY

    def on(self, frame: Frame) -> Frame:
        """A copy of the frame that carries the words."""
        marked = frame.copy()
        patch = marked[self._place] * (1 - self._dark)
        marked[self._place] = patch + (255 - patch) * self._light
        return marked


def _written(text_px: int) -> tuple[Image.Image, Image.Image]:
    """The words, and the soft shadow that keeps them legible on white; grey, same size."""
    font = ImageFont.load_default(size=text_px)
    left, top, right, bottom = font.getbbox(WORDS)
    margin = text_px * 3 // 4
    size = round(right - left) + 2 * margin, round(bottom - top) + 2 * margin
    words = Image.new("L", size)
    ImageDraw.Draw(words).text((margin - left, margin - top), WORDS, font=font, fill=255)
    blurred = words.filter(ImageFilter.GaussianBlur(text_px / 6))
    return words, blurred.point([min(255, 2 * v) for v in range(256)])
