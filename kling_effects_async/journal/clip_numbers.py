"""The first name that no other clip of a folder has, found in one or two questions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import count

from kling_effects_async.clip_names import clip_key, numbered

__all__ = ["ClipNumbers"]

# A folder with a million clips of one name is numbered quickly; more names than these are few.
_REMEMBERED = 1024


class ClipNumbers:
    """Numbers names, and remembers where it stopped, because names are not given back."""

    def __init__(self) -> None:
        self._next: OrderedDict[tuple[str, str], int] = OrderedDict()

    def free_name(self, folder: str, name: str, is_taken: Callable[[str], bool]) -> str:
        """The name, with the lowest number that makes it free.

        Args:
            is_taken: whether a clip of the folder has the name with this ``clip_key``.
        """
        key = clip_key(name)
        if key is None:  # it will hold a task's id, which no other clip has
            return name
        first = self._next.get((folder, key), 1)
        number = next(n for n in count(first) if not is_taken(str(clip_key(numbered(name, n)))))
        if number > 1:
            self._remember((folder, key), number)
        return numbered(name, number)

    def _remember(self, base: tuple[str, str], number: int) -> None:
        self._next[base] = number
        self._next.move_to_end(base)
        if len(self._next) > _REMEMBERED:
            self._next.popitem(last=False)
