"""Which messages came before; bounded, however many come; pure."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["SeenIds"]

# A message is some 300 bytes here. More messages than this between two sendings of one are not to
# be expected: a thousand tasks at once have two each.
_KEPT = 10_000


class SeenIds:
    """The ids that came last.

    Only of messages that are rightly signed: otherwise somebody could send an id first, and the
    real message would pass for a second one.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ids)

    def is_new(self, message_id: str) -> bool:
        """Whether it comes for the first time; from now on it does not."""
        is_new = message_id not in self._ids
        self._ids[message_id] = None
        self._ids.move_to_end(message_id)
        if len(self._ids) > self._kept:
            self._ids.popitem(last=False)
        return is_new
