"""What a client tells of itself, for those who measure it: its events, and what is none of a job's.

An observer must return at once, and must not raise.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Literal, Self, TypeAlias

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.events import Event

__all__ = ["NOBODY", "ObservedRun", "Observer", "PollKind"]

PollKind: TypeAlias = Literal["query", "page"]


class ObservedRun:
    """A bulk run, to be entered; this one is observed by nobody."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The run is over."""

    def member(self) -> AbstractContextManager[None]:
        """What is submitted within it belongs to the run; to be left in the same asyncio task."""
        return nullcontext()


class Observer:
    """Ignores everything."""

    def on_event(self, event: Event) -> None:
        """An event of a job, a task or the slots."""

    def slots(self, size: int) -> None:
        """The account begins with so many slots."""

    def polled(self, kind: PollKind) -> None:
        """A poll was sent: a query for one task, or a page of the list for many."""

    def retried(self, error: KlingEffectsError) -> None:
        """A request is sent again after this error; submits have events of their own."""

    def downloaded(self, size_bytes: int) -> None:
        """So many bytes of a clip came."""

    def timed_out(self, external_task_id: str) -> None:
        """The task was not seen to end in time, and is not followed any more."""

    def run(self, call: str) -> ObservedRun:
        """A bulk run begins.

        Args:
            call: the method that was called, such as "run_many".
        """
        return ObservedRun()

    def close(self) -> None:
        """The client is closed; what is open here stays open at the service."""


NOBODY = Observer()
"""Observes nothing; where a client has no telemetry."""
