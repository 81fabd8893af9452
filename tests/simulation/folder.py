"""A real folder of clips, in a process that may die before each step at a file of it.

The client's calls of the operating system are counted by the interpreter's profile: so a step that
is new in the package is a point without being named here.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from tests.simulation.loop import DiedError
from tests.simulation.world import World

__all__ = ["ClipFolder"]

T = TypeVar("T")

# They change something, or may. A file object's ``write`` is found by its name.
_CHANGES = frozenset(
    {os.open, os.ftruncate, os.write, os.fsync, os.link, os.replace, os.rename, os.unlink, os.mkdir}
)


class ClipFolder:
    """Where clips are downloaded to.

    Args:
        on_change: called after each call that changed something.
    """

    def __init__(self, world: World, path: Path, on_change: Callable[[], None]) -> None:
        self.path = path
        self._world = world
        self._on_change = on_change
        self._open_before: dict[int, os.stat_result] = {}
        self._has_changed = False

    def begin_life(self) -> None:
        self._open_before = _open_files()

    def in_thread(self, call: Callable[[], T]) -> T:
        """What a thread of the client's process does."""
        self._has_changed = False
        sys.setprofile(self._see)
        try:
            return call()
        finally:
            sys.setprofile(None)
            if self._has_changed:
                self._on_change()

    def _see(self, _frame: FrameType, event: str, what: Any) -> None:
        if event != "c_call" or not (what in _CHANGES or what.__name__ == "write"):
            return
        self._has_changed = True
        if self._world.dies_here():
            raise DiedError

    def after_death(self) -> None:
        """Close what the dead had open, as the system does, so that its locks are gone."""
        own = {(facts.st_dev, facts.st_ino) for facts in map(os.stat, self.path.glob("*"))}
        for descriptor, facts in _open_files().items():
            is_removed = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 0
            is_own = is_removed or (facts.st_dev, facts.st_ino) in own
            # A number that was in use before may have been given again since.
            before = self._open_before.get(descriptor)
            if is_own and (before is None or not os.path.samestat(before, facts)):
                os.close(descriptor)


def _open_files() -> dict[int, os.stat_result]:
    found = {}
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # the one that listed them
            found[descriptor] = os.fstat(descriptor)
    return found
