"""Following accepted tasks to their ends: slots are given back, and ends are written down.

From the acceptance of a task until its end its slot is held and its end written down, whether or
not somebody waits for it. A waiter gets the end once it is written down; what cannot be written,
as on a full disk, is logged and returned all the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

from kling_effects_async.downloading.file_names import as_text
from kling_effects_async.errors import JournalError
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.store import JobStore
from kling_effects_async.log_fields import log_fields
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.observer import NOBODY
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.submitting.slots import Slot, SlotLimiter

__all__ = ["Follower"]

_log = logging.getLogger(__name__)


class Follower:
    """Follows the tasks of one account.

    Args:
        on_time_out: called with the external id of a task that was not seen to end in time.
        is_announced: whether callbacks about a job's task come to us.
        on_followed: called with the job of each task that is followed from now on.
    """

    def __init__(
        self,
        store: JobStore,
        poller: Poller,
        on_time_out: Callable[[str], None] = NOBODY.timed_out,
        *,
        is_announced: Callable[[Job], bool] = lambda _: False,
        on_followed: Callable[[Job], None] = lambda _: None,
    ) -> None:
        self._on_time_out = on_time_out
        self._store = store
        self._poller = poller
        self._is_announced = is_announced
        self._on_followed = on_followed
        self._writes: set[asyncio.Task[None]] = set()

    def follow(self, job: Job, snapshot: TaskSnapshot, slot: Slot) -> None:
        """A task was just accepted."""
        _log.info(
            "task %s was accepted for %r as %r",
            snapshot.task_id,
            job.scene,
            job.external_task_id,
            extra=log_fields(
                "task.accepted",
                task_id=snapshot.task_id,
                external_task_id=job.external_task_id,
                scene=job.scene,
            ),
        )
        tracked = self._tracked_of(job)
        # In this order: a service may answer the submit with an end, which is not polled then.
        self._poller.learn(tracked, snapshot)
        self._poller.follow(tracked, partial(self._ended, job, slot))
        self._on_followed(job)

    def resume(self, job: Job, slots: SlotLimiter) -> TrackedTask:
        """A job's task, tracked; one that an earlier process submitted is followed from now on."""
        tracked = self._tracked_of(job)
        if job.state is not JobState.ACCEPTED or _has_follower(tracked):
            return tracked
        # Its task runs at the service and takes a slot there, whatever the number of slots is here.
        slot = slots.adopt(job.share)
        slot.accept()
        _log.info(
            "task %s of job %r, submitted earlier, is followed from now on",
            job.task_id,
            job.external_task_id,
            extra=log_fields(
                "task.resumed",
                task_id=job.task_id,
                external_task_id=job.external_task_id,
                scene=job.scene,
            ),
        )
        self._poller.began(tracked, job.updated_at)
        self._poller.follow(tracked, partial(self._ended, job, slot))
        return tracked

    async def downloaded(self, job: Job, path: Path) -> None:
        """Write down where the video of a job is whose end was reported."""
        text = await asyncio.to_thread(as_text, path)
        update = JobUpdate(JobState.DOWNLOADED, path=text)
        moving = self._store.move(job.account, job.external_task_id, update)
        name = repr(job.external_task_id)
        await asyncio.shield(self.write(moving, f"where the video of job {name} is", job))

    def write(
        self, writing: Awaitable[object], what: str, job: Job | None = None
    ) -> asyncio.Task[None]:
        """Write it down, even if callers are cancelled meanwhile."""
        task = asyncio.create_task(_written(writing, what, job))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    async def written(self) -> None:
        """Return once every end that is known is written down."""
        while writes := list(self._writes):
            # Shielded: a cancelled caller must not cancel the writing.
            await asyncio.shield(asyncio.gather(*writes, return_exceptions=True))
            # Since Python 3.12 a gather of what is done returns at once, before any callback.
            self._writes.difference_update(writes)

    def _tracked_of(self, job: Job) -> TrackedTask:
        tracked = self._poller.track(job.task_id, job.external_task_id, scene=job.scene)
        tracked.is_announced = tracked.is_announced or self._is_announced(job)
        return tracked

    def _ended(self, job: Job, slot: Slot, final: TaskSnapshot | None) -> asyncio.Task[None] | None:
        """The task ended, or (``None``) was not seen to end in time; the writing of its end."""
        written = None
        _log_end(job, final)
        if final is None:
            self._on_time_out(job.external_task_id)
        else:
            written = self.write(
                self._write_end(job, final),
                f"the end of task {job.task_id}, a restart will query it again",
                job,
            )
        slot.release()  # not before: the next holder reads the journal after this write
        return written

    async def _write_end(self, job: Job, final: TaskSnapshot) -> None:
        has_succeeded = final.status is TaskStatus.SUCCEEDED
        end = JobUpdate(
            JobState.SUCCEEDED if has_succeeded else JobState.FAILED,
            message=final.message,
            units=final.units,
            result=json.dumps({"videos": [video.url for video in final.videos]}),
        )
        try:
            await self._store.move(job.account, job.external_task_id, end)
        except JournalError:
            if not await self._is_abandoned(job):
                raise
            # Nobody wants its clip any more, and what it cost counts all the same.
            units = final.units if has_succeeded else final.units or Decimal(0)
            cost = JobUpdate(JobState.ABANDONED, units=units)
            await self._store.move(job.account, job.external_task_id, cost)

    async def _is_abandoned(self, job: Job) -> bool:
        """Whether a person abandoned the job while its task was followed."""
        return any(
            held.account == job.account and held.state is JobState.ABANDONED
            for held in await self._store.find(job.external_task_id)
        )


async def _written(writing: Awaitable[object], what: str, job: Job | None) -> None:
    try:
        await writing
    except JournalError as error:
        _log.error(
            "the journal cannot record %s: %s",
            what,
            error,
            extra=log_fields(
                "journal.unwritten",
                task_id=job and job.task_id,
                external_task_id=job and job.external_task_id,
                scene=job and job.scene,
                error=error,
            ),
        )


def _log_end(job: Job, final: TaskSnapshot | None) -> None:
    if final is None:
        _log.info(
            "task %s of job %r was not seen to end in time; it is polled no more",
            job.task_id,
            job.external_task_id,
            extra=log_fields(
                "task.timed_out",
                task_id=job.task_id,
                external_task_id=job.external_task_id,
                scene=job.scene,
            ),
        )
        return
    _log.info(
        "task %s of job %r ended: %s",
        job.task_id,
        job.external_task_id,
        final.status,
        extra=log_fields(
            "task.ended",
            task_id=job.task_id,
            external_task_id=job.external_task_id,
            scene=job.scene,
            status=str(final.status),
        ),
    )


def _has_follower(tracked: TrackedTask) -> bool:
    """Its end is written down already, or will be."""
    return tracked.is_followed or tracked.is_over
