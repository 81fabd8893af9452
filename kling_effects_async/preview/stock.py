"""One clip that was made before, for callers that do not need their own pictures in it."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["stock_clip"]


def stock_clip() -> bytes:
    """Five seconds of real H.264, tiny, always the same. Reads a file: call it in a thread."""
    return files(__package__).joinpath("stock.mp4").read_bytes()
