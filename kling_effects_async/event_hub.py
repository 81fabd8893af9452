"""Where the events of a client go: to the caller's function, and to every stream of them.

No listener can harm a job: what the function raises is logged, once for each class of event, and a
stream whose reader is slow drops its oldest events and counts them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self
from weakref import WeakSet

from kling_effects_async.events import Event
from kling_effects_async.log_fields import log_fields
from kling_effects_async.transport.unforeseen import class_and_position

__all__ = ["EventHub", "EventStream"]

_log = logging.getLogger(__name__)


class EventStream:
    """The events of a client from the call of ``EffectsClient.events`` on; ``async for`` over it.

    One reader at a time. It ends once the client is closed and the events before that are read. An
    ``async with`` around it, or ``close``, ends it earlier; a stream that nobody refers to any more
    costs nothing.

    Attributes:
        dropped: how many events were dropped, the oldest first, because ``max_waiting`` others
            waited for the reader.
    """

    def __init__(self, max_waiting: int) -> None:
        self.dropped: int = 0
        self._max_waiting = max_waiting
        self._waiting: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._is_closed = False

    def put(self, event: Event) -> None:
        """Add an event; called by the client."""
        if self._is_closed:
            return
        if len(self._waiting) >= self._max_waiting:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(event)
        self._changed.set()

    def close(self) -> None:
        """End the stream once its waiting events are read; twice is fine."""
        self._is_closed = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._is_closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class EventHub:
    """The listeners of one client.

    Args:
        listeners: called at once, in the event loop: the caller's function, and what observes.
    """

    def __init__(self, *listeners: Callable[[Event], object] | None) -> None:
        self._listeners = [each for each in listeners if each is not None]
        self._streams: WeakSet[EventStream] = WeakSet()
        self._failed_for: set[type[Event]] = set()

    def send(self, event: Event) -> None:
        """Tell everybody who listens; never raises."""
        for stream in tuple(self._streams):
            stream.put(event)
        for listener in self._listeners:
            self._call(listener, event)

    def stream(self, max_waiting: int) -> EventStream:
        """A stream of the events from now on."""
        stream = EventStream(max_waiting)
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End every stream."""
        for stream in tuple(self._streams):
            stream.close()

    def _call(self, on_event: Callable[[Event], object], event: Event) -> None:
        try:
            on_event(event)
        # A CancelledError of the caller's would end a submit or the poller; it is an error of his.
        except (Exception, asyncio.CancelledError) as fault:
            if type(event) in self._failed_for:
                return
            self._failed_for.add(type(event))
            name, what = type(event).__name__, class_and_position(fault)
            _log.error(
                "on_event raised for a %s, later ones are not logged: %s",
                name,
                what,
                extra=log_fields("listener.failed", kind=name, error=fault),
            )
