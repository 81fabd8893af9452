"""Whether the downloads are what the server has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.bench.clip_served import clip

__all__ = ["check_whole"]


def check_whole(files: Iterable[Path]) -> None:
    """Compare every byte.

    Raises:
        RuntimeError: a file differs; the figures would be worth nothing.
    """
    for file in files:
        if file.read_bytes() != clip():
            raise RuntimeError(f"{file.name} is not the clip")
