"""How many tasks the account may run at once: learned, because no call returns it, only 1303.

A ``Slot`` is held from the submit until the task's end. Slots are given in turn to the shares that
wait for one; see ``fair_queue``. The number of slots grows by one and shrinks by a factor (AIMD, as
in TCP):

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from kling_effects_async.policy import SharePolicy, SlotPolicy
from kling_effects_async.submitting.fair_queue import FairQueue

__all__ = ["Slot", "SlotLimiter"]

_SHRUNK = 0.75

# Why there are so many slots, for users.
_FIRST = "the number to start with: the service has not shown another one yet"
_REMEMBERED = "remembered from an earlier run"
_REJECTED = "the service rejected a submit because all slots were taken"
_ACCEPTED = "the service accepted one more"
_TRIED = "one more is tried, as nothing was rejected for a while"


class Slot:
    """The right to have one task at the service; give it back with ``release``."""

    __slots__ = ("_slots", "hold", "is_accepted", "is_released", "round_number")

    def __init__(self, slots: SlotLimiter, round_number: int, hold: int) -> None:
        self._slots = slots
        self.round_number: int = round_number
        self.hold: int = hold
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
        shares: who gets a slot where several wait.
        remembered: the size that was learned before.
        on_learned: called with each new size that is worth remembering.
        on_change: called with each new size, how many tasks run, and why it changed.
    """

    def __init__(
        self,
        policy: SlotPolicy,
        *,
        shares: SharePolicy | None = None,
        remembered: int | None = None,
        on_learned: Callable[[int], None] | None = None,
        on_change: Callable[[int, int, str], None] | None = None,
    ) -> None:
        self._on_change = on_change
        self._reason = _FIRST if remembered is None else _REMEMBERED
        self._policy = policy
        self._size = min(policy.maximum, remembered or policy.start)
        self._has_met_limit = remembered is not None
        self._on_learned = on_learned
        self._running = 0
        self._round = 0
        self._ends_in_a_row = 0
        self._queue: FairQueue[asyncio.Future[Slot]] = FairQueue(shares or SharePolicy())
        self._by_name: dict[str, asyncio.Future[Slot]] = {}
        self._watchers: set[asyncio.Event] = set()

    @property
    def size(self) -> int:
        """How many slots there are, as far as is known."""
        return self._size

    @property
    def reason(self) -> str:
        """Why there are so many."""
        return self._reason

    @property
    def held(self) -> int:
        """How many slots are given out."""
        return self._queue.held

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

    async def take(self, *, share: str = "", name: str = "", is_next: bool = False) -> Slot:
        """Wait for a slot.

        Args:
            share: whose slot it is to be.
            name: for ``position_of``; no two that wait have the same.
            is_next: before all others; for a job that had its turn and was rejected.
        """
        if self._is_free_for(share):
            return self._given(self._queue.hold(share))
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._queue.enqueue(turn, share, is_next=is_next)
        if name:
            self._by_name[name] = turn
        try:
            return await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise
        finally:
            self._by_name.pop(name, None)

    def adopt(self, share: str = "") -> Slot:
        """A slot for a task that runs already, whether there is one or not."""
        return self._given(self._queue.hold(share))

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._queue)

    @property
    def waiting_by_share(self) -> Mapping[str, int]:
        """How many of each share wait; only shares of which somebody does."""
        return self._queue.waiting_by_share()

    def position_of(self, name: str) -> int | None:
        """See ``FairQueue.position_of``; ``None`` if nobody of this name waits."""
        turn = self._by_name.get(name)
        return None if turn is None else self._queue.position_of(turn, slots=self._size)

    def has_shrunk_since(self, round_number: int) -> bool:
        """Whether there was a rejection since that round, and too many slots are held."""
        return round_number != self._round and self.held > self._size

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
            self._resize(max(1, smaller), _REJECTED)
        slot.release()
        return is_news

    def fail_waiting(self, error: Exception) -> None:
        """End all waits for a slot with this error."""
        for turn in list(self._queue):
            self._queue.remove(turn)
            if not turn.done():
                turn.set_exception(copy.copy(error))  # each raises its own, as a traceback is added
        self._wake_watchers()

    def took(self) -> None:
        """Called by ``Slot.accept``."""
        self._running += 1
        if not self._has_met_limit:
            self._set_size(min(self._policy.maximum, self._size + 1), _ACCEPTED)
            self._serve()
        elif self._size < self._running <= self._policy.maximum:
            self._resize(self._running, _ACCEPTED)

    def ended(self, slot: Slot) -> None:
        """Called by ``Slot.release``."""
        self._queue.release(slot.hold)
        if slot.is_accepted:
            self._running -= 1
            self._ends_in_a_row += 1
        # A slot more is only worth a try while somebody waits for one, and may have it.
        is_wanted = self._queue.first() is not None
        if self._has_met_limit and is_wanted and self._ends_in_a_row >= self._size:
            self._ends_in_a_row = 0
            self._resize(min(self._policy.maximum, self._size + 1), _TRIED)
        self._serve()

    def _resize(self, size: int, reason: str) -> None:
        if size != self._size:
            self._set_size(size, reason)
            if self._on_learned is not None:
                self._on_learned(size)

    def _set_size(self, size: int, reason: str) -> None:
        if size != self._size:
            self._size, self._reason = size, reason
            if self._on_change is not None:
                self._on_change(size, self._running, reason)

    def _wake_watchers(self) -> None:
        for event in self._watchers:
            event.set()

    def _serve(self) -> None:
        self._wake_watchers()
        while self.held < self._size and (turn := self._queue.first()) is not None:
            if turn.done():  # cancelled a moment ago: it must not use up its share's turn
                self._queue.remove(turn)
            else:
                turn.set_result(self._given(self._queue.next()))

    def _is_free_for(self, share: str) -> bool:
        """Whether a slot is free that nobody waits for, and the share may have it."""
        is_free = self.held < self._size and self._queue.first() is None
        return is_free and self._queue.may_hold(share)

    def _given(self, hold: int) -> Slot:
        return Slot(self, self._round, hold)

    def _leave(self, turn: asyncio.Future[Slot]) -> None:
        """Cancelled while waiting, or in the very moment of getting the slot."""
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            turn.result().release()
        else:
            self._queue.remove(turn)
