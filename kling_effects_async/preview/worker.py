"""The render process: reads jobs from one pipe, writes clips to another.

A job is a JSON line (scene, duration, quality, image sizes) and the images. A reply is a JSON line
(``size`` of the clip, or ``rejected``: why no clip can be made of the pictures) and the clip.
"""

from __future__ import annotations

import json
import sys
from typing import IO, Any

from kling_effects_async.preview.clip import render_clip
from kling_effects_async.preview.errors import RenderError
from kling_effects_async.preview.quality import ClipQuality

__all__ = ["serve"]


def serve(jobs: IO[bytes] | None = None, replies: IO[bytes] | None = None) -> None:
    """Render job after job until the pipe is closed."""
    jobs, replies = jobs or sys.stdin.buffer, replies or sys.stdout.buffer
    while line := jobs.readline():
        job = json.loads(line)
        images = [jobs.read(size) for size in job["sizes"]]
        head, clip = _rendered(job, images)
        replies.writelines([json.dumps(head).encode(), b"\n", clip])
        replies.flush()


def _rendered(job: dict[str, Any], images: list[bytes]) -> tuple[dict[str, object], bytes]:
    quality = ClipQuality(**job["quality"])
    try:
        clip = render_clip(job["scene"], images, duration_s=job["duration_s"], quality=quality)
    except RenderError as error:
        return {"rejected": str(error)}, b""
    return {"size": len(clip)}, clip
