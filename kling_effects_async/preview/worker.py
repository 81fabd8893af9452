"""The render process: reads jobs from its standard input, writes clips to its standard output."""

from __future__ import annotations

import sys

from kling_effects_async.preview.clip import render_clip
from kling_effects_async.preview.errors import RenderError
from kling_effects_async.preview.pipe import read_job, write_clip, write_rejection

__all__ = ["serve"]


def serve() -> None:
    """Render job after job until the pipe is closed."""
    replies = sys.stdout.buffer
    while job := read_job(sys.stdin.buffer):
        try:
            clip = render_clip(
                job.scene, job.images, duration_s=job.duration_s, quality=job.quality
            )
        except RenderError as error:
            write_rejection(replies, error)
        else:
            write_clip(replies, clip)
