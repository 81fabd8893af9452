"""What both sides are given to work on."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

__all__ = ["IMAGE_BYTES", "SCENE", "image_files", "image_hash", "image_url"]

SCENE = "birthday_star"
IMAGE_BYTES = 10 * 2**20  # the largest that Kling takes
_DISTINCT_IMAGES = 5


def image_url(number: int, length_s: float) -> str:
    """The address of an image, which tells the server how long its task takes."""
    return f"https://pictures.example/{number}.jpg?seconds={length_s:.4f}"


@contextmanager
def image_files(count: int) -> Iterator[list[Path]]:
    """Photographs of the largest size there is; a few files, in turn."""
    stream = io.BytesIO()
    Image.effect_noise((1200, 900), 80).convert("RGB").save(stream, "JPEG", quality=90)
    photograph = stream.getvalue()
    with TemporaryDirectory(prefix="kling-bench-") as folder:
        files = [Path(folder, f"{number}.jpg") for number in range(_DISTINCT_IMAGES)]
        for file in files:
            file.write_bytes(photograph + os.urandom(IMAGE_BYTES - len(photograph)))
        yield [files[number % len(files)] for number in range(count)]


def image_hash(file: Path) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
