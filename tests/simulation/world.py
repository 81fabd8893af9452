"""Time, and everything outside of the client's process, which a death does not stop."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from tests.simulation.loop import SimulatedLoop
from tests.simulation.script import Event, Script

__all__ = ["SimulatedClock", "World"]

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """One run, over all of its lives.

    Attributes:
        points: where something left the process so far, in this life.
        violations: what must not be, in words.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.random = Random(script.seed)
        self.points = 0
        self.steps = 0
        self.violations: list[str] = []
        self.loop: SimulatedLoop | None = None
        self._now_s = 0.0
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = count()
        self._event: Event | None = None
        self._on_event: Callable[[str], None] = lambda _kind: None

    # -- time

    @property
    def now_s(self) -> float:
        return self._now_s if self.loop is None else self.loop.now_s

    def now(self) -> datetime:
        return _BEGINNING + timedelta(seconds=self.now_s)

    def delay_s(self) -> float:
        """How long a disk or a wire takes."""
        return 0.001 + self.random.random() / 50 if self.script.seed else 0.01

    # -- outside

    @property
    def next_at(self) -> float:
        return self._events[0][0] if self._events else float("inf")

    def later(self, delay_s: float, act: Callable[..., object], *arguments: Any) -> None:
        """Something outside happens after so many seconds, whether or not the client lives."""
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._numbers), act, arguments))

    def happen(self) -> None:
        _at, _number, act, arguments = heapq.heappop(self._events)
        act(*arguments)

    # -- a life

    def begin(
        self,
        event: Event | None,
        on_event: Callable[[str], None],
        in_thread: Callable[[Callable[[], Any]], Any] | None = None,
    ) -> SimulatedLoop:
        """A new process; what happens to it by the script is handed to ``on_event``."""
        self.points = self.steps = 0
        self._event, self._on_event = event, on_event
        random = self.random if self.script.seed else None
        self.loop = SimulatedLoop(
            self, random, now_s=self._now_s, on_step=self._count_step, in_thread=in_thread
        )
        return self.loop

    def end(self, pause_s: float) -> None:
        """The process has ended; the next begins after the pause, and the service goes on."""
        self._now_s = self.now_s
        self.loop = None
        until_s = self._now_s + pause_s
        while self.next_at <= until_s:
            self._now_s = self.next_at
            self.happen()
        self._now_s = until_s

    def dies_here(self) -> bool:
        """A point where something leaves the process; whether the process dies at it."""
        self.points += 1
        event = self._event
        if event is None or event.kind != "die" or event.at != self.points:
            return False
        assert self.loop is not None
        self.loop.is_dead = True
        return True

    async def point(self) -> None:
        """The same for a coroutine, which never comes back if the process dies."""
        if self.dies_here():
            assert self.loop is not None
            await self.loop.create_future()

    def _count_step(self) -> None:
        self.steps += 1
        event = self._event
        if event is not None and event.kind != "die" and event.at == self.steps:
            self._on_event(event.kind)

    def violate(self, what: str) -> None:
        self.violations.append(f"{what} (at {self.now_s:.2f} s)")
        if self.loop is not None:
            self.loop.is_dead = True


class SimulatedClock:
    """The client's clock."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return self._world.now()

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        return asyncio.get_running_loop().call_at(when, callback)
