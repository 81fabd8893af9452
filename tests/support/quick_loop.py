"""An event loop on which waiting is short, for commands that meet an emulator in another thread.

A loop that skips its waits altogether would skip the emulator's answers as well.
"""

from __future__ import annotations

import asyncio
import selectors

__all__ = ["SPEED", "quick_loop"]

# A poll comes 90 ms after a submit instead of 0.9 s, and a request may still take 6 s of its 60.
SPEED = 10


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(
            timeout if timeout is None else timeout / SPEED
        )
        return ready


class _QuickLoop(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return super().time() * SPEED


def quick_loop() -> asyncio.AbstractEventLoop:
    """A loop of which ten seconds take one."""
    return _QuickLoop(_Selector())
