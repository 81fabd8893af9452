"""How much an emulator holds by default. Choices, all of them."""

from __future__ import annotations

__all__ = ["MAX_CLIP_BYTES", "MAX_CONNECTIONS", "MAX_TASKS"]

# 1.2 kB each, measured with stock clips. Kling clears results after 30 days, whatever their number
# (K1 effects page, 2026-09).
MAX_TASKS = 100_000
MAX_CLIP_BYTES = 2 * 2**30

# A process may usually have 1024 descriptors open; 64 are for callbacks, and
# some for clips and renderers.
MAX_CONNECTIONS = 896
