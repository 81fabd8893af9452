"""The logger of requests and callbacks, for whoever writes to it and whoever shows it."""

from __future__ import annotations

__all__ = ["LOGGER_NAME"]

LOGGER_NAME = "kling_effects_async.emulator.requests"
