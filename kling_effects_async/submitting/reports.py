"""The events of submits: each submit's in order, and its end once."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable

from kling_effects_async.errors import KlingEffectsError, SubmissionUncertainError
from kling_effects_async.events import (
    Event,
    JobAccepted,
    JobCancelled,
    JobQueued,
    JobRejected,
    JobSubmitted,
    JobUncertain,
)
from kling_effects_async.journal.job import Job
from kling_effects_async.transport.clock import Clock
from kling_effects_async.transport.unforeseen import class_and_position

__all__ = ["SubmitReports"]


class SubmitReports:
    """Reports the submits of one account, of which one at a time is about the same job."""

    def __init__(self, on_event: Callable[[Event], object], clock: Clock) -> None:
        self._on_event = on_event
        self._clock = clock
        self._uncertain: set[str] = set()
        self._attempts: dict[str, int] = {}  # of the submits that are not over, by external id

    @property
    def uncertain_jobs(self) -> int:
        """How many jobs were reported as uncertain and not settled since."""
        return len(self._uncertain)

    def settled(self, job: Job) -> None:
        """It is known whether the job has a task, or a person decided about it."""
        self._uncertain.discard(job.external_task_id)

    def queued(self, job: Job, because: KlingEffectsError | None = None) -> None:
        """The job waits for a slot: for its first try, or for one more after this error."""
        self.settled(job)
        self._attempts.setdefault(job.external_task_id, 0)
        error = copy.copy(because)  # as the traceback holds the images
        self._report(JobQueued, job, reason="" if error is None else str(error), error=error)

    def submitted(self, job: Job) -> None:
        """Its request is sent now."""
        attempt = self._attempts.get(job.external_task_id, 0) + 1
        self._attempts[job.external_task_id] = attempt
        self._report(JobSubmitted, job, attempt=attempt)

    def accepted(self, job: Job, task_id: str) -> None:
        """There is a task."""
        self.settled(job)
        self._attempts.pop(job.external_task_id, None)
        self._report(JobAccepted, job, task_id=task_id)

    def uncertain(self, job: Job, reason: str) -> None:
        """Nobody knows whether there is a task."""
        self._uncertain.add(job.external_task_id)
        self._attempts.pop(job.external_task_id, None)
        self._report(JobUncertain, job, reason=reason)

    def over(self, job: Job, error: BaseException) -> None:
        """The submit ended with this error; its end is reported, unless it was already."""
        if job.external_task_id not in self._attempts:
            return
        del self._attempts[job.external_task_id]
        if isinstance(error, asyncio.CancelledError):
            self._report(JobCancelled, job)
        elif isinstance(error, KlingEffectsError) and not isinstance(
            error, SubmissionUncertainError
        ):
            # A copy, as the traceback holds the images.
            self._report(JobRejected, job, error=copy.copy(error))
        else:
            self.uncertain(job, reason_of(error))

    def _report(self, kind: Callable[..., Event], job: Job, **details: object) -> None:
        self._on_event(
            kind(
                at=self._clock.now(),
                external_task_id=job.external_task_id,
                scene=job.scene,
                **details,
            )
        )


def reason_of(error: BaseException) -> str:
    """Why a job is uncertain, by the error that its caller gets."""
    if isinstance(error, SubmissionUncertainError):
        return error.reason
    return class_and_position(error)
