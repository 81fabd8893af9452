"""``EffectsClient``: the one object an application holds."""

from __future__ import annotations

import asyncio
import os
import random
import warnings
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from kling_effects_async import bulk
from kling_effects_async.arguments import Kind, as_units, check_arguments, check_name
from kling_effects_async.client_options import ClientOptions
from kling_effects_async.effects import Effect
from kling_effects_async.errors import KlingEffectsError, SettingsError
from kling_effects_async.journal.job import Job
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.listing import TaskListing
from kling_effects_async.models import EffectResult, TaskPage, Video
from kling_effects_async.outcomes import Failed, Outcome
from kling_effects_async.policy import (
    MAX_VIDEO_BYTES,
    PollPolicy,
    RetryPolicy,
    SlotPolicy,
    SubmitPolicy,
)
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.protocol.requests import (
    build_list,
    build_submit,
    check_external_task_id,
    check_task_id,
    scene_advice,
)
from kling_effects_async.protocol.services import Service
from kling_effects_async.resuming import resumed
from kling_effects_async.runtime import Options, Runtime
from kling_effects_async.settings import (
    AccessKeys,
    BearerToken,
    Credentials,
    Settings,
    check_receiver,
    default_service,
)
from kling_effects_async.stats import ClientStats
from kling_effects_async.submitting.account import account_name
from kling_effects_async.submitting.planning import random_id
from kling_effects_async.submitting.settling import Finding
from kling_effects_async.transport.clock import Clock, SystemClock
from kling_effects_async.transport.proxies import Proxies

if TYPE_CHECKING:
    import aiohttp

    from kling_effects_async.journal.sqlite.journal import Journal

__all__ = ["EffectsClient", "UnknownSceneWarning"]

_PATH = (str, os.PathLike)
# Classes that are costly to import are known by what they have.
_OPTIONS = {
    "credentials": Kind(
        "a BearerToken(...) or AccessKeys(...)", (BearerToken, AccessKeys), is_optional=False
    ),
    "service": Kind("a Service such as Service.gateway(url)", (Service,)),
    "journal": Kind("a path (a str or os.PathLike) or a Journal", _PATH, ("move", "known_task")),
    "account": Kind("a str", (str,)),
    "poll": Kind("a PollPolicy(...)", (PollPolicy,)),
    "retry": Kind("a RetryPolicy(...)", (RetryPolicy,)),
    "slots": Kind("a SlotPolicy(...)", (SlotPolicy,)),
    "submit": Kind("a SubmitPolicy(...)", (SubmitPolicy,)),
    "session": Kind("an aiohttp.ClientSession", has=("request", "closed", "headers")),
    "proxy": Kind("a str such as 'http://host:port'", (str,)),
    "trust_env": Kind("True or False", (bool,), is_optional=False),
    "clock": Kind("a Clock", has=("monotonic", "now", "call_at")),
    "rng": Kind("a function that returns numbers in [0, 1)", has=("__call__",), is_optional=False),
}
_BATCH = {
    "run": Kind("a str", (str,)),
    "download_to": Kind("the path of a folder (a str or os.PathLike)", _PATH),
}
_DOWNLOAD = {
    "video": Kind(
        "a Video, such as the video of a result: (await task).video", (Video,), is_optional=False
    ),
    "path": Kind("a path (a str or os.PathLike)", _PATH, is_optional=False),
    "max_bytes": Kind("a whole number of bytes", (int,), is_optional=False),
    "on_progress": Kind("a function of two numbers of bytes", has=("__call__",)),
}
_SETTLE = {"external_task_id": Kind("a str", (str,), is_optional=False)}
_PAGE = {name: Kind("a whole number", (int,), is_optional=False) for name in ("page", "page_size")}


class UnknownSceneWarning(UserWarning):
    """A scene is in no known list, or no longer in the newest; it was sent all the same."""


