"""The life of a paid job as a table.

    PLANNED ----> SUBMITTING ----> ACCEPTED ----> SUCCEEDED ----> DOWNLOADED (again, as often
      ^  ^         |   |  |           ^  |                         as it is downloaded)
      |  |         |   |  |           |  +------> FAILED
      |  +---------+   |  +-> REJECTED |
      |                v              |
      +---------- UNCERTAIN ----------+

    SUBMITTING -> PLANNED    surely not received, or rejected before acceptance: may be sent again
    SUBMITTING -> UNCERTAIN  an answer was lost: the service may have the task, and charge for it
    UNCERTAIN  -> ACCEPTED   a lookup found the task
    UNCERTAIN  -> PLANNED    it is proved that there is none, or a person said to submit again
    PLANNED    -> REJECTED   an earlier rejection concerns this one too
    REJECTED   -> PLANNED    the same job is submitted again, its cause mended
    PLANNED, UNCERTAIN, ACCEPTED, SUCCEEDED -> ABANDONED  a person abandoned it

FAILED and ABANDONED are for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from attrs import evolve, field, frozen

from kling_effects_async.errors import JournalError
from kling_effects_async.journal.states import JobState

__all__ = [
    "FOLLOWERS",
    "OPEN",
    "PAID",
    "UNSENT",
    "UNSETTLED",
    "Job",
    "JobState",
    "JobUpdate",
    "Transition",
    "apply",
    "check_update",
    "has_work_left",
]

T = TypeVar("T")


FOLLOWERS: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        JobState.PLANNED: frozenset({JobState.SUBMITTING, JobState.REJECTED, JobState.ABANDONED}),
        JobState.SUBMITTING: frozenset(
            {JobState.PLANNED, JobState.UNCERTAIN, JobState.ACCEPTED, JobState.REJECTED}
        ),
        JobState.UNCERTAIN: frozenset({JobState.ACCEPTED, JobState.PLANNED, JobState.ABANDONED}),
        JobState.ACCEPTED: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.ABANDONED}),
        JobState.SUCCEEDED: frozenset({JobState.DOWNLOADED, JobState.ABANDONED}),
        JobState.DOWNLOADED: frozenset({JobState.DOWNLOADED}),
        JobState.REJECTED: frozenset({JobState.PLANNED}),
        JobState.FAILED: frozenset(),
        JobState.ABANDONED: frozenset(),
    }
)

# May have cost money. SUBMITTING belongs here once its process is dead: who resumes it looks it
# up before anything else, and makes it ACCEPTED, UNCERTAIN or PLANNED.
PAID = frozenset(
    {
        JobState.UNCERTAIN,
        JobState.ACCEPTED,
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.DOWNLOADED,
    }
)
# An answer was lost, or its process died: a task may exist.
UNSETTLED = frozenset({JobState.SUBMITTING, JobState.UNCERTAIN})
# It has no task, and none is to be looked up: where it is wanted again, it is submitted.
UNSENT = frozenset({JobState.PLANNED, JobState.REJECTED})
# Work is left, whether or not a download was requested.
OPEN = frozenset({JobState.PLANNED, JobState.SUBMITTING, JobState.UNCERTAIN, JobState.ACCEPTED})


def has_work_left(state: JobState, download_to: str | None) -> bool:
    """Whether something is to be done for a job, a requested download included."""
    waits_for_download = state is JobState.SUCCEEDED and download_to is not None
    return waits_for_download or state in OPEN


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: give an aware datetime")
    return moment.astimezone(UTC)


@frozen(kw_only=True)
class Job:
    """One effect that is to be paid for at most once, as the journal holds it.

    Attributes:
        account: an opaque fingerprint of service and credentials; external ids are unique in it.
        service: the base URL of the service that the account belongs to; ``None`` if not known.
        fingerprint: SHA-256 in hex of what must be the same under the same external id: scene,
            images and options.
        effect: opaque JSON text from which the effect can be built again.
        run: the name of the bulk run it belongs to; ``None`` for a single one.
        download_to: the folder its video is to be downloaded to; ``None`` for no download.
        clip_name: the name of its video's file there; ``<task_id>`` in it stands for the task's id.
            ``None``: the file is named by the task's id.
        share: the share of the slots that it takes its slot from; ``""`` for that of all jobs
            without one.
        was_sent: bytes of a submit may have reached the service, so a task under its external id
            is ours.
        task_id: the service's id; ``None`` until it accepted the job. Never changes after that.
        message: why it stands where it stands, in the service's words or ours.
        units: what it finally cost; ``None`` if not reported (yet).
        expected_units: what its task was expected to cost when it was submitted; ``None`` where
            there is none that could cost anything.
        earlier_units: what earlier submits of it were expected to cost, where it was submitted
            again though it is not known whether they were accepted.
        result: opaque JSON text of what the task made.
        path: where its video was downloaded to last.
    """

    account: str
    external_task_id: str
    scene: str
    fingerprint: str
    effect: str = field(repr=False)  # may hold addresses with a secret in them, as the next two
    created_at: datetime = field(converter=_utc)
    callback_url: str | None = field(default=None, repr=False)
    result: str | None = field(default=None, repr=False)
    run: str | None = None
    download_to: str | None = None
    clip_name: str | None = None
    share: str = ""
    service: str | None = None
    was_sent: bool = False
    state: JobState = JobState.PLANNED
    task_id: str | None = None
    message: str = ""
    units: Decimal | None = None
    expected_units: Decimal | None = None
    earlier_units: Decimal | None = None
    path: str | None = None
    updated_at: datetime = field(converter=_utc)

    @updated_at.default
    def _as_new(self) -> datetime:
        return self.created_at

    @property
    def is_paid(self) -> bool:
        """It may have cost money; once there is a task, that stays so."""
        return self.state in PAID or self.task_id is not None

    @property
    def is_open(self) -> bool:
        """There is work left for ``resume``."""
        return has_work_left(self.state, self.download_to)


@frozen
class JobUpdate:
    """One step of a job's life, and what is written down with it.

    Attributes:
        note: for the history alone.
        task_id, message, units, result, path: as in ``Job``; ``None`` leaves what is held.
        was_sent: bytes of a submit may have reached the service; by default for UNCERTAIN alone.
            Never taken back.
        is_absent: it is proved that the service has no task of it.
        budget_units: what the account's jobs may cost in all, a submit of this one included.
    """

    to: JobState
    note: str = field(default="", kw_only=True)
    task_id: str | None = field(default=None, kw_only=True)
    message: str | None = field(default=None, kw_only=True)
    units: Decimal | None = field(default=None, kw_only=True)
    result: str | None = field(default=None, kw_only=True, repr=False)
    path: str | None = field(default=None, kw_only=True)
    was_sent: bool = field(kw_only=True)
    is_absent: bool = field(default=False, kw_only=True)
    budget_units: Decimal | None = field(default=None, kw_only=True)

    @was_sent.default
    def _is_uncertain(self) -> bool:
        # An unknown outcome counts as sent: else its task would be taken for somebody else's.
        return self.to is JobState.UNCERTAIN


def check_update(job: Job, update: JobUpdate) -> None:
    """Reject what cannot be the job's next step.

    Raises:
        JournalError: the table does not allow the step, or the job has another task: then two tasks
            were accepted, and both may be charged.
    """
    name = job.external_task_id
    # Before the table: this is about money already spent, whatever the step.
    if update.task_id is not None and job.task_id not in (None, update.task_id):
        raise JournalError(
            f"job {name!r} has task {job.task_id} and cannot get task {update.task_id} as well: "
            "both may be charged; check both"
        )
    if update.to is not job.state and update.to not in FOLLOWERS[job.state]:
        followers = ", ".join(sorted(map(str, FOLLOWERS[job.state]))) or "nothing"
        raise JournalError(
            f"job {name!r} is {job.state} and cannot become {update.to}; "
            f"after {job.state} comes {followers}"
        )


def apply(job: Job, update: JobUpdate, *, at: datetime) -> Job:
    """The job after the update; what its tasks are expected to cost is for the store to add."""
    return evolve(
        job,
        state=update.to,
        updated_at=at,
        task_id=_newer(job.task_id, update.task_id),
        message=_newer(job.message, update.message),
        units=_newer(job.units, update.units),
        result=_newer(job.result, update.result),
        path=_newer(job.path, update.path),
        was_sent=job.was_sent or update.was_sent,  # the service may have an earlier submit
    )


def _newer(held: T, news: T | None) -> T:
    return held if news is None else news


@frozen
class Transition:
    """One step of a job's life: the state it came to, when, and why."""

    state: JobState
    at: datetime
    note: str = ""
