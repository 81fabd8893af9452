"""Settling a job whose answer was lost: is there a task under its external id?

There is none if two lookups, some seconds apart, find nothing, while the service finds another task
by its external id at the same time; otherwise "not found" proves nothing. Where lookups show
nothing, the list of tasks may have the task; its absence there proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from attrs import frozen

from kling_effects_async.api import EffectsApi
from kling_effects_async.errors import KlingEffectsError, TaskNotFoundError
from kling_effects_async.journal.job import Job
from kling_effects_async.journal.store import JobStore
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.submitting.listed import find_listed
from kling_effects_async.transport.clock import Clock, sleep

__all__ = ["Finder", "Finding"]


@frozen
class Finding:
    """What the service has under an external id.

    Attributes:
        snapshot: the task, if there is one for sure.
        is_absent: whether there is none for sure; after a single lookup, most likely none.
    """

    snapshot: TaskSnapshot | None = None
    is_absent: bool = False


class Finder:
    """Looks up tasks by their external ids.

    Args:
        pause_s: between the two lookups, at least.
        told_id: the id of the task with an external id, if the service has told of it by itself.
    """

    def __init__(
        self,
        api: EffectsApi,
        store: JobStore,
        clock: Clock,
        *,
        pause_s: float,
        told_id: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._told_id = told_id
        self._api = api
        self._store = store
        self._clock = clock
        self._pause_s = pause_s

    async def find(self, job: Job, *, late_s: float, is_there: bool) -> Finding:
        """Whether the job has a task.

        Args:
            late_s: after how long its answer was lost. What a service has worked on for a minute
                it may still be working on, so the second lookup comes as much later.
            is_there: the service called the id used, so that "not found" is no proof.

        Raises:
            KlingEffectsError: no lookup was answered.
        """
        unanswered: KlingEffectsError | None = None
        try:
            snapshot = await self._look_up_twice(job, max(self._pause_s, late_s))
        except KlingEffectsError as error:
            snapshot, unanswered = None, error
        if snapshot is not None:
            return Finding(snapshot)
        if unanswered is None and not is_there and await self._lookups_work(job):
            return Finding(is_absent=True)
        listed = await self._listed(job)
        if listed is None and unanswered is not None:
            raise unanswered
        return Finding(listed)

    async def look_up_once(self, job: Job) -> Finding:
        """What a single lookup shows, for a person who decides about the job.

        Raises:
            KlingEffectsError: the lookup got no answer.
        """
        snapshot = await self.look_up(job)
        return Finding(snapshot, is_absent=snapshot is None and await self._lookups_work(job))

    async def look_up(self, job: Job) -> TaskSnapshot | None:
        """One lookup; ``None`` if the service does not know the task.

        Raises:
            KlingEffectsError: no lookup was answered.
        """
        told = await self._told(job)
        if told is not None:
            return told
        with suppress(TaskNotFoundError):
            return await self._api.look_up(job.external_task_id)
        return None

    async def _told(self, job: Job) -> TaskSnapshot | None:
        """The task that the service has told of, by its own id, if it says that it is the job's.

        Some services find no task by an external id. And what a gateway sends on has the id that
        Kling gave the task, which the gateway itself may not know.
        """
        task_id = self._told_id(job.external_task_id)
        if task_id is None:
            return None
        with suppress(KlingEffectsError):  # the lookup by the external id may be answered
            found = await self._api.find(task_id)
            return found if found.external_task_id == job.external_task_id else None
        return None

    async def _look_up_twice(self, job: Job, pause_s: float) -> TaskSnapshot | None:
        """``None`` only if both answers were "unknown"."""
        snapshot = await self.look_up(job)
        if snapshot is None:
            await sleep(self._clock, pause_s)
            snapshot = await self.look_up(job)
        return snapshot

    async def _lookups_work(self, job: Job) -> bool:
        """Whether the service finds a task that is known to exist by its external id, now."""
        # Stock new-api, for one, looks tasks up by their own ids alone.
        known = await self._store.known_task(job.account)
        if known is None:
            return False
        with suppress(KlingEffectsError):
            snapshot = await self._api.look_up(known.external_task_id)
            return known.task_id in (None, snapshot.task_id)
        return False

    async def _listed(self, job: Job) -> TaskSnapshot | None:
        if self._api.has_list is False:
            return None
        read_page = partial(self._api.list_page, may_be_missing=True)
        with suppress(KlingEffectsError):
            return await find_listed(read_page, job.external_task_id, since=job.created_at)
        return None
