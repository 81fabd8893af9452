"""What a client holds while it is open: everything composed, once, and nothing else.

Everything here is made in a running loop and ends with ``aclose``; the client itself outlives it.

    EffectsApi <- Poller, Submitter, Delivery      the service
    JobStore   <- Submitter, Follower, AccountMemory  what is written down
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, frozen

from kling_effects_async.account_callbacks import AccountCallbacks
from kling_effects_async.api import EffectsApi
from kling_effects_async.clip_names import is_named_by_task
from kling_effects_async.delivery import Delivery
from kling_effects_async.downloading.file_names import as_text, clip_file_name
from kling_effects_async.effects import Effect
from kling_effects_async.errors import ClientClosedError, ClipNameTakenError, JournalError
from kling_effects_async.event_hub import EventHub
from kling_effects_async.events import Event, SlotsChanged, unheard
from kling_effects_async.journal.job import UNSENT, Job, JobState
from kling_effects_async.journal.store import JobStore
from kling_effects_async.models import EffectResult, TaskPage, TaskSnapshot
from kling_effects_async.observer import NOBODY, Observer
from kling_effects_async.policy import (
    PollPolicy,
    RetryPolicy,
    SharePolicy,
    SlotPolicy,
    SubmitPolicy,
)
from kling_effects_async.polling.poller import Poller
from kling_effects_async.polling.recalled import recalled, was_submitted
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.protocol.requests import build_submit
from kling_effects_async.protocol.services import Service
from kling_effects_async.settings import Credentials
from kling_effects_async.stats import ClientStats
from kling_effects_async.submitting.admission import Admission
from kling_effects_async.submitting.breaker import SubmitBreaker
from kling_effects_async.submitting.decision import steps_to_abandon, steps_to_resubmit
from kling_effects_async.submitting.follower import Follower
from kling_effects_async.submitting.listed import earlier_tasks
from kling_effects_async.submitting.memory import AccountMemory
from kling_effects_async.submitting.planning import PreparedJob, prepared_job
from kling_effects_async.submitting.reports import SubmitReports
from kling_effects_async.submitting.settling import Finding
from kling_effects_async.submitting.slots import Slot, SlotLimiter
from kling_effects_async.submitting.submitter import Submitter
from kling_effects_async.transport.clock import Clock, sleep
from kling_effects_async.transport.proxies import Proxies
from kling_effects_async.transport.rereading import read_patiently
from kling_effects_async.transport.session import Session

if TYPE_CHECKING:
    import aiohttp

    from kling_effects_async.callbacks.receiver import CallbackReceiver
    from kling_effects_async.journal.sqlite.journal import Journal
    from kling_effects_async.journal.sqlite.store import SqliteStore
    from kling_effects_async.telemetry.providers import Telemetry

__all__ = ["Account", "Options", "Runtime", "compose_submitter"]

T = TypeVar("T")


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
    shares: SharePolicy
    submit: SubmitPolicy
    session: aiohttp.ClientSession | None
    proxies: Proxies
    on_event: Callable[[Event], object] | None
    telemetry: Telemetry | None
    callbacks: CallbackReceiver | None
    clock: Clock
    rng: Callable[[], float]


@frozen
class Account:
    """One account at one service, with its jobs."""

    name: str
    store: JobStore
    submitter: Submitter
    follower: Follower
    memory: AccountMemory

    @property
    def slots(self) -> SlotLimiter:
        """How many of its tasks may run at once."""
        return self.submitter.slots

    async def job(self, external_task_id: str) -> Job | None:
        """Its job under this id, if there is one."""
        for held in await self.store.find(external_task_id):
            if (held.account, held.external_task_id) == (self.name, external_task_id):
                return held
        return None

    def settle_told(self, external_task_id: str) -> None:
        """The service tells of a task under this id; see ``Submitter.settle_told``."""
        self.submitter.settle_told(partial(self.job, external_task_id))

    def resume(self, job: Job) -> TrackedTask:
        """See ``Follower.resume``."""
        return self.follower.resume(job, self.slots)


class Runtime:
    """Made by the client in the loop it is used in."""

    def __init__(self, options: Options) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._options = options
        self.observer: Observer = _observer_of(options)
        self.events: EventHub = EventHub(self.observer.on_event, options.on_event)
        self._session = Session(
            options.service,
            options.credentials,
            retry=options.retry,
            clock=options.clock,
            rng=options.rng,
            proxies=options.proxies,
            borrowed=options.session,
            on_retry=self.observer.retried,
        )
        self.api: EffectsApi = EffectsApi(self._session, options.service, options.clock)
        self.poller: Poller = Poller(
            self.api,
            policy=options.poll,
            clock=options.clock,
            rng=options.rng,
            on_event=self.events.send,
            on_poll=self.observer.polled,
        )
        self.delivery: Delivery = Delivery(
            self.api,
            options.service,
            refresh=self._refreshed,
            grace_s=options.poll.result_grace_s,
            proxies=options.proxies,
            clock=options.clock,
            rng=options.rng,
            on_bytes=self.observer.downloaded,
        )
        self._callbacks = AccountCallbacks()
        self._account: Account | None = None
        self._journal: SqliteStore | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False
        self._is_draining = False
        self._exits = AsyncExitStack()

    @property
    def owns_journal(self) -> bool:
        """It opened the journal itself, and has not been closed."""
        is_path = isinstance(self._options.journal, (str, os.PathLike))
        return is_path and self._account is not None and not self._is_closed

    @property
    def budget_units(self) -> Decimal | None:
        """What all jobs of the account may cost; ``None`` for no limit."""
        return self._options.budget_units

    @property
    def shares(self) -> SharePolicy:
        """Who gets a slot where several wait."""
        return self._options.shares

    async def aclose(self) -> None:
        """Fail every open wait, write down what is to be written, close every connection.

        Who is cancelled meanwhile waits no longer for the step that this met; all others are taken.
        """
        self._is_closed = True
        try:
            async with self._opening:
                pass  # who is opening the journal notices it, and closes the journal again
        finally:
            await self._close()

    async def _close(self) -> None:
        account = self._account
        # Submits first, as they need the poller for their tasks; then the polls, whose ends are
        # written down; the journal and the connections last.
        async with AsyncExitStack() as steps:  # the last one is called first
            steps.callback(self.observer.close)
            steps.callback(self.events.close)
            steps.push_async_callback(asyncio.sleep, 0)  # in which the last submits end
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
            steps.callback(self._callbacks.close)

    # -- tasks

    def effect_task(self, tracked: TrackedTask) -> EffectTask:
        """The user's view of a tracked task."""
        return EffectTask(tracked, self.poller)

    def attached_task(self, tracked: TrackedTask) -> EffectTask:
        """The same for a task that may be in the journal."""
        recall = None if self._options.journal is None else self._recall
        return EffectTask(tracked, self.poller, recall)

    async def page(self, number: int, size: int) -> TaskPage:
        """One page of the account's tasks."""
        page = await self.api.list_page(number, size)
        self.poller.service_answered()
        return page

    async def _recall(self, tracked: TrackedTask) -> None:
        """Apply what the journal holds of the task, by whichever id it was attached to."""
        account = await self.account()
        found = await account.store.find(tracked.name)
        jobs = [job for job in found if job.account == account.name and _is_of(tracked, job)]
        if not jobs or tracked.latest is not None:
            return
        job = jobs[-1]
        tracked.is_ours = was_submitted(job)
        account.resume(job)  # if it runs, its end is written down
        snapshot = recalled(job)
        if snapshot is not None:
            self.poller.recall(tracked, snapshot)

    async def _refreshed(self, task_id: str) -> TaskSnapshot:
        return await self.effect_task(self.poller.track(task_id, None)).refresh()

    async def earlier_tasks(self) -> Mapping[str, TaskSnapshot]:
        """The account's newest tasks by their external ids, where only the service knows them.

        Empty with a journal, which knows them too, and where there is no list.
        """
        if self._options.journal is not None:
            return {}
        return await earlier_tasks(self.api, self.poller.list_breaker, self._options.clock)

    # -- submitting

    def stats(self) -> ClientStats:
        """How the submits stand now; before the first of them only the number of slots."""
        if self._account is None:
            return ClientStats(
                slots=self._options.slots.start,
                polls=self.poller.polls,
                last_lag_s=self.poller.last_lag_s,
            )
        slots, submitter = self._account.slots, self._account.submitter
        reason = submitter.held_back_by
        return ClientStats(
            slots=slots.size,
            running=slots.running,
            sending=submitter.under_way,
            waiting=submitter.waiting,
            waiting_by_share=MappingProxyType(slots.waiting_by_share),
            held_back_by="" if reason is None else str(reason),
            slots_reason=slots.reason,
            uncertain=submitter.uncertain,
            polls=self.poller.polls,
            last_lag_s=self.poller.last_lag_s,
        )

    def queue_position(self, external_task_id: str) -> int | None:
        """See ``EffectsClient.queue_position``."""
        return None if self._account is None else self._account.slots.position_of(external_task_id)

    async def prepare(
        self,
        effect: Effect,
        external_task_id: str | None = None,
        *,
        callback_url: str | None = None,
        run: str | None = None,
        download_to: str | None = None,
        share: str | None = None,
        with_hashes: bool = True,
    ) -> PreparedJob:
        """The effect as a job, after its images were checked.

        Args:
            external_task_id: by default made from the run and the effect's content.
            with_hashes: False where the same job cannot be submitted again.

        Raises:
            ImageRejectedError: Kling would reject an image.
            ImageUnreadableError: this machine cannot read an image's file.
        """
        plan = partial(
            prepared_job,
            effect,
            with_hashes=with_hashes or self._options.journal is not None,
            account=self._options.account,
            service=self._options.service.base_url,
            external_task_id=external_task_id,
            callback_url=callback_url,
            run=run,
            download_to=download_to,
            share=share or "",
            now=self._options.clock.now(),
        )
        if all(isinstance(image, str) for image in effect.images):
            return plan()
        return await self._read_patiently(partial(asyncio.to_thread, plan))

    async def submit(
        self, prepared: PreparedJob, *, found: TaskSnapshot | None = None
    ) -> TrackedTask:
        """Have the job accepted; see ``Submitter.submit``.

        Raises:
            ImageRejectedError: also where an image file is not what it was when it was planned.
            ImageUnreadableError: this machine cannot read an image's file; the job stays planned.
        """
        account = await self.account()
        addressed = self._callbacks.addressed(prepared.job)
        request = build_submit(
            self._options.service,
            prepared.effect,
            external_task_id=addressed.external_task_id,
            callback_url=addressed.callback_url,
            files=prepared.files,
        )
        submit = partial(account.submitter.submit, addressed, request, found=found)
        job = await (self._read_patiently(submit) if prepared.files else submit())
        return account.resume(job)

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
        account.resume(job)
        return job

    async def look_up(self, external_task_id: str) -> Finding:
        """See ``EffectsClient.look_up``."""
        account = await self.account()
        job, finding = await account.submitter.look_up(await _job_of(account, external_task_id))
        # It holds a slot until its end. One that has ended holds none; ``resume`` finishes its job.
        if finding.snapshot is not None and not finding.snapshot.is_final:
            account.resume(job)
        return finding

    def is_draining(self) -> bool:
        """Whether ``drain`` was called."""
        return self._is_draining

    def drain(self) -> None:
        """See ``EffectsClient.drain``."""
        self._is_draining = True
        if self._account is not None:
            self._account.submitter.drain()

    def abandon(self, job: Job) -> Awaitable[None]:
        """Abandon a job that was only planned; what may have been accepted stays as it is.

        What is returned may be left alone.
        """
        account = self._account
        return asyncio.sleep(0) if account is None else account.submitter.abandon(job)

    async def download_into(self, folder: Path, job: Job, result: EffectResult) -> Path:
        """The job's clip in a folder; its journal knows where."""
        account = await self.account()
        path = folder / clip_file_name(job.clip_name, result.task_id)
        is_known, note = partial(_is_clip, account, job), partial(account.follower.downloaded, job)
        await self.delivery.download_once(path, result.video, is_known=is_known, note=note)
        return path

    async def named(self, job: Job, wished: str, folder: Path, *, is_paid: bool = False) -> Job:
        """The job, with the name of its clip in its folder.

        Names are given in the order in which this is called.

        Args:
            wished: its name, if it has none and no clip of another job has this one.
            folder: the one that ``job.download_to`` names.
            is_paid: the service has a task of it.

        Raises:
            DownloadError: nothing was sent for it, and another file has the name.
            JournalError: as of ``submit``.
        """
        account = await self.account()  # opened before, or the order would not be kept
        held = await account.store.add_named(self._callbacks.addressed(job), wished)
        if held.state in UNSENT and not is_paid:
            await _check_name_is_free(held, folder)
        return evolve(job, clip_name=held.clip_name)

    # -- opening

    async def account(self) -> Account:
        """The account, with its journal opened at the first call.

        Raises:
            ClientClosedError: the client was closed meanwhile.
        """
        self.check_open()
        if self._account is not None:
            return self._account
        async with self._opening:  # a journal has one owner: two opens at once would be an error
            self.check_open()
            if self._account is None:
                account = await self._opened_account()
                if self._is_closed:
                    await self._exits.aclose()
                    self.check_open()
                self._account = account
        return self._account

    async def journal(self) -> SqliteStore:
        """The account's journal, of a client that has one."""
        from kling_effects_async.journal.sqlite.store import SqliteStore

        store = (await self.account()).store
        assert isinstance(store, SqliteStore)
        return store

    def check_open(self) -> None:
        """Raise ``ClientClosedError`` once the client is closed."""
        if self._is_closed:
            raise ClientClosedError("the client was closed; open it again and call again")

    async def _opened_account(self) -> Account:
        options = self._options
        self.api.load()
        store = await self._store()
        follower = Follower(
            store,
            self.poller,
            self.observer.timed_out,
            is_announced=self._callbacks.is_of,
            on_followed=self._callbacks.accepted,
        )
        memory = AccountMemory(options.account, store, follower.write)
        submitter = compose_submitter(
            self.api,
            store,
            slots=options.slots,
            shares=options.shares,
            submit=options.submit,
            retry=options.retry,
            budget_units=options.budget_units,
            remembered_slots=await memory.recall(self.poller, options.clock),
            on_slots=memory.remember_slots,
            on_accepted=follower.follow,
            on_event=self.events.send,
            told_id=self._callbacks.told_id,
            clock=options.clock,
            rng=options.rng,
        )
        self.observer.slots(submitter.slots.size)
        account = Account(options.account, store, submitter, follower, memory)
        if self._is_draining:
            submitter.drain()
        if options.callbacks is not None:
            await self._listen(options.callbacks, account)
        return account

    async def _listen(self, receiver: CallbackReceiver, account: Account) -> None:
        token = await account.memory.callback_token()
        self._session.hide(token)
        self._callbacks.open(
            receiver, token, self.poller, self._session.harmless, account.settle_told
        )

    async def _store(self) -> JobStore:
        journal = self._options.journal
        if journal is None:
            return self._options.store
        # Imported here: a client without a journal starts without sqlite3.
        from kling_effects_async.journal.sqlite.store import SqliteStore

        if not isinstance(journal, (str, os.PathLike)):
            return SqliteStore.of(journal)
        if self._journal is None:  # else a call that was cancelled after this has opened it
            self._journal = await self._exits.enter_async_context(SqliteStore(journal))
        return self._journal


