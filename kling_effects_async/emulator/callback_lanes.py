"""Which message is sent next, when more of them are due than may be under way.

A lane for each receiver (host and port). Within a lane tasks take turns, and a task's messages go
one after the other, so that only a fault changes their order. A receiver that hangs holds its own
senders, and nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from attrs import define, field

__all__ = ["MAX_SENDERS", "MAX_SENDERS_PER_RECEIVER", "Lanes"]

# Each is a connection, see MAX_CONNECTIONS. Choices, both: the real service's are not documented.
MAX_SENDERS = 64
MAX_SENDERS_PER_RECEIVER = 16

T = TypeVar("T")


@define
class _Lane(Generic[T]):
    """What waits for one receiver, in the order of the tasks' turns.

    A task with a message under way stays in ``_waiting`` without a turn: its next message gets one
    when the one before has ended.
    """

    _waiting: dict[Hashable, deque[T]] = field(factory=dict, init=False)
    _turns: deque[Hashable] = field(factory=deque, init=False)
    senders: int = field(default=0, init=False)

    @property
    def may_start_a_sender(self) -> bool:
        return bool(self._turns) and self.senders < MAX_SENDERS_PER_RECEIVER

    def add(self, task: Hashable, message: T) -> None:
        if task not in self._waiting:
            self._waiting[task] = deque()
            self._turns.append(task)
        self._waiting[task].append(message)

    def take(self) -> tuple[Hashable, T] | None:
        if not self._turns:
            return None
        task = self._turns.popleft()
        return task, self._waiting[task].popleft()

    def end(self, task: Hashable) -> None:
        """The message that was taken has ended, so the task's next one may follow."""
        if self._waiting[task]:
            self._turns.append(task)
        else:
            del self._waiting[task]


@define
class Lanes(Generic[T]):
    """Sends messages, as many at a time as the bounds allow. ``waiting``: those not begun yet."""

    _send: Callable[[T], Awaitable[None]]
    waiting: int = field(default=0, init=False)
    _lanes: dict[Hashable, _Lane[T]] = field(factory=dict, init=False)
    _room: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(MAX_SENDERS), init=False)
    _senders: set[asyncio.Task[None]] = field(factory=set, init=False)

    def add(self, receiver: Hashable, task: Hashable, message: T) -> None:
        """Send a message as soon as its receiver and its task allow."""
        lane = self._lanes.setdefault(receiver, _Lane())
        lane.add(task, message)
        self.waiting += 1
        if lane.may_start_a_sender:
            lane.senders += 1
            self._start(receiver, lane)

    async def close(self) -> None:
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)

    def _start(self, receiver: Hashable, lane: _Lane[T]) -> None:
        sender = asyncio.create_task(self._work(receiver, lane), name="emulator callback sender")
        self._senders.add(sender)
        sender.add_done_callback(self._senders.discard)

    async def _work(self, receiver: Hashable, lane: _Lane[T]) -> None:
        while taken := lane.take():
            task, message = taken
            async with self._room:
                self.waiting -= 1
                await self._send(message)
            lane.end(task)
        lane.senders -= 1
        if not lane.senders:
            del self._lanes[receiver]
