"""Where the HTTP library ends: what comes out of an await has none of its frames."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

from attrs import define

from kling_effects_async.protocol.redaction import bare

__all__ = ["CallersOwn", "frameless"]

T = TypeVar("T")


@define
class CallersOwn:
    """A function of the caller's, called from within: what it raises keeps the caller's frames."""

    function: Callable[..., Any]
    raised: BaseException | None = None

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self.function(*arguments)
        except BaseException as error:  # raised again
            self.raised = error
            raise

    async def awaited(self, *arguments: Any) -> Any:
        """Call and await it."""
        try:
            return await self.function(*arguments)
        except BaseException as error:  # raised again
            self.raised = error
            raise

    def take_frames(self, error: BaseException) -> TracebackType | None:
        """The frames from the caller's function on, if the error is that function's."""
        is_own, self.raised = error is self.raised, None
        trace = error.__traceback__ if is_own else None
        while trace is not None and trace.tb_frame.f_code not in _CALLS:
            trace = trace.tb_next
        return None if trace is None else trace.tb_next


_CALLS = (CallersOwn.__call__.__code__, CallersOwn.awaited.__code__)


async def frameless(awaitable: Awaitable[T], *owns: CallersOwn) -> T:
    """Await it; an error or a cancellation is raised as if it began here.

    It stays the very object that was raised, so that ``asyncio.timeout`` and task groups know it.

    Args:
        owns: a fault in one is the caller's to find, so that its frames and its cause stay.
    """
    try:
        return await awaitable
    except BaseException as error:  # whatever it is, it is raised again
        frames = next(filter(None, [own.take_frames(error) for own in owns]), None)
        ended = error.with_traceback(frames) if frames is not None else bare(error)
    try:
        raise ended  # out here, so that its context is the caller's
    finally:
        del ended, frames  # its traceback holds this frame