def compose_submitter(
    api: EffectsApi,
    store: JobStore,
    *,
    slots: SlotPolicy,
    submit: SubmitPolicy,
    retry: RetryPolicy,
    budget_units: Decimal | None,
    shares: SharePolicy | None = None,
    on_accepted: Callable[[Job, TaskSnapshot, Slot], None],
    clock: Clock,
    rng: Callable[[], float],
    remembered_slots: int | None = None,
    on_slots: Callable[[int], None] | None = None,
    on_event: Callable[[Event], object] = unheard,
    told_id: Callable[[str], str | None] = lambda _: None,
) -> Submitter:
    """A submitter with the slots and the breaker of its account.

    Args:
        shares: who gets a slot where several wait.
        on_accepted: called with each accepted task and its slot, which it gives back.
        rng: a source of numbers in [0, 1).
        remembered_slots: how many the account had before.
        on_slots: called with each new number of slots.
        on_event: called with the events of submits and slots.
        told_id: see ``Submitter``.
    """

    def slots_changed(size: int, running: int, reason: str) -> None:
        on_event(SlotsChanged(at=clock.now(), size=size, running=running, reason=reason))

    limiter = SlotLimiter(
        slots,
        shares=shares,
        remembered=remembered_slots,
        on_learned=on_slots,
        on_change=slots_changed,
    )
    breaker = SubmitBreaker(slots, clock, shares=shares, on_stop=limiter.fail_waiting, rng=rng)
    admission = Admission(limiter, breaker, submit=submit, retry=retry, rng=rng)
    return Submitter(
        api,
        store,
        admission,
        on_accepted=on_accepted,
        budget_units=budget_units,
        submit=submit,
        clock=clock,
        reports=SubmitReports(on_event, clock),
        told_id=told_id,
    )


async def _is_clip(account: Account, job: Job, path: Path) -> bool:
    """Whether a file is the job's clip, as far as its name or the journal says."""
    if is_named_by_task(job.clip_name):
        return True
    held = await account.job(job.external_task_id)
    text = await asyncio.to_thread(as_text, path)
    return held is not None and held.state is JobState.DOWNLOADED and held.path == text


async def _check_name_is_free(job: Job, folder: Path) -> None:
    """Reject a job before it is paid, if its clip could not get its name then."""
    if is_named_by_task(job.clip_name):
        return
    path = folder / (job.clip_name or "")
    if await asyncio.to_thread(os.path.lexists, path):
        raise ClipNameTakenError(path)


def _observer_of(options: Options) -> Observer:
    if options.telemetry is None:
        return NOBODY
    return options.telemetry.observer(options.account, options.clock)


async def _job_of(account: Account, external_task_id: str) -> Job:
    job = await account.job(external_task_id)
    if job is None:
        raise JournalError(f"there is no job {external_task_id!r} of the account {account.name}")
    return job


def _is_of(tracked: TrackedTask, job: Job) -> bool:
    if tracked.task_id is not None:
        return job.task_id == tracked.task_id
    return job.external_task_id == tracked.external_task_id
