"""The handle of one task: awaitable, iterable, and free of I/O until one of the two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from datetime import datetime
from typing import Any

from kling_effects_async.errors import ResultMissingError, TaskFailedError
from kling_effects_async.models import EffectResult, TaskSnapshot, TaskStatus
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.tracked_task import TrackedTask

__all__ = ["EffectTask"]


class EffectTask:
    """One task at the service; made by ``EffectsClient.submit`` and ``EffectsClient.attach``.

    ``await task`` gives its result. ``async for snapshot in task`` gives its changes, the final one
    last; a failed task ends the iteration like any other. With a journal, an end is written down
    before it is returned. Both may be used as often and by as many callers as you like: they share
    one poller. A caller that is cancelled leaves the task running.
    """

    def __init__(
        self,
        tracked: TrackedTask,
        poller: Poller,
        recall: Callable[[TrackedTask], Awaitable[None]] | None = None,
    ) -> None:
        self._tracked = tracked
        self._poller = poller
        self._recall = recall  # reads the journal, before any poll

    @property
    def task_id(self) -> str | None:
        """The service's ``task_id``; ``None`` until it is known, if attached by external id."""
        return self._tracked.task_id

    @property
    def external_task_id(self) -> str | None:
        """The caller's own id of the task; ``None`` if it is not known."""
        return self._tracked.external_task_id

    @property
    def latest(self) -> TaskSnapshot | None:
        """The freshest snapshot; ``None`` before the first answer, and before ``recall``."""
        return self._tracked.latest

    @property
    def expected_end(self) -> tuple[datetime, datetime] | None:
        """From when to when its end is expected: two aware datetimes in UTC.

        A tenth of the tasks of its scene took no longer than until the first, nine tenths no longer
        than until the second; a first one that is past is now. A task that runs longer than these
        nine tenths is expected between now and the longest time that one of its scene took.

        ``None`` before eight tasks of its scene ended here (a journal remembers them), after its
        end, once it runs longer than all others did, and while nobody knows when it began.

        When it began is known of a task that was submitted here. Of one that an earlier process, or
        another client, submitted, the service's time counts, so it is ``None`` before the first
        answer, and where the service states no time. How long such a task took is not learned, as
        nobody saw all of it; that of a planned job which ``resume`` submits is.
        """
        return self._poller.expected_end(self._tracked)

    @property
    def latest_failure(self) -> Exception | None:
        """Why polls about the task have no answer now; ``None`` while they have.

        In an outage it is the last failure of the service or the network.
        """
        return self._tracked.failure if self._tracked.failures else None

    def __repr__(self) -> str:
        status = self.latest.status if self.latest else "not polled yet"
        return f"<EffectTask {self.task_id or self.external_task_id} {status}>"

    def __await__(self) -> Generator[Any, None, EffectResult]:
        return self.result().__await__()

    async def __aiter__(self) -> AsyncIterator[TaskSnapshot]:
        deadline_at = self._poller.deadline()
        await self._recalled()
        seen = 0
        while True:
            await self._poller.change_after(self._tracked, seen, deadline_at)
            for snapshot in self._tracked.changes[seen:]:
                if snapshot.is_final:
                    await self._recorded()
                yield snapshot
                seen += 1
                if snapshot.is_final:
                    return

    async def result(self) -> EffectResult:
        """Wait for the end and return its videos; ``await task`` is short for this.

        Raises:
            TaskFailedError: the task ended in failure; submit again with another image.
            TaskTimeoutError: the policy's deadline passed; the task goes on, ``attach`` later.
            TaskNotFoundError: the service does not know the task, after some grace.
            ResultMissingError: it succeeded without a video; ``refresh`` later.
            TransportError, ReplyError, ApiError: polls failed for longer than the policy allows;
                it is the latest failure. The task goes on, ``attach`` later.
            ClientClosedError: the client was closed meanwhile.
            JournalError: it was attached to, and the journal cannot be read.
        """
        deadline_at = self._poller.deadline()
        await self._recalled()
        while not self._tracked.is_over:
            seen = len(self._tracked.changes)
            await self._poller.change_after(self._tracked, seen, deadline_at)
        await self._recorded()
        return _result(self._tracked.latest or self._tracked.changes[-1])

    async def recall(self) -> TaskSnapshot | None:
        """Read what the journal holds of it, and return ``latest``; no request is made.

        For a task that is attached to, which reads the journal at the first ``await`` otherwise.

        Returns:
            The freshest snapshot; ``None`` if neither the journal nor the service has shown one.

        Raises:
            JournalError: the journal cannot be read.
            ClientClosedError: the client was closed meanwhile.
        """
        await self._recalled()
        return self._tracked.latest

    async def _recalled(self) -> None:
        if self._recall is not None and self._tracked.latest is None:
            await self._recall(self._tracked)

    async def _recorded(self) -> None:
        """Return once the end is written down, or cannot be; it is not returned before.

        A caller that is cancelled leaves the writing alone.
        """
        record = self._tracked.record
        if record is not None and not record.done():
            await asyncio.wait({record})

    async def refresh(self) -> TaskSnapshot:
        """Query now, whatever the schedule; also gets fresh addresses of an ended task's videos.

        Raises:
            TaskNotFoundError: the service does not know the task.
            TransportError, ReplyError, ApiError: no useful answer, after the usual tries.
        """
        held = await self._poller.refresh(self._tracked)
        await self._recorded()
        return held


def _result(final: TaskSnapshot) -> EffectResult:
    if final.status is not TaskStatus.SUCCEEDED:
        raise TaskFailedError(final)
    if not final.videos:
        raise ResultMissingError(final)
    return EffectResult(
        task_id=final.task_id,
        external_task_id=final.external_task_id,
        videos=final.videos,
        created_at=final.created_at,
        updated_at=final.updated_at,
        units=final.units,
    )
