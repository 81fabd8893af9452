"""From a client's events to spans and metrics."""

from __future__ import annotations

import re
from datetime import datetime

from opentelemetry.trace import Status, StatusCode, Tracer

from kling_effects_async.errors import (
    ApiError,
    KlingEffectsError,
    ResultMissingError,
    SubmissionUncertainError,
    TaskFailedError,
    TaskTimeoutError,
)
from kling_effects_async.events import (
    Event,
    JobAccepted,
    JobCancelled,
    JobQueued,
    JobRejected,
    JobSubmitted,
    JobUncertain,
    SlotsChanged,
    TaskChanged,
    TaskEnded,
)
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.observer import ObservedRun, Observer, PollKind
from kling_effects_async.telemetry.harmless import harmless, log_once
from kling_effects_async.telemetry.instruments import Instruments
from kling_effects_async.telemetry.spans import Attributes, RunSpan, TaskSpan, TaskSpans, ns
from kling_effects_async.transport.clock import Clock

__all__ = ["TelemetryObserver"]

_LONGEST_TEXT = 200
_ADDRESS = re.compile(r"\S*://\S*")


class TelemetryObserver(Observer):
    """What one open client reports to.

    Args:
        account: the account's name in the journal.
    """

    def __init__(
        self,
        tracer: Tracer,
        instruments: Instruments,
        account: str,
        clock: Clock,
    ) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._clock = clock
        self._account: Attributes = {"kling.account": account}
        self._common: Attributes = {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "kling",
            **self._account,
        }
        self._spans = TaskSpans(tracer, self._common, self._drop)

    @harmless
    def on_event(self, event: Event) -> None:
        """Reports it."""
        match event:
            case JobQueued():
                self._queued(event)
            case JobSubmitted():
                self._submitted(event)
            case JobAccepted():
                self._accepted(event)
            case TaskChanged():
                self._changed(event)
            case TaskEnded():
                self._ended(event)
            case JobRejected():
                self._rejected(event)
            case JobCancelled():
                self._end(self._spans.remove_of(event), "cancelled", event.at)
            case JobUncertain():
                task = self._spans.remove_of(event)
                self._end(task, "uncertain", event.at, error=SubmissionUncertainError)
            case SlotsChanged():
                self.slots(event.size)

    @harmless
    def slots(self, size: int) -> None:
        """Sets the gauge."""
        self._instruments.slots.set(size, self._account)

    @harmless
    def polled(self, kind: PollKind) -> None:
        """Counts it."""
        self._instruments.polls.add(1, {**self._account, "kling.poll.kind": kind})

    @harmless
    def retried(self, error: KlingEffectsError) -> None:
        """Counts it."""
        self._instruments.retries.add(1, {**self._account, **_kind_of(error)})

    @harmless
    def downloaded(self, size_bytes: int) -> None:
        """Adds them."""
        self._instruments.downloaded.add(size_bytes, self._account)

    @harmless
    def timed_out(self, external_task_id: str) -> None:
        """Ends the span of a task that goes on at the service."""
        task = self._spans.remove(external_task_id)
        if task is not None:
            self._end(task, "timed_out", self._clock.now(), error=TaskTimeoutError)

    def run(self, call: str) -> ObservedRun:
        """Begins its span."""
        try:
            return RunSpan(self._tracer, call, self._account, self._clock.now)
        except Exception as fault:  # as in ``harmless``
            log_once(fault)
            return ObservedRun()

    @harmless
    def close(self) -> None:
        """Ends every span; these tasks go on at the service, and are no outcome."""
        for task in self._spans.remove_all():
            self._drop(task)

    # -- events

    def _queued(self, event: JobQueued) -> None:
        task = self._spans.of(event)
        error = event.error
        task.note("kling.job.queued", event.at, **(_named(error) if error else {}))
        if error is not None:
            self._instruments.retries.add(1, {**self._account, **_kind_of(error)})
            self._count_rejection(task, error)

    def _submitted(self, event: JobSubmitted) -> None:
        task = self._spans.of(event)
        if task.submitted_at is None:
            task.submitted_at = self._clock.monotonic()
        task.is_sent = True
        task.note("kling.job.submitted", event.at, attempt=event.attempt)

    def _accepted(self, event: JobAccepted) -> None:
        task = self._spans.of(event)
        if event.task_id is not None:
            task.span.set_attribute("gen_ai.response.id", event.task_id)
        task.note("kling.job.accepted", event.at)
        self._count_running(task, is_running=True)

    def _changed(self, event: TaskChanged) -> None:
        task = self._spans.of(event)
        self._count_running(task, is_running=True)
        task.note("kling.task.changed", event.at, status=str(event.snapshot.status))

    def _ended(self, event: TaskEnded) -> None:
        task = self._spans.remove_of(event)
        final = event.snapshot
        task.note("kling.task.ended", event.at, status=str(final.status))
        error = _error_of(final)
        if event.lag_s is not None:
            self._instruments.lag.record(event.lag_s, {**self._account, **_scene_of(task)})
        outcome = "failed" if error else "succeeded"
        text = _harmless(final.message) if error is TaskFailedError else ""
        self._end(task, outcome, event.at, error=error, text=text)

    def _rejected(self, event: JobRejected) -> None:
        task = self._spans.remove_of(event)
        self._count_rejection(task, event.error)
        code = _code_of(event.error)
        if code is not None:
            task.span.set_attribute("kling.code", code)
        self._end(task, "rejected", event.at, error=type(event.error))

    # -- what all have in common

    def _end(
        self,
        task: TaskSpan,
        outcome: str,
        at: datetime,
        *,
        error: type[KlingEffectsError] | None = None,
        text: str = "",
    ) -> None:
        self._count_running(task, is_running=False)
        result: Attributes = {"kling.outcome": outcome}
        if error is not None:
            result = {**result, "error.type": error.__name__}
            task.span.set_status(Status(StatusCode.ERROR, text or error.__name__))
        task.span.set_attributes(result)
        task.span.end(ns(at))
        attributes = {**self._common, **_scene_of(task), **result}
        self._instruments.tasks.add(1, attributes)
        if task.submitted_at is not None:
            took_s = self._clock.monotonic() - task.submitted_at
            self._instruments.duration.record(took_s, attributes)

    def _drop(self, task: TaskSpan) -> None:
        """End a span whose task goes on."""
        self._count_running(task, is_running=False)
        task.span.set_attribute("kling.outcome", "unfinished")
        task.span.end(ns(self._clock.now()))

    def _count_running(self, task: TaskSpan, *, is_running: bool) -> None:
        if task.is_running is not is_running:
            task.is_running = is_running
            self._instruments.running.add(1 if is_running else -1, self._account)

    def _count_rejection(self, task: TaskSpan, error: KlingEffectsError) -> None:
        # While the account is known to be rejected, submits fail with that error and are not sent.
        if task.is_sent and isinstance(error, ApiError):
            self._instruments.rejections.add(1, {**self._account, **_kind_of(error)})
        task.is_sent = False


def _error_of(final: TaskSnapshot) -> type[KlingEffectsError] | None:
    """What a waiter's ``await task`` raises."""
    if final.status is not TaskStatus.SUCCEEDED:
        return TaskFailedError
    return None if final.videos else ResultMissingError


def _scene_of(task: TaskSpan) -> Attributes:
    return {"kling.effect_scene": task.scene} if task.scene else {}


def _kind_of(error: KlingEffectsError) -> Attributes:
    code = _code_of(error)
    kind = {"error.type": type(error).__name__}
    return kind if code is None else {**kind, "kling.code": code}


def _named(error: KlingEffectsError) -> dict[str, str]:
    code = _code_of(error)
    kind = {"error": type(error).__name__}
    return kind if code is None else {**kind, "code": code}


def _code_of(error: KlingEffectsError) -> str | None:
    """As a text, since some gateways' codes are words."""
    code = error.code if isinstance(error, ApiError) else None
    return None if code is None else str(code)


def _harmless(message: str) -> str:
    """The service's words, from which secrets are cut out already, without addresses."""
    return _ADDRESS.sub("...", message)[:_LONGEST_TEXT]
