"""Finding out about a job whose answer was lost: is there a task under its external id?

Two lookups, some seconds apart, have to find nothing, and the service has to find another task by
its external id just then, or "not found" means nothing. Where lookups tell nothing, the list of
tasks may show the task; that it shows none proves nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import frozen

from kling_effects_async.errors import KlingEffectsError, TaskNotFoundError
from kling_effects_async.journal.job import Job
from kling_effects_async.journal.store import JobStore
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.transport.clock import Clock, sleep

__all__ = ["Finder", "Finding"]


@frozen
class Finding:
    """What was found out.

    Attributes:
        snapshot: the task, if there is one for sure.
        is_absent: whether there is none for sure.
    """

    snapshot: TaskSnapshot | None = None
    is_absent: bool = False


class Finder:
    """Looks for tasks by their external ids.

    Args:
        look_up: asks for a task by its external id, over passing failures.
        find_listed: looks for a job's task in the service's list; ``None`` if it shows none.
        pause_s: between the two lookups, at least.
    """

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[TaskSnapshot]],
        find_listed: Callable[[Job], Awaitable[TaskSnapshot | None]],
        store: JobStore,
        clock: Clock,
        *,
        pause_s: float,
    ) -> None:
        self._look_up = look_up
        self._find_listed = find_listed
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

    async def look(self, job: Job) -> TaskSnapshot | None:
        """One lookup; ``None`` if the service does not know the task.

        Raises:
            KlingEffectsError: nobody could tell.
        """
        with suppress(TaskNotFoundError):
            return await self._look_up(job.external_task_id)
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
            snapshot = await self._look_up(known.external_task_id)
            return known.task_id in (None, snapshot.task_id)
        return False

    async def _listed(self, job: Job) -> TaskSnapshot | None:
        with suppress(KlingEffectsError):
            return await self._find_listed(job)
        return None
