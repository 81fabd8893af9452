"""Finding out about a job whose answer was lost: is there a task under its external id?

Two lookups, some seconds apart, have to find nothing, and the service has to find another task by
its external id just then, or "not found" means nothing. Where lookups tell nothing, the list of
tasks may show the task; that it shows none proves nothing.
"""

from __future__ import annotations

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
    """What was found out.

    Attributes:
        snapshot: the task, if there is one for sure.
        is_absent: whether there is none for sure; after a single lookup, most likely none.
    """

    snapshot: TaskSnapshot | None = None
    is_absent: bool = False


class Finder:
    """Looks for tasks by their external ids.

    Args:
        pause_s: between the two lookups, at least.
    """

    def __init__(
        self,
        api: EffectsApi,
        store: JobStore,
        clock: Clock,
        *,
        pause_s: float,
    ) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._pause_s = pause_s

    async def find_out(self, job: Job, *, late_s: float, is_there: bool) -> Finding:
        """Whether the job has a task.

        Args:
            late_s: after how long its answer was lost. What a service has worked on for a minute
                it may still be working on, so the second look comes as much later.
            is_there: the service says that it has a task under this id; "not found" is no proof.

        Raises:
            KlingEffectsError: nobody could tell.
        """
        unanswered: KlingEffectsError | None = None
        try:
            snapshot = await self._look_twice(job, max(self._pause_s, late_s))
        except KlingEffectsError as error:
            snapshot, unanswered = None, error
        if snapshot is not None:
            return Finding(snapshot)
        if unanswered is None and not is_there and await self._finds_others(job):
            return Finding(is_absent=True)
        listed = await self._listed(job)
        if listed is None and unanswered is not None:
            raise unanswered
        return Finding(listed)

    async def look_once(self, job: Job) -> Finding:
        """What a single lookup tells, for a person who decides about the job.

        Raises:
            KlingEffectsError: the lookup got no answer.
        """
        snapshot = await self.look(job)
        return Finding(snapshot, is_absent=snapshot is None and await self._finds_others(job))

    async def look(self, job: Job) -> TaskSnapshot | None:
        """One lookup; ``None`` if the service does not know the task.

        Raises:
            KlingEffectsError: nobody could tell.
        """
        with suppress(TaskNotFoundError):
            return await self._api.look_up(job.external_task_id)
        return None

    async def _look_twice(self, job: Job, pause_s: float) -> TaskSnapshot | None:
        """``None`` only if both answers were "unknown"."""
        snapshot = await self.look(job)
        if snapshot is None:
            await sleep(self._clock, pause_s)
            snapshot = await self.look(job)
        return snapshot

    async def _finds_others(self, job: Job) -> bool:
        """Whether the service finds a task that is known to exist by its external id, now."""
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