class EffectsClient:
    """Submits effects to one account at one service, waits for them, and brings the clips home.

    ::

        async with EffectsClient.from_env() as client:
            result = await client.run(SingleImageEffect("squish", image=Path("cat.jpg")))
            await client.download(result.video, "squished.mp4")

    Nothing is connected before the first call. One client serves any number of coroutines of one
    event loop; after ``aclose`` (or the end of ``async with``) it may be opened again, in another
    loop as well.

    Args:
        credentials: a ``BearerToken`` or ``AccessKeys``.
        service: whom to ask; by default Kling for access keys and for API keys of its own
            (``api-key-kling-...``, which nobody else ever gets), and V-API for any other token.
        journal: a file (or an opened ``Journal``) in which every job is written down, so that a
            crash neither loses a paid task nor pays for it again. Without one the same rules hold
            while the client lives, for all open jobs and the last 10,000 that ended.
        account: what the journal calls this account; by default made from the service and the
            key. Name it yourself if keys are rotated: under a new key the default is a new
            account, and jobs that the journal holds under the old one raise
            ``AccountChangedError`` instead of being paid again.
        budget_units: submits that could take the account's jobs past it are rejected. Whatever
            may be charged counts: what the journal holds, what runs, and what is uncertain.
        poll: how patiently to wait for tasks.
        retry: how each request is tried.
        slots: how the account's limit of parallel tasks is found out.
        submit: what to do about a submit whose answer was lost.
        session: your own aiohttp session for the API (a TLS context, traces); never closed here.
            Its Authorization, netrc's included, is replaced by ours. Downloads do not use it.
        proxy: ``http://user:password@host:port``, for the API and for downloads. Shown without its
            password everywhere.
        trust_env: use the proxies that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``ALL_PROXY`` name, as
            curl and pip do, except for this machine itself. Hosts in ``NO_PROXY`` are reached
            without, also where ``proxy`` is given. Nothing else is read: no netrc.
        clock: replaces time, for tests.
        rng: a source of numbers in [0, 1) for pauses, for tests.

    Raises:
        TypeError: an argument is of a wrong type; names it, and says what it must be.
        SettingsError: ``account`` is empty, ``budget_units`` is no number of 0 or more, or
            ``proxy``, or a variable of the environment that would be used for the service, names
            no proxy, or one that does not speak HTTP (SOCKS).
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        service: Service | None = None,
        journal: str | os.PathLike[str] | Journal | None = None,
        account: str | None = None,
        budget_units: Decimal | int | str | None = None,
        poll: PollPolicy | None = None,
        retry: RetryPolicy | None = None,
        slots: SlotPolicy | None = None,
        submit: SubmitPolicy | None = None,
        session: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        clock: Clock | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        check_arguments(_OPTIONS, locals())  # what is wrong here must not be found once it is paid
        check_name("account", account)
        _check_journal(journal)
        if service is None:
            service = default_service(credentials)
        check_receiver(credentials, service)
        proxies = Proxies.of(proxy, os.environ if trust_env else {})
        proxies.proxy_for(service.base_url)  # one that cannot be used is better known at once
        self._options = Options(
            service=service,
            credentials=credentials,
            account=account_name(service, credentials) if account is None else account,
            journal=journal,
            store=MemoryStore(),
            budget_units=as_units("budget_units", budget_units),
            poll=poll or PollPolicy(),
            retry=retry or RetryPolicy(),
            slots=slots or SlotPolicy(),
            submit=submit or SubmitPolicy(),
            session=session,
            proxies=proxies,
            clock=clock or SystemClock(),
            rng=rng,
        )
        self._opened: Runtime | None = None
        self._is_closed = False

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        service: Service | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """A client from ``KLING_API_KEY``, or ``KLING_ACCESS_KEY`` and ``KLING_SECRET_KEY``.

        ``KLING_SERVICE`` names the service: vapi, singapore, beijing or a gateway's base URL.

        Args:
            environ: another mapping than the process's environment.
            service: another service than the environment's.
            options: the other arguments of ``EffectsClient``.

        Raises:
            SettingsError: a key is missing, or would go to somebody it does not belong to; the
                message says what to do.
        """
        settings = Settings.from_env(os.environ if environ is None else environ)
        return cls(settings.credentials, service=service or settings.service, **options)

    @property
    def service(self) -> Service:
        """Whom this client asks."""
        return self._options.service

    @property
    def account(self) -> str:
        """What the journal calls the account."""
        return self._options.account

    @property
    def stats(self) -> ClientStats:
        """How many tasks run, how many submits wait, and what holds them back; asks nothing."""
        if self._opened is None:
            return ClientStats(slots=self._options.slots.start)
        return self._opened.stats

    def __repr__(self) -> str:
        return f"<EffectsClient of {self.service.name}>"

    async def __aenter__(self) -> Self:
        self._is_closed = False
        runtime = self._runtime()
        try:
            if self._options.journal is not None:
                await runtime.account()  # a journal that cannot be used is better known at once
        except BaseException:
            await self.aclose()  # nobody else will: the block was not entered
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Fail every open wait, and leave no task, socket or thread behind. Twice is fine."""
        self._is_closed = True
        runtime, self._opened = self._opened, None
        if runtime is not None:
            await runtime.aclose()

    async def submit(
        self,
        effect: Effect,
        *,
        external_task_id: str | None = None,
        callback_url: str | None = None,
    ) -> EffectTask:
        """Have one task created, and return its handle as soon as the service accepted it.

        Every task is submitted with an external id, so that it can be found again; without yours
        it is a random one. The images are checked first. What surely did not arrive, or was
        rejected for now, is sent again; where an answer was lost, the task is looked up by its
        external id. Submitting the same effect under the same external id again gives the same
        task. If the account's slots are all taken, this waits for one. A submit that is cancelled
        while it is sent goes on by itself until its outcome is written down.

        Args:
            external_task_id: your id of the task, unique in your account.
            callback_url: where the service reports changes; a hint, never a proof.

        Raises:
            EffectRejectedError, ImageRejectedError: nothing was sent; says what to change.
            ImageUnreadableError: this machine cannot read an image's file, after 30 s; nothing was
                sent, and the same call again is safe.
            IdempotencyConflictError: the external id belongs to another effect; nothing was sent.
            ExternalIdTakenError: the service has a task under the external id that was not
                submitted from here; nothing was created.
            AccountChangedError: the journal holds the job under another account; nothing was sent.
            BudgetExceededError, JournalError: nothing was sent; says what to do.
            SubmissionUncertainError: the answer was lost; look before you submit again.
            ApiError: rejected, nothing was created; see its class for what to do.
            TransportError: nothing arrived, after the usual tries.
        """
        runtime = self._runtime()
        is_named = external_task_id is not None
        id_or_random = random_id() if external_task_id is None else external_task_id
        # Built once for its checks alone: what cannot be sent is rejected before anything is read.
        build_submit(self.service, effect, external_task_id=id_or_random, callback_url=callback_url)
        _warn_of(scene_advice(self.service, effect.scene))
        plan = await runtime.prepare(
            effect,
            id_or_random,
            callback_url=callback_url,
            with_hashes=is_named,
        )
        try:
            return runtime.handle(await runtime.submit(plan))
        except KlingEffectsError:
            if not is_named:  # nobody can ask for it again by its random id
                await runtime.abandon(plan.job)
            raise
        except asyncio.CancelledError:
            if not is_named:
                runtime.abandon(plan.job)  # who is cancelled waits no longer
            raise

    async def run(
        self,
        effect: Effect,
        *,
        external_task_id: str | None = None,
        callback_url: str | None = None,
    ) -> EffectResult:
        """``submit``, then wait for the result; raises what the two of them raise.

        If this is cancelled, the task goes on; its id is in a note of the ``CancelledError`` and in
        the log. Where you need it for sure, give your own ``external_task_id``.
        """
        task = await self.submit(
            effect, external_task_id=external_task_id, callback_url=callback_url
        )
        try:
            return await task
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(f"task {task.id} goes on at the service: attach({task.id!r})")
            raise

    def attach(
        self, task_id: str | None = None, *, external_task_id: str | None = None
    ) -> EffectTask:
        """The handle of a task that exists already; nothing is asked before it is awaited.

        Then the journal is asked first: an end that it knows is final, and needs no request. A
        task that neither the journal nor the service knows is a ``TaskNotFoundError`` after
        ``PollPolicy.attached_grace_s``.

        Raises:
            ValueError: neither or both ids are given.
            EffectRejectedError: the id cannot be one of a task.
            TypeError: the id is no ``str``.
        """
        if (task_id is None) == (external_task_id is None):
            raise ValueError("attach() takes a task_id or an external_task_id, one of the two")
        if external_task_id is not None:
            check_external_task_id(external_task_id)
        if task_id is not None:
            check_task_id(task_id)
        runtime = self._runtime()
        return runtime.attached(runtime.poller.track(task_id, external_task_id))

    def run_many(
        self,
        effects: Iterable[Effect] | AsyncIterable[Effect],
        *,
        run: str | None = None,
        ordered: bool = False,
        download_to: str | os.PathLike[str] | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """Run many effects, as many at once as the account has slots; yield what becomes of each.

        The effects are drawn lazily, a few ahead of the free slots. Each gets an external id made
        from the run's name, its scene, options and images, so that the same batch run again submits
        nothing twice, and the same effect twice in one batch is one task. Leaving the iteration
        cancels what has not been submitted; submitted tasks go on, and a journal knows them. To
        have that done at once after a ``break``, put ``contextlib.aclosing`` around the iterator.

        Args:
            run: the run's name; effects of another run are other tasks.
            ordered: in the order of ``effects`` instead of as they finish; a slow one holds up the
                drawing of more.
            download_to: a folder for the videos, named by their tasks' ids.

        Yields:
            A ``Done`` or a ``Failed`` for each effect. No error of one effect is raised.

        Raises:
            TypeError: something is no effect (a path, a ``str``, a ``dict``); at the call, or in
                the middle of a lazy source. What was submitted before goes on. Or ``run`` or
                ``download_to`` is of a wrong type.
            SettingsError: ``run`` is empty or cannot be written down.
        """
        _check_batch(run, download_to)
        bulk.check_effects(effects, taker="run_many")
        folder = None if download_to is None else Path(download_to)
        return bulk.outcomes(self._runtime(), effects, run=run, ordered=ordered, folder=folder)

    def submit_many(
        self, effects: Iterable[Effect] | AsyncIterable[Effect], *, run: str | None = None
    ) -> AsyncGenerator[EffectTask | Failed, None]:
        """Like ``run_many``, but yields each handle as soon as its task is accepted.

        Yields:
            An ``EffectTask``, or a ``Failed`` where there is no task.

        Raises:
            TypeError, SettingsError: as in ``run_many``.
        """
        _check_batch(run)
        bulk.check_effects(effects, taker="submit_many")
        return bulk.handles(self._runtime(), effects, run=run)

    def resume(
        self, *, download_to: str | os.PathLike[str] | None = None
    ) -> AsyncGenerator[Outcome, None]:
        """Finish all unfinished jobs that the journal holds of this account.

        Jobs that were only planned are submitted, uncertain submits are settled, accepted
        tasks are waited for. Yields each as it finishes; a failure is a ``Failed``.

        Args:
            download_to: a folder for the videos, also of tasks that had succeeded before.

        Raises:
            SettingsError: the client has no journal.
            JournalError: the journal cannot be used; says why.
        """
        if self._options.journal is None:
            raise SettingsError("resume() needs a journal: EffectsClient(..., journal='jobs.db')")
        _check_batch(None, download_to)
        folder = None if download_to is None else Path(download_to)
        return resumed(self._runtime(), folder)

    async def settle(
        self, external_task_id: str, *, resubmit: bool = False, abandon: bool = False
    ) -> Job:
        """Find out about an uncertain job, or write down what you decide about it.

        Without either decision its task is looked for, as after a lost answer: the job comes back
        accepted (``attach`` to it, or ``resume``), or planned, where it is proved that there is no
        task. A job that is not uncertain comes back as it is.

        Args:
            external_task_id: of a job of this account, in the journal or of this client.
            resubmit: it is planned again, and ``submit`` or ``resume`` sends it; if its task exists
                after all, both are charged.
            abandon: it is not wanted any more; a task that exists is not stopped, and is charged.

        Raises:
            SubmissionUncertainError: it cannot be found out; look for it in the service's own list.
            JobStateError: the decision makes no sense in the state that the job is in.
            JournalError: there is no such job, or the journal cannot be used.
            ValueError: both decisions.
        """
        if resubmit and abandon:
            raise ValueError("resubmit and abandon exclude each other: choose one")
        check_arguments(_SETTLE, locals())
        return await self._runtime().settle(external_task_id, resubmit=resubmit, abandon=abandon)

    async def look_up(self, external_task_id: str) -> Finding:
        """Look the task of an uncertain job up once, for a person who decides what comes next.

        ``settle`` looks twice and decides itself. Here a task that is found makes the job accepted,
        and a task that is not found leaves it uncertain.

        Args:
            external_task_id: of a job of this account, in the journal or of this client.

        Returns:
            The task as ``snapshot``. Without one, ``is_absent`` is true if the service did find
            another task by its external id: then the job was most likely never accepted.

        Raises:
            JobStateError: the job is not uncertain.
            JournalError: there is no such job, or the journal cannot be used.
            KlingEffectsError: the service did not answer.
        """
        check_arguments(_SETTLE, locals())
        return await self._runtime().look_up(external_task_id)

    def list_tasks(self, *, page: int = 1, page_size: int = 100) -> TaskListing:
        """The account's tasks: ``await`` it for one page, ``async for`` over it for all tasks.

        Args:
            page: the (first) page, 1 to 1000.
            page_size: tasks a page, 1 to 500.

        Raises:
            ValueError: a number is out of its range.
            TypeError: it is no whole number.
        """
        check_arguments(_PAGE, {"page": page, "page_size": page_size})
        build_list(self.service, page=page, page_size=page_size)
        return TaskListing(self._page, page=page, page_size=page_size)

    async def download(
        self,
        video: Video,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        max_bytes: int = MAX_VIDEO_BYTES,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Fetch a clip into a file; it appears under its name only when it is whole.

        A cut download goes on where it stopped, also in a later call. An expired address is
        renewed by asking the task once. If the task has just ended and its video is not there yet,
        it is asked for again for ``PollPolicy.result_grace_s``.

        Args:
            max_bytes: a larger clip is rejected, and one without an end stops there; by default
                1 GiB, several times what a clip of ten seconds can need. Batches use the default.
            on_progress: called with the bytes fetched so far and the bytes in all, if known.

        Returns:
            The path of the file.

        Raises:
            DownloadError: it could not be fetched whole, its address is malformed, it is larger
                than ``max_bytes``, the file exists already, or something that is no file is in its
                place or in that of ``<path>.part`` or ``<path>.part.json``.
            VideoExpiredError: the service no longer keeps it, or does not have it yet.
            TypeError: ``video`` is no ``Video``, or ``path`` no path.
            ValueError: ``max_bytes`` is below 1.
        """
        check_arguments(_DOWNLOAD, locals())
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be 1 or more, not {max_bytes}")
        return await self._runtime().delivery.download(
            video, Path(path), overwrite=overwrite, max_bytes=max_bytes, on_progress=on_progress
        )

    # -- inside

    def _runtime(self) -> Runtime:
        """The parts that live in the running loop, made on first use.

        Raises:
            RuntimeError: the client is closed, or open in another loop; says what to do.
        """
        if self._is_closed:
            raise RuntimeError("this client is closed; `async with client:` opens it again")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("an EffectsClient works inside a running event loop only") from None
        if self._opened is None:
            self._opened = Runtime(self._options)
        elif self._opened.loop.is_closed():
            if self._opened.owns_journal:
                raise RuntimeError(
                    "this client was left open when its event loop ended, and still owns its "
                    "journal; in each asyncio.run use `async with client:`, which closes it"
                )
            self._opened = Runtime(self._options)
        elif self._opened.loop is not loop:
            raise RuntimeError(
                "this client is open in another event loop; in each asyncio.run use "
                "`async with client:`, which closes it at the end, or a client of its own"
            )
        return self._opened

    async def _page(self, number: int, size: int) -> TaskPage:
        return await self._runtime().page(number, size)


def _check_journal(journal: object) -> None:
    """Reject what SQLite would take for a file that is gone once it is closed."""
    path = os.fspath(journal) if isinstance(journal, _PATH) else None
    if isinstance(path, bytes):
        raise TypeError("journal must be a path of text, not of bytes")
    if path == "":
        raise SettingsError("journal must name a file; without one leave it out")


def _check_batch(run: str | None, download_to: str | os.PathLike[str] | None = None) -> None:
    check_arguments(_BATCH, {"run": run, "download_to": download_to})
    check_name("run", run)


def _warn_of(advice: str | None) -> None:
    if advice is not None:
        # Up from here: submit, then its caller.
        warnings.warn(advice, UnknownSceneWarning, stacklevel=3)
