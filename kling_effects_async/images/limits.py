"""What an image may be, in bytes, pixels and shape."""

from __future__ import annotations

__all__ = ["ASPECT_MAX", "IMAGE_LIMIT_BYTES", "SIDE_MIN_PX"]

# Kling rejects what breaks these, and that can come after the task was accepted, so we reject it
# first. Source: video effects page, input.image, seen 2026-09; the gateway's page says the same.
IMAGE_LIMIT_BYTES = 10 * 2**20
SIDE_MIN_PX = 300
ASPECT_MAX = 2.5
