"""What goes wrong with an emulator itself, not with the service that it emulates."""

from __future__ import annotations

__all__ = ["EmulatorError"]


class EmulatorError(RuntimeError):
    """The emulator cannot start, or was used outside its ``async with``; see the message."""
