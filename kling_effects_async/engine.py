"""What a client needs in one event loop: session, tracker, downloads, the account and its jobs.

Everything here is made in a running loop and ends with ``aclose``; the client itself outlives it.
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
from weakref import WeakValueDictionary

from attrs import frozen

from kling_effects_async.effects import Effect
from kling_effects_async.errors import (
    ClientClosedError,
    KlingEffectsError,
    ReplyError,
    TaskNotFoundError,
)
from kling_effects_async.images import image_hash, look_at
from kling_effects_async.journal.job import Job
from kling_effects_async.journal.store import JobStore
from kling_effects_async.models import EffectResult, TaskPage, TaskSnapshot, Video
from kling_effects_async.policy import (
    MAX_VIDEO_BYTES,
    PollPolicy,
    RetryPolicy,
    SlotPolicy,
    SubmitPolicy,
)
from kling_effects_async.protocol.converter import converter
from kling_effects_async.protocol.messages import FileState, Listed, Reply, Request
from kling_effects_async.protocol.requests import (
    build_list,
    build_lookup,
    build_query,
    build_submit,
)
from kling_effects_async.protocol.services import Service
from kling_effects_async.protocol.task_body import (
    read_found,
    read_listed,
    read_page,
    read_submitted,
    read_task,
)
from kling_effects_async.settings import Credentials
from kling_effects_async.spending.account import Account
from kling_effects_async.spending.listed import find_listed, listed_by_external_id
from kling_effects_async.spending.plan import make_job
from kling_effects_async.stats import ClientStats
from kling_effects_async.transport.border import CallersOwn, frameless
from kling_effects_async.transport.clock import Clock, sleep
from kling_effects_async.transport.file_names import safe_name
from kling_effects_async.transport.proxies import Proxies
from kling_effects_async.transport.recent_tasks import RecentTasks
from kling_effects_async.transport.rereading import read_patiently
from kling_effects_async.transport.session import Session
from kling_effects_async.waiting.recalled import recalled, was_submitted
from kling_effects_async.waiting.task import EffectTask
from kling_effects_async.waiting.tracker import Questions, Tracker
from kling_effects_async.waiting.watch import Watch

if TYPE_CHECKING:
    import aiohttp

    from kling_effects_async.journal.sqlite.journal import Journal
    from kling_effects_async.transport.download import Downloader, Progress
    from kling_effects_async.transport.renewal import Renewed

__all__ = ["Engine", "Options", "PreparedJob"]

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
    random: Callable[[], float]


@frozen
class PreparedJob:
    """An effect that is to be paid for, as its job, and what its image files were at that time."""

    effect: Effect
    job: Job
    files: Mapping[Path, FileState]


class Engine:
    """Made by the client in the loop it is used in."""

    def __init__(self, options: Options) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._options = options
        self._session = Session(
            options.service,
            options.credentials,
            retry=options.retry,
            clock=options.clock,
            random=options.random,
            proxies=options.proxies,
            borrowed=options.session,
        )
        self._recent_tasks = RecentTasks(options.clock)
        self.tracker: Tracker = Tracker(
            Questions(self._ask_once, self._ask_list, options.service.lists_tasks),
            policy=options.poll,
            clock=options.clock,
            random=options.random,
        )
        self._downloader: Downloader | None = None
        self._account: Account | None = None
        self._journal: Journal | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False
        self._turns: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
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
        async with AsyncExitStack() as steps:  # the last one comes first
            steps.push_async_callback(self._session.aclose)
            if self._downloader is not None:
                steps.push_async_callback(self._downloader.aclose)
            steps.push_async_callback(self._exits.aclose)
            if self._account is not None:
                steps.push_async_callback(self._account.written)
            steps.push_async_callback(self.tracker.aclose)
            if self._account is not None:
                steps.push_async_callback(self._account.aclose)

    # -- asking

    def handle(self, watch: Watch) -> EffectTask:
        """The handle of a watched task."""
        return EffectTask(watch, self.tracker, self._ask)

    def attached(self, watch: Watch) -> EffectTask:
        """The handle of a task that may be in the journal."""
        recall = None if self._options.journal is None else self._recall
        return EffectTask(watch, self.tracker, self._ask, recall)

    async def _recall(self, watch: Watch) -> None:
        """Take up what is written down of the task, by whichever id it was attached to."""
        account = await self.account()
        found = await account.store.find(watch.name)
        jobs = [job for job in found if job.account == account.name and _is_of(watch, job)]
        if not jobs or watch.latest is not None:
            return
        job = jobs[-1]
        watch.is_ours = was_submitted(job)
        account.take_up(job)  # if it runs, its end is written down
        snapshot = recalled(job)
        if snapshot is not None:
            self.tracker.learn(watch, snapshot)

    async def page(self, number: int, size: int, *, may_be_missing: bool = False) -> TaskPage:
        """One page of the account's tasks.

        Args:
            may_be_missing: what is no page says that there is no list, and is not asked for again.
        """
        request = build_list(self._options.service, page=number, page_size=size)
        read = partial(read_page, page=number, page_size=size)
        page = await self._session.ask(request, read, final=(ReplyError,) if may_be_missing else ())
        self.tracker.service_answered()
        return page

    async def _ask(self, watch: Watch) -> TaskSnapshot:
        """With the usual tries, for a caller who wants to know now."""
        return self._noted(await self._session.ask(self._question(watch), _reader_of(watch)))

    async def _ask_once(self, watch: Watch) -> TaskSnapshot:
        """Without a second try: the tracker has its own idea of when to ask again."""
        return self._noted(await self._session.ask_once(self._question(watch), _reader_of(watch)))

    def _noted(self, snapshot: TaskSnapshot) -> TaskSnapshot:
        self._recent_tasks.note(snapshot)
        return snapshot

    async def _ask_list(
        self, number: int, size: int, wanted: Mapping[str, TaskSnapshot | None]
    ) -> Listed:
        request = build_list(self._options.service, page=number, page_size=size)
        listed = await self._session.ask_once(request, partial(read_listed, wanted=wanted))
        for snapshot in listed.tasks:
            self._recent_tasks.note(snapshot)
        return listed

    def _question(self, watch: Watch) -> Request:
        if watch.task_id is not None:
            return build_query(self._options.service, watch.task_id)
        return build_lookup(self._options.service, watch.external_task_id or "")

    async def _look_up(self, external_task_id: str) -> TaskSnapshot:
        request = build_lookup(self._options.service, external_task_id)
        read = partial(read_found, asked=external_task_id)
        return await self._session.ask(request, read, final=(TaskNotFoundError,))

    async def _find_listed(self, job: Job) -> TaskSnapshot | None:
        if self._options.service.lists_tasks is False:
            return None
        read_page = partial(self.page, may_be_missing=True)
        return await find_listed(read_page, job.external_task_id, since=job.created_at)

    async def earlier_tasks(self) -> Mapping[str, TaskSnapshot]:
        """The account's newest tasks by their external ids, where only the service knows them.

        Empty with a journal, which knows them too, and where there is no list.
        """
        has_list = self._options.service.lists_tasks is not False and self.tracker.pages.is_usable
        if self._options.journal is not None or not has_list:
            return {}
        try:
            return await listed_by_external_id(partial(self.page, may_be_missing=True))
        except KlingEffectsError as error:
            self.tracker.pages.failed(error, self._options.clock.monotonic())
            _log.info("what ran before this run is not known, there is no list: %s", error)
            return {}

    # -- spending

    @property
    def stats(self) -> ClientStats:
        """How the submits stand now; before the first of them there is nothing to tell."""
        if self._account is None:
            return ClientStats(slots=self._options.slots.start)
        return self._account.stats

    async def plan(
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

    async def submit(self, plan: PreparedJob, *, found: TaskSnapshot | None = None) -> Watch:
        """Have the job accepted; see ``Submitter.submit``.

        Raises:
            ImageRejectedError: also where an image file is not what it was when it was planned.
            ImageUnreadableError: this machine cannot read an image's file; the job stays planned.
        """
        request = build_submit(
            self._options.service,
            plan.effect,
            external_task_id=plan.job.external_task_id,
            callback_url=plan.job.callback_url,
            files=plan.files,
        )
        account = await self.account()
        submit = partial(account.submit, plan.job, request, found=found)
        return await self._read_patiently(submit)

    async def _read_patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        pause = partial(sleep, self._options.clock)
        return await read_patiently(read, pause=pause, rng=self._options.random)

    def abandon(self, job: Job) -> Awaitable[None]:
        """Give up a job that was only planned; what may have been accepted stays as it is.

        What is returned may be left alone.
        """
        return asyncio.sleep(0) if self._account is None else self._account.abandon(job)

    async def bring_home(self, job: Job, result: EffectResult, folder: Path) -> Path:
        """The job's video in a folder, under a name made from its task's id.

        One that is there already is not fetched again.
        """
        path = folder / safe_name(result.task_id)
        async with self._turns.setdefault(path, asyncio.Lock()):  # the same effect may come twice
            if not await asyncio.to_thread(path.exists):
                await self.download(result.video, path)
        account = await self.account()
        await account.downloaded(job, path)
        return path

    async def download(
        self,
        video: Video,
        path: Path,
        *,
        overwrite: bool = False,
        max_bytes: int = MAX_VIDEO_BYTES,
        on_progress: Progress | None = None,
    ) -> Path:
        """See ``EffectsClient.download``."""
        from kling_effects_async.transport.renewal import download_renewed

        downloader = self._open_downloader()
        own = None if on_progress is None else CallersOwn(on_progress)

        async def fetch(url: str) -> Path:
            return await downloader.download(
                url, path, overwrite=overwrite, max_bytes=max_bytes, on_progress=own
            )

        return await frameless(
            download_renewed(
                fetch,
                partial(self._renewed, video),
                video.url,
                grace_s=self._options.poll.result_grace_s,
                clock=self._options.clock,
                random=self._options.random,
            ),
            own,
        )

    def _open_downloader(self) -> Downloader:
        if self._downloader is None:
            from kling_effects_async.transport.download import Downloader

            self._downloader = Downloader(
                clock=self._options.clock,
                # The caller has chosen it, so it may lead into the caller's own network.
                allowed_origin=self._options.service.base_url,
                proxies=self._options.proxies,
            )
        return self._downloader

    async def _renewed(self, video: Video) -> Renewed | None:
        """What the service says of the video now."""
        from kling_effects_async.transport.renewal import Renewed

        if video.task_id is None:
            return None
        snapshot = await self.handle(self.tracker.watch(video.task_id, None)).refresh()
        # The journal keeps addresses alone, and an effect makes exactly one video.
        same = [fresh for fresh in snapshot.videos if video.id in (None, fresh.id)]
        is_new = self._recent_tasks.is_new(snapshot)
        return Renewed(same[0].url, is_new=is_new) if same else None

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
        # Loads what sends and what reads; later there may be no free descriptor to do it with.
        converter()
        self._session.load()
        return await Account.open(
            options.account,
            await self._store(),
            self.tracker,
            post=self._post,
            look_up=self._look_up,
            find_listed=self._find_listed,
            budget_units=options.budget_units,
            slots=options.slots,
            submit=options.submit,
            retry=options.retry,
            clock=options.clock,
            random=options.random,
        )

    async def _post(self, request: Request) -> TaskSnapshot:
        return self._noted(await self._session.ask_once(request, read_submitted))

    async def _store(self) -> JobStore:
        journal = self._options.journal
        if journal is None:
            return self._options.store
        if not isinstance(journal, (str, os.PathLike)):
            return journal
        from kling_effects_async.journal.sqlite.journal import (
            Journal,  # with sqlite3, for who wants it
        )

        if self._journal is None:  # else a call that was cancelled after this has opened it
            self._journal = await self._exits.enter_async_context(Journal(journal))
        return self._journal


def _is_of(watch: Watch, job: Job) -> bool:
    if watch.task_id is not None:
        return job.task_id == watch.task_id
    return job.external_task_id == watch.external_task_id


def _reader_of(watch: Watch) -> Callable[[Reply], TaskSnapshot]:
    if watch.task_id is not None:
        return partial(read_task, asked=watch.task_id)
    return partial(read_found, asked=watch.external_task_id or "")


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
