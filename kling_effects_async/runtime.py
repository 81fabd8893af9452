"""What a client holds while it is open: everything composed, once, and nothing else.

Everything here is made in a running loop and ends with ``aclose``; the client itself outlives it.

    EffectsApi <- Poller, Submitter, Delivery      the service
    JobStore   <- Submitter, Follower, AccountMemory  what is written down
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from kling_effects_async.api import EffectsApi
from kling_effects_async.delivery import Delivery
from kling_effects_async.effects import Effect
from kling_effects_async.errors import ClientClosedError, JournalError, KlingEffectsError
from kling_effects_async.images.checks import image_hash, look_at
from kling_effects_async.journal.job import Job
from kling_effects_async.journal.store import JobStore
from kling_effects_async.models import EffectResult, TaskPage, TaskSnapshot
from kling_effects_async.policy import PollPolicy, RetryPolicy, SlotPolicy, SubmitPolicy
from kling_effects_async.polling.poller import Poller, PollRequests
from kling_effects_async.polling.recalled import recalled, was_submitted
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.protocol.messages import FileState
from kling_effects_async.protocol.requests import build_submit
from kling_effects_async.protocol.services import Service
from kling_effects_async.settings import Credentials
from kling_effects_async.stats import ClientStats
from kling_effects_async.submitting.breaker import SubmitBreaker
from kling_effects_async.submitting.decision import steps_to_abandon, steps_to_resubmit
from kling_effects_async.submitting.follower import Follower
from kling_effects_async.submitting.listed import listed_by_external_id
from kling_effects_async.submitting.memory import AccountMemory
from kling_effects_async.submitting.planning import make_job
from kling_effects_async.submitting.settling import Finding
from kling_effects_async.submitting.slots import SlotLimiter
from kling_effects_async.submitting.submitter import Submitter
from kling_effects_async.transport.clock import Clock, sleep
from kling_effects_async.transport.proxies import Proxies
from kling_effects_async.transport.rereading import read_patiently
from kling_effects_async.transport.session import Session

if TYPE_CHECKING:
    import aiohttp

    from kling_effects_async.journal.sqlite.journal import Journal

__all__ = ["Account", "Options", "PreparedJob", "Runtime"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Options:
    """The arguments of ``EffectsClient``; its docstring explains them.

    Attributes:
        store: where jobs are written down if there is no journal.
        proxies: what ``proxy`` and ``trust_env`` come to.
    """

    service: Service
    credentials: Credentials
    account: str
    journal: str | os.PathLike[str] | Journal | None
    store: JobStore
    budget_units: Decimal | None
    poll: PollPolicy
    retry: RetryPolicy
    slots: SlotPolicy
    submit: SubmitPolicy
    session: aiohttp.ClientSession | None
    proxies: Proxies
    clock: Clock
    rng: Callable[[], float]


@frozen
class PreparedJob:
    """An effect that is to be paid for, as its job, and what its image files were at that time."""

    effect: Effect
    job: Job
    files: Mapping[Path, FileState]


@frozen
class Account:
    """One account at one service, with its jobs."""

    name: str
    store: JobStore
    slots: SlotLimiter
    submitter: Submitter
    follower: Follower
    memory: AccountMemory

    def take_up(self, job: Job) -> TrackedTask:
        """See ``Follower.take_up``."""
        return self.follower.take_up(job, self.slots)


class Runtime:
    """Made by the client in the loop it is used in."""

    def __init__(self, options: Options) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._options = options
        self._session = Session(
            options.service,
            options.credentials,
            retry=options.retry,
            clock=options.clock,
            random=options.rng,
            proxies=options.proxies,
            borrowed=options.session,
        )
        self.api: EffectsApi = EffectsApi(self._session, options.service, options.clock)
        self.poller: Poller = Poller(
            PollRequests(self._poll, self.api.poll_list, self.api.has_list),
            policy=options.poll,
            clock=options.clock,
            rng=options.rng,
        )
        self.delivery: Delivery = Delivery(
            self.api,
            options.service,
            refresh=self._refreshed,
            grace_s=options.poll.result_grace_s,
            proxies=options.proxies,
            clock=options.clock,
            rng=options.rng,
        )
        self._account: Account | None = None
        self._journal: Journal | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False
        self._exits = AsyncExitStack()

    @property
    def owns_journal(self) -> bool:
        """It opened the journal itself, and has not been closed."""
        is_path = isinstance(self._options.journal, (str, os.PathLike))
        return is_path and self._account is not None and not self._is_closed

    async def aclose(self) -> None:
        """Fail every open wait, write down what is to be written, close every connection.

        Who is cancelled meanwhile waits no longer for the step that this met; all others are taken.
        """
        self._is_closed = True
        try:
            async with self._opening:
                pass  # whoever opens the journal just now notices, and gives it back
        finally:
            await self._close()

    async def _close(self) -> None:
        account = self._account
        async with AsyncExitStack() as steps:  # the last one comes first
            steps.push_async_callback(self._session.aclose)
            steps.push_async_callback(self.delivery.aclose)
            steps.push_async_callback(self._exits.aclose)
            if account is not None:
                steps.push_async_callback(account.follower.written)
            steps.push_async_callback(self.poller.aclose)
            if account is not None:
                steps.push_async_callback(account.follower.written)
                steps.callback(account.memory.remember, self.poller)
                steps.push_async_callback(account.submitter.aclose)

    # -- asking

    def handle(self, tracked: TrackedTask) -> EffectTask:
        """The handle of a tracked task."""
        return EffectTask(tracked, self.poller, self._query)

    def attached(self, tracked: TrackedTask) -> EffectTask:
        """The handle of a task that may be in the journal."""
        recall = None if self._options.journal is None else self._recall
        return EffectTask(tracked, self.poller, self._query, recall)

    async def page(self, number: int, size: int) -> TaskPage:
        """One page of the account's tasks."""
        page = await self.api.list_page(number, size)
        self.poller.service_answered()
        return page

    async def _recall(self, tracked: TrackedTask) -> None:
        """Take up what is written down of the task, by whichever id it was attached to."""
        account = await self.account()
        found = await account.store.find(tracked.name)
        jobs = [job for job in found if job.account == account.name and _is_of(tracked, job)]
        if not jobs or tracked.latest is not None:
            return
        job = jobs[-1]
        tracked.is_ours = was_submitted(job)
        account.take_up(job)  # if it runs, its end is written down
        snapshot = recalled(job)
        if snapshot is not None:
            self.poller.learn(tracked, snapshot)

    async def _poll(self, tracked: TrackedTask) -> TaskSnapshot:
        return await self.api.poll(tracked.task_id, tracked.external_task_id)

    async def _query(self, tracked: TrackedTask) -> TaskSnapshot:
        return await self.api.query(tracked.task_id, tracked.external_task_id)

    async def _refreshed(self, task_id: str) -> TaskSnapshot:
        return await self.handle(self.poller.track(task_id, None)).refresh()

    async def earlier_tasks(self) -> Mapping[str, TaskSnapshot]:
        """The account's newest tasks by their external ids, where only the service knows them.

        Empty with a journal, which knows them too, and where there is no list.
        """
        has_list = self.api.has_list is not False and self.poller.list_breaker.is_usable
        if self._options.journal is not None or not has_list:
            return {}
        try:
            return await listed_by_external_id(partial(self.api.list_page, may_be_missing=True))
        except KlingEffectsError as error:
            self.poller.list_breaker.failed(error, self._options.clock.monotonic())
            _log.info("what ran before this run is not known, there is no list: %s", error)
            return {}

    # -- submitting

    @property
    def stats(self) -> ClientStats:
        """How the submits stand now; before the first of them there is nothing to tell."""
        if self._account is None:
            return ClientStats(slots=self._options.slots.start)
        slots, submitter = self._account.slots, self._account.submitter
        reason = submitter.held_back_by
        return ClientStats(
            slots=slots.size,
            running=slots.running,
            sending=submitter.under_way,
            waiting=submitter.waiting,
            held_back_by="" if reason is None else str(reason),
        )

    async def prepare(
        self,
        effect: Effect,
        external_task_id: str | None = None,
        *,
        callback_url: str | None = None,
        run: str | None = None,
        download_to: str | None = None,
        with_hashes: bool = True,
    ) -> PreparedJob:
        """What is to be paid for, after a look at its images.

        Args:
            external_task_id: by default made from the run and the effect's content.
            with_hashes: False where nobody can ask for the same job again.

        Raises:
            ImageRejectedError: Kling would reject an image.
            ImageUnreadableError: this machine cannot read an image's file.
        """
        with_hashes = with_hashes or self._options.journal is not None
        look = partial(_looked_at, effect, with_hashes=with_hashes)
        is_remote = all(isinstance(image, str) for image in effect.images)
        image_hashes, files = (
            look() if is_remote else await self._read_patiently(partial(asyncio.to_thread, look))
        )
        job = make_job(
            effect,
            account=self._options.account,
            service=self._options.service.base_url,
            external_task_id=external_task_id,
            image_hashes=image_hashes,
            callback_url=callback_url,
            run=run,
            download_to=download_to,
            now=self._options.clock.now(),
        )
        return PreparedJob(effect, job, files)

    async def submit(
        self, prepared: PreparedJob, *, found: TaskSnapshot | None = None
    ) -> TrackedTask:
        """Have the job accepted; see ``Submitter.submit``.

        Raises:
            ImageRejectedError: also where an image file is not what it was when it was planned.
            ImageUnreadableError: this machine cannot read an image's file; the job stays planned.
        """
        request = build_submit(
            self._options.service,
            prepared.effect,
            external_task_id=prepared.job.external_task_id,
            callback_url=prepared.job.callback_url,
            files=prepared.files,
        )
        account = await self.account()
        submit = partial(account.submitter.submit, prepared.job, request, found=found)
        return account.take_up(await self._read_patiently(submit))

    async def _read_patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        pause = partial(sleep, self._options.clock)
        return await read_patiently(read, pause=pause, rng=self._options.rng)

    async def settle(self, external_task_id: str, *, resubmit: bool, abandon: bool) -> Job:
        """See ``EffectsClient.settle``."""
        account = await self.account()
        job = await _job_of(account, external_task_id)
        if abandon or resubmit:
            steps = steps_to_abandon if abandon else steps_to_resubmit
            return await account.submitter.decide(job, steps)
        job = await account.submitter.settle(job)
        account.take_up(job)
        return job

    async def look_up(self, external_task_id: str) -> Finding:
        """See ``EffectsClient.look_up``."""
        account = await self.account()
        return await account.submitter.look_up(await _job_of(account, external_task_id))

    def abandon(self, job: Job) -> Awaitable[None]:
        """Abandon a job that was only planned; what may have been accepted stays as it is.

        What is returned may be left alone.
        """
        account = self._account
        return asyncio.sleep(0) if account is None else account.submitter.abandon(job)

    async def download_into(self, folder: Path, job: Job, result: EffectResult) -> Path:
        """The job's clip in a folder; its journal knows where."""
        path = await self.delivery.download_into(folder, result)
        account = await self.account()
        await account.follower.downloaded(job, path)
        return path

    # -- opening

    async def account(self) -> Account:
        """The account, with its journal opened at the first call.

        Raises:
            ClientClosedError: the client was closed meanwhile.
        """
        self._check_open()
        if self._account is not None:
            return self._account
        async with self._opening:
            self._check_open()
            if self._account is None:
                account = await self._opened_account()
                if self._is_closed:
                    await self._exits.aclose()
                    self._check_open()
                self._account = account
        return self._account

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClientClosedError("the client was closed; open it again and call again")

    async def _opened_account(self) -> Account:
        options = self._options
        self.api.load()
        store = await self._store()
        follower = Follower(store, self.poller)
        memory = AccountMemory(options.account, store, follower.write)
        slots = SlotLimiter(
            options.slots,
            remembered=await memory.recall(self.poller, options.clock),
            on_learned=memory.remember_slots,
        )
        breaker = SubmitBreaker(
            options.slots, options.clock, on_stop=slots.fail_waiting, rng=options.rng
        )
        submitter = Submitter(
            self.api,
            store,
            slots,
            breaker,
            on_accepted=follower.follow,
            budget_units=options.budget_units,
            submit=options.submit,
            retry=options.retry,
            clock=options.clock,
            rng=options.rng,
        )
        return Account(options.account, store, slots, submitter, follower, memory)

    async def _store(self) -> JobStore:
        journal = self._options.journal
        if journal is None:
            return self._options.store
        if not isinstance(journal, (str, os.PathLike)):
            return journal
        # With sqlite3, for who wants it.
        from kling_effects_async.journal.sqlite.journal import Journal

        if self._journal is None:  # else a call that was cancelled after this has opened it
            self._journal = await self._exits.enter_async_context(Journal(journal))
        return self._journal


async def _job_of(account: Account, external_task_id: str) -> Job:
    found = await account.store.find(external_task_id)
    ours = (account.name, external_task_id)
    for job in found:
        if (job.account, job.external_task_id) == ours:
            return job
    raise JournalError(f"there is no job {external_task_id!r} of the account {account.name}")


def _is_of(tracked: TrackedTask, job: Job) -> bool:
    if tracked.task_id is not None:
        return job.task_id == tracked.task_id
    return job.external_task_id == tracked.external_task_id


def _looked_at(effect: Effect, *, with_hashes: bool) -> tuple[list[str], Mapping[Path, FileState]]:
    """Reject what Kling would reject; the images' hashes, and what the files were.

    A hash is ``""`` where nobody needs it.
    """
    hashes, files = [], {}
    for image in effect.images:
        if isinstance(image, str):
            hashes.append(image_hash(image) if with_hashes else "")
            continue
        found = look_at(image, with_hash=with_hashes)
        hashes.append(found.sha256)
        if isinstance(image, Path) and found.state is not None:
            files[image] = found.state
    return hashes, files
