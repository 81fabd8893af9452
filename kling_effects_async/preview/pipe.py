"""What goes through the pipes between the pool and a render process.

A job is a JSON line (scene, duration, quality, image sizes) and the images. A reply is a JSON line
(``size`` of the clip, or ``rejected``: why no clip can be made of the pictures) and the clip.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO

from attrs import asdict, frozen

from kling_effects_async.preview.errors import RenderError
from kling_effects_async.preview.quality import ClipQuality

__all__ = ["RenderJob", "read_clip", "read_job", "write_clip", "write_job", "write_rejection"]


@frozen
class RenderJob:
    """One clip to be made of one or two encoded pictures."""

    scene: str
    images: Sequence[bytes]
    duration_s: int
    quality: ClipQuality


def write_job(pipe: IO[bytes], job: RenderJob) -> None:
    head = {
        "scene": job.scene,
        "duration_s": job.duration_s,
        "quality": asdict(job.quality),
        "sizes": [len(image) for image in job.images],
    }
    _write(pipe, head, *job.images)


def read_job(pipe: IO[bytes]) -> RenderJob | None:
    """The next job; ``None``: the pipe is closed."""
    line = pipe.readline()
    if not line:
        return None
    head = json.loads(line)
    images = [_read_exactly(pipe, size) for size in head["sizes"]]
    return RenderJob(head["scene"], images, head["duration_s"], ClipQuality(**head["quality"]))


def write_clip(pipe: IO[bytes], clip: bytes) -> None:
    _write(pipe, {"size": len(clip)}, clip)


def write_rejection(pipe: IO[bytes], error: RenderError) -> None:
    _write(pipe, {"rejected": str(error)})


def read_clip(pipe: IO[bytes]) -> bytes:
    """The clip of the job that was written last.

    Raises:
        RenderError: no clip can be made of its pictures; the process takes the next job.
        EOFError: the process ended before the clip was complete.
    """
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the render process ended without a reply")
    head = json.loads(line)
    if "rejected" in head:
        raise RenderError(head["rejected"])
    return _read_exactly(pipe, head["size"])


def _write(pipe: IO[bytes], head: dict[str, object], *parts: bytes) -> None:
    pipe.writelines([json.dumps(head).encode(), b"\n", *parts])
    pipe.flush()


def _read_exactly(pipe: IO[bytes], size: int) -> bytes:
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError(f"the pipe ended after {len(content)} of {size} bytes")
    return content
