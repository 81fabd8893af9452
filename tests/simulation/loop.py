"""An event loop without a selector: its time is a number, and its order comes from a seed."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from random import Random
from typing import Any, Protocol, TypeVar, cast

__all__ = ["DiedError", "Outside", "SimulatedLoop", "Stuck"]

T = TypeVar("T")

# A step takes microseconds, and a script hundreds to thousands of steps.
_MAX_STEPS = 200_000
# For real threads, of which only SQLite's file has one.
_MAX_THREAD_S = 60.0


class Stuck(Exception):
    """Nothing can happen any more, or it never ends, and somebody still waits."""


def _call(call: Callable[[], Any]) -> Any:
    return call()


class DiedError(BaseException):
    """The process died within a call of a thread; only the loop may catch it."""


class Outside(Protocol):
    """What happens outside of the process, in order of time."""

    @property
    def next_at(self) -> float: ...

    def happen(self) -> None: ...


class _Handle:
    __slots__ = ("arguments", "callback", "context", "is_cancelled")

    def __init__(
        self,
        callback: Callable[..., object],
        arguments: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.callback = callback
        self.arguments = arguments
        self.context = context or contextvars.copy_context()
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class SimulatedLoop:
    """One process. What is due at once is done in an order that the seed draws.

    Args:
        random: ``None`` keeps asyncio's own order.
        on_step: called after each callback.
        in_thread: makes the calls that go to a thread; by default they are simply made.

    Attributes:
        now_s: the loop's time.
        is_dead: the process died; nothing of it runs any more.
    """

    def __init__(
        self,
        outside: Outside,
        random: Random | None,
        *,
        now_s: float,
        on_step: Callable[[], None],
        in_thread: Callable[[Callable[[], Any]], Any] | None = None,
    ) -> None:
        self.now_s = now_s
        self.is_dead = False
        self._outside = outside
        self._random = random
        self._on_step = on_step
        self._in_thread = in_thread or _call
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._numbers = count()
        self._steps = 0
        self._from_threads: deque[_Handle] = deque()
        self._thread_has_news = threading.Condition()
        self._in_threads = 0

    # -- what asyncio needs

    def time(self) -> float:
        return self.now_s

    def call_soon(
        self,
        callback: Callable[..., object],
        *arguments: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        handle = _Handle(callback, arguments, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *arguments: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        handle = _Handle(callback, arguments, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *arguments: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        return self.call_at(self.now_s + delay, callback, *arguments, context=context)

    def call_soon_threadsafe(
        self,
        callback: Callable[..., object],
        *arguments: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        handle = _Handle(callback, arguments, context)
        with self._thread_has_news:
            self._from_threads.append(handle)
            self._thread_has_news.notify()
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._as_asyncios)

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self._as_asyncios, name=name, context=context)

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """At once, but in a step of its own."""
        future = self.create_future()

        def work() -> None:
            asyncio._set_running_loop(None)  # as in a thread
            try:
                result = self._in_thread(partial(func, *args))
            except DiedError:
                assert self.is_dead
            except Exception as error:  # delivered to who awaits it
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(result)
            finally:
                asyncio._set_running_loop(self._as_asyncios)

        self.call_soon(work)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody awaited: the referee judges by the books."""

    @property
    def _as_asyncios(self) -> asyncio.AbstractEventLoop:
        # It has no more of a loop's methods than is called here, and no sockets at all.
        return cast("asyncio.AbstractEventLoop", self)

    # -- running

    @contextmanager
    def thread_works(self) -> Iterator[None]:
        """Within the block, time stands still until a thread has answered."""
        self._in_threads += 1
        try:
            yield
        finally:
            self._in_threads -= 1

    def forget(self) -> None:
        """Drop everything that was to be done, so that the dead may close their files."""
        self._ready.clear()
        self._timers.clear()
        self.is_dead = False

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Until the coroutine has ended, or the process died.

        Raises:
            Stuck: neither will come.
        """
        asyncio._set_running_loop(self._as_asyncios)
        try:
            task = self.create_task(main)
            while not task.done() and not self.is_dead:
                self._step()
        finally:
            asyncio._set_running_loop(None)
        if not self.is_dead:
            task.result()

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise Stuck(f"no end after {_MAX_STEPS} steps")
        while self._from_threads:
            self._ready.append(self._from_threads.popleft())
        if not self._ready:
            self._let_time_pass()
            return
        if self._random is not None and len(self._ready) > 1:
            self._ready.rotate(-self._random.randrange(len(self._ready)))
        handle = self._ready.popleft()
        if not handle.is_cancelled:
            handle.context.run(handle.callback, *handle.arguments)
            self._on_step()

    def _let_time_pass(self) -> None:
        if self._in_threads:
            with self._thread_has_news:
                if self._thread_has_news.wait_for(lambda: self._from_threads, _MAX_THREAD_S):
                    return
            raise Stuck("a thread does not answer")
        while self._timers and self._timers[0][2].is_cancelled:
            heapq.heappop(self._timers)
        own_at = self._timers[0][0] if self._timers else float("inf")
        at = min(own_at, self._outside.next_at)
        if at == float("inf"):
            raise Stuck("nothing will happen any more")
        self.now_s = max(self.now_s, at)
        if self._outside.next_at <= own_at:
            self._outside.happen()
        else:
            self._ready.append(heapq.heappop(self._timers)[2])
