"""Whether what the server took of the uploads is what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.work import image_hash

__all__ = ["check_arrived"]


def check_arrived(files: Sequence[Path], counted: Mapping[str, Any]) -> None:
    """Compare the number, and the hashes of the sample that the server kept.

    Raises:
        RuntimeError: something else arrived; the figures would be worth nothing.
    """
    sent = {image_hash(file) for file in set(files)}
    if counted["submits"] != len(files) or not counted["image_hashes"]:
        raise RuntimeError(f"{counted['submits']} submits arrived, not {len(files)}")
    if not sent.issuperset(counted["image_hashes"]):
        raise RuntimeError("the images that arrived are not those that were sent")
