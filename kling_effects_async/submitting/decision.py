"""What is written down when a person settles a job: by a lookup, or by a decision; pure."""

from __future__ import annotations

from kling_effects_async.errors import JobStateError
from kling_effects_async.journal.job import FOLLOWERS, UNSETTLED, Job, JobState, JobUpdate
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.submitting.planning import effect_of

__all__ = ["DIED", "steps_after_lookup", "steps_to_abandon", "steps_to_resubmit"]

DIED = "its process died before the answer came"
_DIED = JobUpdate(JobState.UNCERTAIN, note=DIED, message=DIED)


def steps_after_lookup(job: Job, found: TaskSnapshot | None) -> list[JobUpdate]:
    """What to write down of an uncertain job after one lookup; to find nothing proves nothing."""
    if found is None:
        return _out_of_submitting(job)
    note = "a lookup found it"
    accepted = JobUpdate(JobState.ACCEPTED, note=note, task_id=found.task_id)
    return [*_out_of_submitting(job), accepted]


def steps_to_abandon(job: Job) -> list[JobUpdate]:
    """What to write down of a job that is not wanted any more; no task is stopped by it.

    Raises:
        JobStateError: it is at its end already.
    """
    if job.state is not JobState.SUBMITTING and JobState.ABANDONED not in FOLLOWERS[job.state]:
        raise JobStateError(job.external_task_id, job.state, "abandoned")
    return [*_out_of_submitting(job), JobUpdate(JobState.ABANDONED, note="a person said abandon")]


def steps_to_resubmit(job: Job) -> list[JobUpdate]:
    """What to write down of a job that is to be submitted again, whether or not it has a task.

    Raises:
        JobStateError: it is not uncertain, or the journal does not hold its images.
    """
    if job.state not in (*UNSETTLED, JobState.REJECTED):
        raise JobStateError(job.external_task_id, job.state, "submitted again")
    if effect_of(job) is None:
        why = "the journal does not keep an image that was given as bytes"
        raise JobStateError(job.external_task_id, job.state, "submitted again", why)
    return [*_out_of_submitting(job), JobUpdate(JobState.PLANNED, note="a person said resubmit")]


def _out_of_submitting(job: Job) -> list[JobUpdate]:
    # A journal has one owner, so the process that was submitting is dead.
    return [_DIED] if job.state is JobState.SUBMITTING else []
