"""One account at one service: its jobs and slots, put together.

From the acceptance of a task until its end its slot is held and its end written down, whether or
not somebody waits for it. Who waits is told of the end once it is written down; what cannot be
written, as on a full disk, is logged and told all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

from kling_effects_async.errors import JournalError
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.store import JobStore
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.policy import RetryPolicy, SlotPolicy, SubmitPolicy
from kling_effects_async.protocol.messages import Request
from kling_effects_async.protocol.services import Service
from kling_effects_async.settings import AccessKeys, Credentials
from kling_effects_async.spending.breaker import SubmitBreaker
from kling_effects_async.spending.slots import Slot, SlotLimiter
from kling_effects_async.spending.submission import Submitter, Wire
from kling_effects_async.stats import ClientStats
from kling_effects_async.transport.clock import Clock
from kling_effects_async.waiting.tracker import Tracker
from kling_effects_async.waiting.watch import Watch

__all__ = ["Account", "account_name"]

_log = logging.getLogger(__name__)
# What is remembered of an account, and under which name.
_SLOTS_MEMO = "slots"
_EXPERIENCE_MEMO = "experience"
_LIST_MEMO = "list"
_NO_LIST = "not usable"


def account_name(service: Service, credentials: Credentials) -> str:
    """What the journal calls an account: the host and a digest of the key, never the key."""
    secret = credentials.access_key if isinstance(credentials, AccessKeys) else credentials.token
    digest = hashlib.sha256(f"{service.base_url}\n{secret}".encode()).hexdigest()
    return f"{service.name}-{digest[:12]}"


class Account:
    """Submits jobs and sees them through; made by ``open``."""

    def __init__(self, name: str, store: JobStore, tracker: Tracker) -> None:
        self.name = name
        self.store = store
        self._tracker = tracker
        self._list_memo = ""
        self._writes: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        name: str,
        store: JobStore,
        tracker: Tracker,
        *,
        post: Callable[[Request], Awaitable[TaskSnapshot]],
        look_up: Callable[[str], Awaitable[TaskSnapshot]],
        find_listed: Callable[[Job], Awaitable[TaskSnapshot | None]],
        budget_units: Decimal | None,
        slots: SlotPolicy,
        submit: SubmitPolicy,
        retry: RetryPolicy,
        clock: Clock,
        random: Callable[[], float],
    ) -> Account:
        """Take up what is remembered of the account."""
        account = cls(name, store, tracker)
        remembered = await store.memo(_SLOTS_MEMO, name)
        tracker.experience.load(await store.memo(_EXPERIENCE_MEMO, name) or "")
        account._list_memo = await store.memo(_LIST_MEMO, name) or ""
        if account._list_memo == _NO_LIST:
            tracker.pages.rest(clock.monotonic())
        account.slots = SlotLimiter(
            slots,
            remembered=_size_in(remembered),
            on_learned=account._remember_slots,
        )
        breaker = SubmitBreaker(slots, clock, on_stop=account.slots.fail_waiting, rng=random)
        account._submitter = Submitter(
            Wire(post, look_up, account._see_through, find_listed),
            store,
            account.slots,
            breaker,
            budget_units=budget_units,
            submit=submit,
            retry=retry,
            clock=clock,
            random=random,
        )
        return account

    slots: SlotLimiter
    _submitter: Submitter

    @property
    def stats(self) -> ClientStats:
        """How the account's submits stand now."""
        reason = self._submitter.held_back_by
        return ClientStats(
            slots=self.slots.size,
            running=self.slots.running,
            sending=self._submitter.under_way,
            waiting=self._submitter.waiting,
            held_back_by="" if reason is None else str(reason),
        )

    async def submit(
        self, job: Job, request: Request, *, found: TaskSnapshot | None = None
    ) -> Watch:
        """See ``Submitter.submit``; the watch of the accepted task."""
        return self.take_up(await self._submitter.submit(job, request, found=found))

    async def settle(self, job: Job) -> Job:
        """See ``Submitter.settle``."""
        return await self._submitter.settle(job)

    def take_up(self, job: Job) -> Watch:
        """The watch of a task that an earlier process had accepted."""
        watch = self._watch_of(job)
        if job.state is not JobState.ACCEPTED or _is_followed(watch):
            return watch
        slot = self.slots.adopt()
        slot.accept()
        self._tracker.hold(watch, partial(self._ended, job, slot))
        return watch

    async def downloaded(self, job: Job, path: Path) -> None:
        """Write down where the video of a job is whose end was reported."""
        text = await asyncio.to_thread(_as_text, path)
        moving = self.store.move(
            job.account, job.external_task_id, JobUpdate(JobState.DOWNLOADED, path=text)
        )
        name = repr(job.external_task_id)
        await asyncio.shield(self._write(moving, f"where the video of job {name} is"))

    def abandon(self, job: Job) -> asyncio.Future[None]:
        """See ``Submitter.abandon``."""
        return self._submitter.abandon(job)

    async def aclose(self) -> None:
        """Let nothing new out; write down every outcome and end, and what was learned."""
        await self._submitter.aclose()
        learned = self._tracker.experience.dumps()
        self._write(
            self.store.set_memo(_EXPERIENCE_MEMO, self.name, learned), "how long tasks take"
        )
        pages = self._tracker.pages
        list_memo = "" if pages.is_usable or pages.has_worked else _NO_LIST
        if list_memo != self._list_memo:
            self._write(self.store.set_memo(_LIST_MEMO, self.name, list_memo), "the list's use")
        await self.written()

    async def written(self) -> None:
        """Return once every end that is known is written down."""
        while self._writes:
            # Shielded: who is cancelled must not take what is to be written along.
            await asyncio.shield(asyncio.gather(*self._writes, return_exceptions=True))

    def _see_through(self, job: Job, snapshot: TaskSnapshot, slot: Slot) -> None:
        _log.info(
            "task %s was accepted for %r as %r", snapshot.task_id, job.scene, job.external_task_id
        )
        watch = self._watch_of(job)
        self._tracker.learn(watch, snapshot)
        self._tracker.hold(watch, partial(self._ended, job, slot))

    def _watch_of(self, job: Job) -> Watch:
        return self._tracker.watch(job.task_id, job.external_task_id, scene=job.scene)

    def _ended(self, job: Job, slot: Slot, final: TaskSnapshot | None) -> asyncio.Task[None] | None:
        """The task ended, or (``None``) was not seen to end in time; the writing of its end."""
        written = None
        if final is not None:
            written = self._write(
                self._write_end(job, final),
                f"the end of task {job.task_id}, a restart will query it again",
            )
        slot.release()  # not before: whoever gets it reads the journal after this was written
        return written

    async def _write_end(self, job: Job, final: TaskSnapshot) -> None:
        has_succeeded = final.status is TaskStatus.SUCCEEDED
        await self.store.move(
            job.account,
            job.external_task_id,
            JobUpdate(
                JobState.SUCCEEDED if has_succeeded else JobState.FAILED,
                message=final.message,
                units=final.units,
                result=json.dumps({"videos": [video.url for video in final.videos]}),
            ),
        )

    def _remember_slots(self, size: int) -> None:
        self._write(self.store.set_memo(_SLOTS_MEMO, self.name, str(size)), "the number of slots")

    def _write(self, writing: Awaitable[object], what: str) -> asyncio.Task[None]:
        """Write it down, whoever is cancelled meanwhile."""
        task = asyncio.create_task(_written(writing, what))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task


async def _written(writing: Awaitable[object], what: str) -> None:
    try:
        await writing
    except JournalError as error:
        _log.error("the journal cannot record %s: %s", what, error)


def _size_in(text: str | None) -> int | None:
    """A remembered number of slots; what cannot be read is learned anew."""
    digits = text or ""
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 9
    return (int(digits) or None) if is_number else None


def _is_followed(watch: Watch) -> bool:
    """Its end is, or will be, written down already."""
    return watch.is_held or watch.is_over


def _as_text(path: Path) -> str:
    """The absolute path; a name that is no text is written with escapes."""
    return os.fsencode(path.absolute()).decode("utf-8", "backslashreplace")
