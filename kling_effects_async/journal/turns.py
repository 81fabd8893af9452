"""Turns at a job: one caller at a time submits or settles it, among all clients of the store.

A store may serve several clients, event loops and threads. A turn belongs to the store, so that
a job which one of them submits is uncertain for none of the others. They are served in the order in
which they came.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

__all__ = ["Turn", "Turns"]

Key = tuple[str, str]  # account and external id


class Turns:
    """The turns of one store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held for a few statements, never across an await
        self._queues: dict[Key, deque[Turn]] = {}  # the first of each queue has the turn

    def of(self, account: str, external_task_id: str) -> Turn:
        """A turn at this job: ``async with`` waits for it and ends it."""
        return Turn(self, (account, external_task_id))

    def enter(self, turn: Turn) -> None:
        """Join the queue; the turn is notified when it is the first."""
        with self._lock:
            queue = self._queues.setdefault(turn.key, deque())
            queue.append(turn)
            # The first one's loop may have been closed without its `leave`, as after asyncio.run.
            if queue[0] is turn or queue[0].loop.is_closed():
                _notify_first(queue)

    def leave(self, turn: Turn) -> None:
        """Leave the queue, from any position."""
        with self._lock:
            queue = self._queues.get(turn.key, deque())
            if turn not in queue:  # its loop was closed, and it was passed over
                return
            was_first = queue[0] is turn
            queue.remove(turn)
            if was_first:
                _notify_first(queue)
            if not queue:
                del self._queues[turn.key]


class Turn:
    """One caller's position in the queue for a job."""

    def __init__(self, turns: Turns, key: Key) -> None:
        self.key = key
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._turns = turns
        self._has_come = asyncio.Event()
        self._attempt: asyncio.Task[Any] | None = None

    def notify(self) -> None:
        """Report, from any thread, that it has come.

        Raises:
            RuntimeError: the loop is closed.
        """
        self.loop.call_soon_threadsafe(self._has_come.set)

    def outlast(self, attempt: asyncio.Task[Any]) -> None:
        """Keep the turn, after the end of the block too, until this task has ended."""
        self._attempt = attempt

    async def __aenter__(self) -> Self:
        self._turns.enter(self)
        try:
            await self._has_come.wait()
        except BaseException:
            self._turns.leave(self)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._attempt is None:
            self._turns.leave(self)
        else:  # called at once if it has ended
            self._attempt.add_done_callback(lambda _: self._turns.leave(self))


def _notify_first(queue: deque[Turn]) -> None:
    """Remove those whose loop is closed, and notify the first that is left."""
    while queue:
        with suppress(RuntimeError):
            queue[0].notify()
            return
        queue.popleft()
