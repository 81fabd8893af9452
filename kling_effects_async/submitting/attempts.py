"""Submits that outlive their callers: each reaches its outcome, whatever is cancelled.

An attempt is an asyncio task of its own. A cancelled caller waits for its outcome, for a bounded
time; one that is cancelled again, as in scopes that cancel every await, leaves at once. The attempt
then goes on alone, is cancelled when the time is over, and is awaited by ``aclose``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from kling_effects_async.journal.job import Job
from kling_effects_async.log_fields import log_fields

__all__ = ["Attempts"]

_log = logging.getLogger(__name__)


class Attempts:
    """The attempts of one account, one at a time for each external id.

    Args:
        grace_s: how long an attempt may go on after its caller was cancelled, in seconds.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._running: dict[str, asyncio.Task[Job]] = {}  # by external id
        self._background: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    async def run(
        self, job: Job, attempt: Coroutine[Any, Any, Job], *, ended: Callable[[], Exception]
    ) -> Job:
        """What the attempt returns or raises.

        Args:
            ended: makes the error for a caller whose attempt was ended by ``aclose``.
        """
        running = asyncio.create_task(attempt)
        self._running[job.external_task_id] = running
        running.add_done_callback(lambda _: self._running.pop(job.external_task_id, None))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError as cancelled:
            caller = asyncio.current_task()
            # Our caller was cancelled, or ``aclose`` ended the attempt: both raise the same here.
            is_cancelled = caller is not None and caller.cancelling() > 0
            if running.cancelled() and not is_cancelled:
                raise ended() from None
            try:
                await asyncio.shield(self.in_background(self._finish(running)))
            except asyncio.CancelledError as again:
                _note_outcome(again, job, running)
                raise
            _note_outcome(cancelled, job, running)
            raise

    def running(self, external_task_id: str) -> asyncio.Task[Job] | None:
        """The attempt for this id that still runs, if there is one."""
        return self._running.get(external_task_id)

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it independently of any caller; ``aclose`` waits for it."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def aclose(self) -> None:
        """Wait for all attempts, at the same time."""
        try:
            await asyncio.gather(*map(self._finish, list(self._running.values())))
        finally:  # a cancelled ``gather`` cancels the attempts, and the background ends with them
            await asyncio.gather(*self._background, return_exceptions=True)

    async def _finish(self, running: asyncio.Task[Job]) -> None:
        """Wait for the outcome until the grace is over, and cancel the attempt then.

        A request left under way could be accepted after a lookup found nothing.
        """
        with suppress(asyncio.CancelledError):
            await asyncio.wait({running}, timeout=self._grace_s)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait({running}, timeout=self._grace_s)  # it still writes UNCERTAIN
        if running.done() and not running.cancelled():
            running.exception()  # retrieved, or asyncio logs it; the journal has it


def _note_outcome(cancelled: asyncio.CancelledError, job: Job, running: asyncio.Task[Job]) -> None:
    """Add to the cancellation what became of the job."""
    name = job.external_task_id
    if not running.done() or running.cancelled():
        _log.warning(
            "the submit of job %r was cancelled before its answer came",
            name,
            extra=log_fields("submit.cancelled", external_task_id=name, scene=job.scene),
        )
        note = (
            f"job {name!r} may have been accepted: look it up, "
            f"attach(external_task_id={name!r}), before you submit it again"
        )
    elif error := running.exception():
        note = f"job {name!r} was not accepted as far as is known: {error}"
    else:
        note = f"job {name!r} is {running.result().state}: attach() to it"
    cancelled.add_note(note)
