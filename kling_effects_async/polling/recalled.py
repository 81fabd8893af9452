"""What the journal holds of a task, as a snapshot; pure.

A final state never changes, so it is not polled. The addresses of its videos may have expired
since; a download then requests fresh ones, and so does ``refresh``.
"""

from __future__ import annotations

import json

from kling_effects_async.journal.job import Job, JobState
from kling_effects_async.models import TaskSnapshot, TaskStatus, Video

__all__ = ["recalled", "was_submitted"]

_STATUSES = {
    JobState.ACCEPTED: TaskStatus.SUBMITTED,
    JobState.SUCCEEDED: TaskStatus.SUCCEEDED,
    JobState.DOWNLOADED: TaskStatus.SUCCEEDED,
    JobState.FAILED: TaskStatus.FAILED,
}


def recalled(job: Job) -> TaskSnapshot | None:
    """The task as the job remembers it, without the service's times and its own status word.

    ``None`` where only the service knows: there is no task yet, it was abandoned, or it
    succeeded without a video.
    """
    status = _STATUSES.get(job.state)
    videos = _videos(job)
    if status is None or job.task_id is None or (status is TaskStatus.SUCCEEDED and not videos):
        return None
    return TaskSnapshot(
        task_id=job.task_id,
        external_task_id=job.external_task_id,
        status=status,
        raw_status=str(status),
        message=job.message if status is TaskStatus.FAILED else "",
        videos=videos if status is TaskStatus.SUCCEEDED else (),
        units=job.units,
    )


def was_submitted(job: Job) -> bool:
    """Whether the service may have the task, even if no replica of it knows that yet."""
    return job.task_id is not None or job.state in (JobState.SUBMITTING, JobState.UNCERTAIN)


def _videos(job: Job) -> tuple[Video, ...]:
    try:
        urls = json.loads(job.result or "{}")["videos"]
    except (ValueError, KeyError, TypeError):
        return ()
    if not isinstance(urls, list):
        return ()
    return tuple(Video(url=url, task_id=job.task_id) for url in urls if isinstance(url, str))
