"""What goes wrong with an emulator itself, not with the service that it emulates."""

from __future__ import annotations

__all__ = ["EmulatorError", "TooSoonError"]


class EmulatorError(RuntimeError):
    """The emulator cannot start, or was used outside its ``async with``; see the message."""


class TooSoonError(EmulatorError):
    """One test callback in six seconds, as with the console's button; try again later."""
