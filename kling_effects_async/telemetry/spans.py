"""The spans of tasks and of bulk runs.

A task's span begins at its submit, below the span that is current then. In a bulk run it is the
root of a trace of its own, since a trace of 100,000 tasks is of no use; it and the run's span are
linked. A task that an earlier process submitted gets a span when it is first seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from types import TracebackType
from typing import TypeAlias

from attrs import define
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Tracer

from kling_effects_async.events import (
    JobAccepted,
    JobCancelled,
    JobQueued,
    JobRejected,
    JobSubmitted,
    JobUncertain,
    TaskChanged,
    TaskEnded,
)
from kling_effects_async.observer import ObservedRun
from kling_effects_async.telemetry.harmless import harmless

__all__ = ["Attributes", "JobEvent", "RunSpan", "TaskSpan", "TaskSpans", "ns"]

Attributes: TypeAlias = Mapping[str, str | bool | int]

# Tasks that are only attached to may never be seen to end. Of these spans so many are kept open.
_SEEN_AT_MOST = 1_000
# The span of the bulk run in which something is submitted.
_RUN: ContextVar[Span | None] = ContextVar("kling_effects_async_run", default=None)

JobEvent: TypeAlias = (
    JobQueued
    | JobSubmitted
    | JobAccepted
    | JobRejected
    | JobCancelled
    | JobUncertain
    | TaskChanged
    | TaskEnded
)


@define(eq=False)
class TaskSpan:
    """One open span.

    Attributes:
        submitted_at: when its first request was sent, by the client's monotonic clock.
        is_sent: a request for the task is under way.
        is_running: the service accepted the task.
    """

    span: Span
    scene: str
    submitted_at: float | None = None
    is_sent: bool = False
    is_running: bool = False

    def note(self, name: str, at: datetime, **attributes: str | int) -> None:
        """Add an event to the span."""
        named = {f"kling.{key}": value for key, value in attributes.items()}
        self.span.add_event(name, named, ns(at))


class TaskSpans:
    """The open spans of one client, by the ids of their tasks.

    Args:
        common: attributes of every span.
        on_overflow: gets each span that is dropped because too many were only seen.
    """

    def __init__(
        self, tracer: Tracer, common: Attributes, on_overflow: Callable[[TaskSpan], None]
    ) -> None:
        self._tracer = tracer
        self._common = common
        self._on_overflow = on_overflow
        self._submitted: dict[str, TaskSpan] = {}
        self._seen: OrderedDict[str, TaskSpan] = OrderedDict()

    def of(self, event: JobEvent) -> TaskSpan:
        """The span of the event's task; a new one if there is none."""
        ids = _ids(event)
        for open_spans in (self._submitted, self._seen):
            for each in ids:
                if each in open_spans:
                    return open_spans[each]
        return self._begin(event, ids[0])

    def remove(self, *ids: str) -> TaskSpan | None:
        """The span of this task, which is no longer held; ``None`` if there is none."""
        for open_spans in (self._submitted, self._seen):
            for each in ids:
                if each in open_spans:
                    return open_spans.pop(each)
        return None

    def remove_of(self, event: JobEvent) -> TaskSpan:
        """The same for the event's task; a new one if there is none."""
        span = self.of(event)
        self.remove(*_ids(event))
        return span

    def remove_all(self) -> list[TaskSpan]:
        """All that are open."""
        spans = [*self._submitted.values(), *self._seen.values()]
        self._submitted.clear()
        self._seen.clear()
        return spans

    def _begin(self, event: JobEvent, name: str) -> TaskSpan:
        is_submit = isinstance(event, JobQueued)
        task = TaskSpan(self._start(event, is_submit=is_submit), event.scene)
        if event.task_id is not None:
            task.span.set_attribute("gen_ai.response.id", event.task_id)
        if is_submit:
            self._submitted[name] = task
            return task
        self._seen[name] = task
        if len(self._seen) > _SEEN_AT_MOST:
            self._on_overflow(self._seen.popitem(last=False)[1])
        return task

    def _start(self, event: JobEvent, *, is_submit: bool) -> Span:
        run = _RUN.get() if is_submit else None
        attributes: dict[str, str | bool] = {"kling.resumed": not is_submit}
        if event.external_task_id is not None:
            attributes["kling.external_task_id"] = event.external_task_id
        if event.scene:
            attributes["kling.effect_scene"] = event.scene
        span = self._tracer.start_span(
            f"generate_content {event.scene}".rstrip(),
            # An empty context where the current span is not what the task is done for.
            context=None if is_submit and run is None else Context(),
            kind=SpanKind.CLIENT,
            attributes={**self._common, "gen_ai.output.type": "video", **attributes},
            links=[] if run is None else [Link(run.get_span_context())],
            start_time=ns(event.at),
        )
        if run is not None:
            run.add_link(span.get_span_context())  # a tracer bounds how many it keeps
        return span


class RunSpan(ObservedRun):
    """The span of a bulk run, below the span that is current when it begins."""

    def __init__(
        self, tracer: Tracer, call: str, common: Attributes, now: Callable[[], datetime]
    ) -> None:
        self._now = now
        self._span = tracer.start_span(
            f"kling {call}", attributes={**common, "kling.call": call}, start_time=ns(now())
        )

    @harmless
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it. An error of the run is the caller's; those of tasks are in their own spans."""
        self._span.end(ns(self._now()))

    def member(self) -> AbstractContextManager[None]:
        """Within it, submitted tasks are linked with the run."""
        return _within(self._span)


@contextmanager
def _within(span: Span) -> Iterator[None]:
    token = _RUN.set(span)
    try:
        yield
    finally:
        _RUN.reset(token)


def ns(moment: datetime) -> int:
    """Nanoseconds since 1970, as spans count."""
    return int(moment.timestamp() * 1e9)


def _ids(event: JobEvent) -> list[str]:
    return [each for each in (event.external_task_id, event.task_id) if each is not None]
