"""How many tasks the account may run at once: learned, because no call returns it, only 1303.

A ``Slot`` is held from the submit until the task's end. Slots are given out in the order of the
requests for them. Their number grows by one and shrinks by a factor (AIMD, as in TCP):

- Until the first rejection every acceptance adds a slot, so nobody waits for a limit that may not
  exist; what bounds us then is how many submits are without an answer.
- A rejection shrinks the size to what the account has accepted of us and not ended, or by a quarter
  where that is no less. Rejections of slots that were given out before count once, and slots that
  are too many since then are not tried.
- What the service accepts beyond the size is the new size.
- After that, a run of ends without a rejection (as many as there are slots) adds one slot.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kling_effects_async.policy import SlotPolicy

__all__ = ["Slot", "SlotLimiter"]

_SHRUNK = 0.75


class Slot:
    """The right to have one task at the service; give it back with ``release``."""

    __slots__ = ("_slots", "is_accepted", "is_released", "round_number")

    def __init__(self, slots: SlotLimiter, round_number: int) -> None:
        self._slots = slots
        self.round_number: int = round_number
        self.is_accepted: bool = False
        self.is_released: bool = False

    @property
    def is_surplus(self) -> bool:
        """It was given out before a rejection, and there are too many since: do not try it."""
        return self._slots.has_shrunk_since(self.round_number)

    def accept(self) -> None:
        """The service has the task."""
        if not self.is_accepted:
            self.is_accepted = True
            self._slots.took()

    def release(self) -> None:
        """The task ended, or never came to be. Twice is fine."""
        if not self.is_released:
            self.is_released = True
            self._slots.ended(self)


class SlotLimiter:
    """The slots of one account at one service.

    Args:
        remembered: the size that was learned before.
        on_learned: called with each new size that is worth remembering.
    """

    def __init__(
        self,
        policy: SlotPolicy,
        *,
        remembered: int | None = None,
        on_learned: Callable[[int], None] | None = None,
    ) -> None:
        self._policy = policy
        self._size = min(policy.maximum, remembered or policy.start)
        self._has_met_limit = remembered is not None
        self._on_learned = on_learned
        self._held = 0
        self._running = 0
        self._round = 0
        self._ends_in_a_row = 0
        self._queue: deque[asyncio.Future[Slot]] = deque()
        self._watchers: set[asyncio.Event] = set()

    @property
    def size(self) -> int:
        """How many slots there are, as far as is known."""
        return self._size

    @property
    def held(self) -> int:
        """How many slots are given out."""
        return self._held

    @property
    def running(self) -> int:
        """How many tasks of ours the service has accepted and not ended."""
        return self._running

    @contextmanager
    def watched(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever there may be room for more."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    async def take(self, *, is_next: bool = False) -> Slot:
        """Wait for a slot.

        Args:
            is_next: before all others; for a job that had its turn and was rejected.
        """
        if not self._queue and self._held < self._size:
            return self._given()
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        if is_next:
            self._queue.appendleft(turn)
        else:
            self._queue.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def adopt(self) -> Slot:
        """A slot for a task that runs already, whether there is one or not."""
        return self._given()

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._queue)

    def has_shrunk_since(self, round_number: int) -> bool:
        """Whether there was a rejection since that round, and too many slots are held."""
        return round_number != self._round and self._held > self._size

    def reject(self, slot: Slot) -> bool:
        """The service had no slot for this slot (1303): shrink, and give the slot back.

        Returns:
            Whether it is the first rejection of its round; the others are no news.
        """
        is_news = slot.round_number == self._round
        if is_news:
            self._round += 1
            self._ends_in_a_row = 0
            self._has_met_limit = True
            # What the account accepted of us is a fact, a part of the size only a guess.
            smaller = self._running if self._running < self._size else int(self._size * _SHRUNK)
            self._resize(max(1, smaller))
        slot.release()
        return is_news

    def fail_waiting(self, error: Exception) -> None:
        """End all waits for a slot with this error."""
        queue, self._queue = self._queue, deque()
        for turn in queue:
            if not turn.done():
                turn.set_exception(copy.copy(error))  # each raises its own, as a traceback is added

    def took(self) -> None:
        """Called by ``Slot.accept``."""
        self._running += 1
        if not self._has_met_limit:
            self._size = min(self._policy.maximum, self._size + 1)
            self._serve()
        elif self._size < self._running <= self._policy.maximum:
            self._resize(self._running)

    def ended(self, slot: Slot) -> None:
        """Called by ``Slot.release``."""
        self._held -= 1
        if slot.is_accepted:
            self._running -= 1
            self._ends_in_a_row += 1
        # A slot more is only worth a try while somebody waits for one.
        if self._has_met_limit and self._queue and self._ends_in_a_row >= self._size:
            self._ends_in_a_row = 0
            self._resize(min(self._policy.maximum, self._size + 1))
        self._serve()

    def _resize(self, size: int) -> None:
        if size != self._size:
            self._size = size
            if self._on_learned is not None:
                self._on_learned(size)

    def _serve(self) -> None:
        for event in self._watchers:
            event.set()
        while self._queue and self._held < self._size:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(self._given())

    def _given(self) -> Slot:
        self._held += 1
        return Slot(self, self._round)

    def _leave(self, turn: asyncio.Future[Slot]) -> None:
        """Cancelled while waiting, or in the very moment of getting the slot."""
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            turn.result().release()
        elif turn in self._queue:
            self._queue.remove(turn)
