"""The parts of a JPEG or PNG file, read once from its start to its end, without decoding.

A walk finds the size, and whether the file is whole: each part has the length that it declares, the
checksums that matter to the pixels are right, and the end of the picture is there. The pixels of a
PNG are inflated block by block, and counted. What does not matter to the pixels (metadata,
profiles, previews, what follows the end) is never a reason to reject a picture, however damaged it
is.
"""

from __future__ import annotations

import hashlib
from typing import IO

from attrs import evolve

from kling_effects_async.images.parts import jpeg, png
from kling_effects_async.images.parts.layout import Damage, Layout
from kling_effects_async.images.parts.one_pass import OnePass

__all__ = ["WALKED_KINDS", "Layout", "walked"]

_WALKS = {"JPEG": (jpeg.parts, jpeg.updated), "PNG": (png.parts, png.updated)}
WALKED_KINDS = frozenset(_WALKS)


def walked(file: IO[bytes], kind: str, *, with_hash: bool) -> tuple[Layout, str]:
    """What the walk found, and the SHA-256 of the whole content in hex (``""`` without hash).

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256() if with_hash else None
    source = OnePass(file, digest)
    parts, updated = _WALKS[kind]
    layout = Layout()
    try:
        for part in parts(source):
            layout = updated(layout, part)
        layout.check_complete()
    except Damage as damage:
        layout = evolve(layout, damage=str(damage))
    if digest is None:
        return layout, ""
    source.read_to_end()
    return layout, digest.hexdigest()
