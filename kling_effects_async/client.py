"""``EffectsClient``: the one object an application holds."""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import warnings
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Iterable,
    Mapping,
)
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack, overload

from kling_effects_async import bulk, lookback
from kling_effects_async.arguments import (
    Kind,
    as_units,
    check_arguments,
    check_name,
    check_share,
)
from kling_effects_async.bulk_item import BulkItem
from kling_effects_async.client_options import ClientOptions, check_options
from kling_effects_async.clip_names import NameTemplate
from kling_effects_async.effects import Effect
from kling_effects_async.errors import KlingEffectsError, SettingsError
from kling_effects_async.estimate import Estimate
from kling_effects_async.event_hub import EventStream
from kling_effects_async.events import Event
from kling_effects_async.journal.job import Job, JobState
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.listing import TaskListing
from kling_effects_async.models import EffectResult, TaskPage, Video
from kling_effects_async.outcomes import Failed, Outcome
from kling_effects_async.policy import (
    MAX_VIDEO_BYTES,
    PollPolicy,
    RetryPolicy,
    SharePolicy,
    SlotPolicy,
    SubmitPolicy,
)
from kling_effects_async.polling.task import EffectTask
from kling_effects_async.protocol.redaction import without_arguments
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
    Credentials,
    Settings,
    check_receiver,
    default_service,
)
from kling_effects_async.stats import Budget, ClientStats
from kling_effects_async.submitting.account import account_name
from kling_effects_async.submitting.planning import random_id
from kling_effects_async.submitting.settling import Finding
from kling_effects_async.transport.clock import Clock, SystemClock
from kling_effects_async.transport.proxies import Proxies

if TYPE_CHECKING:
    import aiohttp

    from kling_effects_async.callbacks.receiver import CallbackReceiver
    from kling_effects_async.downloading.stream import VideoStream
    from kling_effects_async.downloading.writers import BinaryWriter
    from kling_effects_async.journal.sqlite.journal import Journal
    from kling_effects_async.telemetry.providers import Telemetry

__all__ = ["EffectsClient", "UnknownSceneWarning"]

_PATH = (str, os.PathLike)
_SHARE = {"share": Kind("a str such as 'user-17'", (str,))}
_BATCH = {
    **_SHARE,
    "run": Kind("a str", (str,)),
    "download_to": Kind("the path of a folder (a str or os.PathLike)", _PATH),
    "name": Kind("a str such as '{stem}-{scene}'", (str,)),
}
_DOWNLOAD = {
    "video": Kind(
        "a Video, such as the video of a result: (await task).video", (Video,), is_optional=False
    ),
    "target": Kind(
        "a path (a str or os.PathLike), or a binary file or writer (with a write method)",
        _PATH,
        has=("write",),
        is_optional=False,
    ),
    "max_bytes": Kind("a whole number of bytes", (int,), is_optional=False),
    "on_progress": Kind("a plain function of two numbers of bytes", has=("__call__",)),
}
_SETTLE = {
    "external_task_id": Kind("a str", (str,), is_optional=False),
    # A text such as "no" is true, and would pay a second time.
    "resubmit": Kind("True or False", (bool,), is_optional=False),
    "abandon": Kind("True or False", (bool,), is_optional=False),
}
_JOBS = {"run": Kind("a str", (str,)), "scene": Kind("a str", (str,))}
_EVENTS = {"max_waiting": Kind("a whole number", (int,), is_optional=False)}
_PAGE = {name: Kind("a whole number", (int,), is_optional=False) for name in ("page", "page_size")}


class UnknownSceneWarning(UserWarning):
    """A scene is in no known list, or no longer in the newest; it is sent all the same.

    Scenes appear each week, so a list here cannot be complete. Check the spelling; the message
    shows similar names.
    """


class EffectsClient:
    """Submits effects to one account at one service, polls their tasks, and downloads the clips.

    ::

        async with EffectsClient.from_env() as client:
            result = await client.run(SingleImageEffect("squish", image=Path("cat.jpg")))
            await client.download(result.video, "squished.mp4")

    Nothing is connected before the first call. One client serves any number of coroutines of one
    event loop; after ``aclose`` (or the end of ``async with``) it may be opened again, in another
    loop as well.

    Args:
        credentials: a ``BearerToken`` or ``AccessKeys``.
        service: the server; by default Kling for access keys and for Kling's own API keys
            (``api-key-kling-...``, which are sent to Kling alone), and V-API for any other token.
        journal: a file (or an opened ``Journal``) that keeps every job, so that a crash neither
            loses a paid task nor pays for it again. Without one the same rules hold while the
            client lives, for all open jobs and the last 10,000 that ended.
        account: the account's name in the journal; by default made from the service and the key.
            Name it yourself if keys are rotated: under a new key the default is a new account, and
            jobs that the journal holds under the old one raise ``AccountChangedError`` instead of
            being paid again.
        budget_units: in the service's units; submits that could take the account's jobs past it
            are rejected. Whatever may be charged counts: jobs in the journal, running tasks, and
            uncertain jobs.
        poll: when a task is polled, and when a wait ends.
        retry: how often and how long one request is tried.
        slots: how the account's limit of parallel tasks is found.
        shares: who gets a slot where several wait for one: weights, and a limit for each share.
        submit: what to do about a submit whose answer was lost, or whose id is taken.
        session: your own aiohttp session for the API (a TLS context, traces); never closed here.
            Its Authorization, netrc's included, is replaced by ours. Downloads do not use it.
        proxy: ``http://user:password@host:port``, for the API and for downloads. No message shows
            its password.
        trust_env: use the proxies that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``ALL_PROXY`` name, as
            curl and pip do, except for this machine itself. Hosts in ``NO_PROXY`` are reached
            without, also where ``proxy`` is given. Nothing else is read: no netrc.
        on_event: called with each ``Event`` as it happens, in the event loop: it must return at
            once. What it raises harms no job; it is logged once for each class of event. See also
            ``events``.
        telemetry: a ``Telemetry``, for traces and metrics through OpenTelemetry; see
            ``docs/monitoring.md``.
        callbacks: takes the service's messages about this client's tasks. A rightly signed one ends
            a wait at once, any other only makes the client poll; while they come, tasks are polled
            rarely. Their address has a part that nobody can guess; a journal keeps it, so that a
            restart is reached by the tasks of the process before it.
        clock: replaces time, for tests: see ``kling_effects_async.testing``.
        rng: a source of numbers in [0, 1) for pauses, for tests.

    Raises:
        TypeError: an argument is of a wrong type; the message names it and what it must be.
        SettingsError: ``account`` is empty, ``budget_units`` is no number of 0 or more, the key is
            Kling's own and the service is not, or ``proxy``, or a variable of the environment that
            would be used for the service, names no proxy, or one that does not speak HTTP (SOCKS).
            The message states what to correct.
    """

    @without_arguments  # a proxy's address may hold a password
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
        shares: SharePolicy | None = None,
        submit: SubmitPolicy | None = None,
        session: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        on_event: Callable[[Event], object] | None = None,
        telemetry: Telemetry | None = None,
        callbacks: CallbackReceiver | None = None,
        clock: Clock | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        check_options(locals())
        if service is None:
            service = default_service(credentials)
        check_receiver(credentials, service)
        proxies = Proxies.of(proxy, os.environ if trust_env else {})
        proxies.proxy_for(service.base_url)  # so that a proxy that cannot be used fails here
        self._options = Options(
            service=service,
            credentials=credentials,
            account=account_name(service, credentials) if account is None else account,
            journal=journal,
            store=MemoryStore(),  # here, so that its jobs are kept when the client is opened again
            budget_units=as_units("budget_units", budget_units),
            poll=poll or PollPolicy(),
            retry=retry or RetryPolicy(),
            slots=slots or SlotPolicy(),
            shares=shares or SharePolicy(),
            submit=submit or SubmitPolicy(),
            session=session,
            proxies=proxies,
            on_event=on_event,
            telemetry=telemetry,
            callbacks=callbacks,
            clock=clock or SystemClock(),
            rng=rng,
        )
        self._opened: Runtime | None = None
        self._is_closed = False

    @classmethod
    @without_arguments
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
            SettingsError: a key is missing, or is Kling's own and the service is not; the message
                names the variables and what to set.
            TypeError: an option is unknown or of a wrong type; the message names it.
        """
        settings = Settings.from_env(os.environ if environ is None else environ)
        return cls(settings.credentials, service=service or settings.service, **options)

    @property
    def service(self) -> Service:
        """The service that this client calls."""
        return self._options.service

    @property
    def account(self) -> str:
        """The account's name in the journal."""
        return self._options.account

    def stats(self) -> ClientStats:
        """How many tasks run, how many submits wait, and why, at this moment; no request is made.

        What was spent is in the journal, and so ``budget`` has it.
        """
        if self._opened is None:
            return ClientStats(slots=self._options.slots.start)
        return self._opened.stats()

    def events(self, *, max_waiting: int = 1000) -> EventStream:
        """What happens to jobs, tasks and slots from this call on, to iterate over.

        ::

            async for event in client.events():
                await browser.send(str(event))

        Each call is a stream of its own. It ends once the client is closed.

        Args:
            max_waiting: how many events wait for a slow reader; then the oldest are dropped, and
                counted in the stream's ``dropped``.

        Raises:
            ValueError: ``max_waiting`` is below 1.
            TypeError: it is no whole number.
            RuntimeError: the client is closed, or open in another event loop.
        """
        check_arguments(_EVENTS, {"max_waiting": max_waiting})
        if max_waiting < 1:
            raise ValueError(f"max_waiting must be 1 or more, not {max_waiting}")
        return self._runtime().events.stream(max_waiting)

    def __repr__(self) -> str:
        # Reports show the locals of a constructor that failed, and so a client that was not made.
        is_made = hasattr(self, "_options")
        return f"<EffectsClient of {self.service.name}>" if is_made else "<EffectsClient, not made>"

    async def __aenter__(self) -> Self:
        self._is_closed = False
        runtime = self._runtime()
        try:
            if self._options.journal is not None:
                await runtime.account()  # so that a journal that cannot be used fails here
        except BaseException:
            await self.aclose()  # Python calls no __aexit__ of a block that was not entered
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def drain(self) -> None:
        """Send no new submits from now on, and let all that was sent come to its end.

        For a service that is told to stop: submits that wait for a slot raise
        ``ClientDrainingError``, as does every later one; ``run_many``, ``submit_many`` and
        ``resume`` take no more from their sources, and end once what runs has ended. Waits and
        downloads go on. Planned jobs stay in the journal.

        It cannot be taken back; a client that is closed and opened again sends as before.

        Raises:
            RuntimeError: the client is open in another event loop.
        """
        self._runtime().drain()

    async def aclose(self) -> None:
        """End every open wait with ``ClientClosedError``, and close everything.

        No task of the loop, socket or thread is left, but for the thread of a ``write`` of your own
        that hangs (see ``download``). A second call does nothing.
        """
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
        share: str | None = None,
    ) -> EffectTask:
        """Submit one effect, and return its task as soon as the service accepted it.

        The task has an external id, by which it can be found again; without yours it is a random
        one. The images are checked first. A request that surely did not arrive, or was rejected for
        now, is sent again; where an answer was lost, the task is looked up by its external id. The
        same effect under the same external id again gives the same task, paid once. If all slots of
        the account are taken, this waits for one. A submit that is cancelled while it is sent goes
        on by itself until its outcome is written down.

        Args:
            external_task_id: your id of the task, unique in your account: 1 to 128 of the
                characters ``A-Z a-z 0-9 . _ : @ ~ = + -``.
            callback_url: an http(s) address to which the service sends changes, instead of that of
                the client's ``callbacks``; the task is polled as without.
            share: whose it is, such as a user: slots are given in turn to the shares that wait, so
                that none waits for all that another has submitted before. 1 to 128 printable
                characters; see ``SharePolicy``. Calls without one are one share. Where the same job
                was submitted before, the share of this call counts from now on in this process,
                and that of the call before where this one has none. A journal keeps the first, for
                ``resume``. If another call waits for a slot for this job, this one waits for that.

        Raises:
            EffectRejectedError, ImageRejectedError: nothing was sent; the message states what to
                change.
            ImageUnreadableError: this machine could not read an image's file for 30 s; nothing was
                sent, and the same call again is safe.
            IdempotencyConflictError: the external id belongs to another effect; nothing was sent:
                choose another id.
            ExternalIdTakenError: the service has a task under the external id that was not
                submitted from here; nothing was created: ``attach`` to it, or choose another id.
            AccountChangedError: the journal holds the job under another account; nothing was sent:
                pass ``account=``.
            BudgetExceededError, JournalError: nothing was sent; the message states what to do.
            ClientDrainingError: nothing was sent, because of ``drain``.
            SubmissionUncertainError: the answer was lost; look the task up before you submit again.
            ApiError: rejected, nothing was created; the class shows what to do.
            TransportError: no request arrived, after all tries of ``RetryPolicy``: try later.
            ClientClosedError: the client was closed meanwhile.
            SettingsError: ``share`` cannot be the name of a share.
            TypeError: an argument is of a wrong type.
        """
        _check_share(share)
        runtime = self._runtime()
        is_named = external_task_id is not None
        id_or_random = random_id() if external_task_id is None else external_task_id
        # For its checks alone: what cannot be sent is rejected before an image is read.
        build_submit(self.service, effect, external_task_id=id_or_random, callback_url=callback_url)
        _warn_of(scene_advice(self.service, effect.scene))
        prepared = await runtime.prepare(
            effect,
            id_or_random,
            callback_url=callback_url,
            share=share,
            with_hashes=is_named,
        )
        try:
            return runtime.effect_task(await runtime.submit(prepared))
        except KlingEffectsError:
            if not is_named:  # no caller has its random id, so no call can go on with it
                await runtime.abandon(prepared.job)
            raise
        except asyncio.CancelledError:
            if not is_named:
                runtime.abandon(prepared.job)  # not awaited: a cancelled call returns at once
            raise

    async def run(
        self,
        effect: Effect,
        *,
        external_task_id: str | None = None,
        callback_url: str | None = None,
        share: str | None = None,
    ) -> EffectResult:
        """``submit``, then wait for the result: its clips, and what it cost.

        If this is cancelled, the task goes on; its id is in a note of the ``CancelledError`` and in
        the log. Pass your own ``external_task_id`` to find the task in every case.

        Raises:
            KlingEffectsError: what ``submit`` and ``EffectTask.result`` raise.
        """
        task = await self.submit(
            effect, external_task_id=external_task_id, callback_url=callback_url, share=share
        )
        try:
            return await task
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(
                f"task {task.task_id} goes on at the service: attach({task.task_id!r})"
            )
            raise

    def queue_position(self, external_task_id: str) -> int | None:
        """How many slots are given until a submit has one, its own included; no request is made.

        For telling users where they stand: pass your own ``external_task_id`` to ``submit`` or
        ``run``, and ask by it while the call waits. Exact as long as nobody comes or leaves, tasks
        end in the order in which they got their slots and the number of slots stays; otherwise an
        estimate. A newcomer of another share may come before it, so it may grow.

        The first call after somebody came, left or got a slot takes about 15 us for each submit
        that waits (15 ms for a thousand), further calls about 1 us. So ask for all users in one go,
        without an ``await`` between, such as once a second.

        Args:
            external_task_id: the id that the submit was given, or ``derived_id(effect, salt=run)``
                for an effect of ``run_many``.

        Returns:
            1 for the next to get a slot. ``None`` if it waits for none: it is still prepared, is
            being sent, has a task, has ended, is one that ``resume`` has not drawn yet, or is not
            known here.

        Raises:
            TypeError: the id is no ``str``.
        """
        check_arguments(_SETTLE, {"external_task_id": external_task_id})
        return None if self._opened is None else self._opened.queue_position(external_task_id)

    def attach(
        self, task_id: str | None = None, *, external_task_id: str | None = None
    ) -> EffectTask:
        """The task that exists under one of the two ids; no request is made before it is awaited.

        Then the journal is read first: an end that it has is final, and needs no request. A task
        that is neither in the journal nor at the service raises ``TaskNotFoundError`` after
        ``PollPolicy.attached_grace_s``.

        Args:
            task_id: the service's id.
            external_task_id: the id it was submitted with.

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
        return runtime.attached_task(runtime.poller.track(task_id, external_task_id))

    def run_many(
        self,
        effects: Iterable[Effect | BulkItem] | AsyncIterable[Effect | BulkItem],
        *,
        run: str | None = None,
        ordered: bool = False,
        download_to: str | os.PathLike[str] | None = None,
        name: str | None = None,
        share: str | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """Run many effects, as many at once as the account has slots; yield the outcome of each.

        A lazy source is drawn a few effects ahead of the free slots. Each effect has an external id
        made from the run's name, its scene, options and images, so that the same batch run again
        submits nothing twice, and the same effect twice in one batch is one task. Leaving the
        iteration cancels effects that are not submitted; submitted tasks go on, and a journal keeps
        them. Put ``contextlib.aclosing`` around the iterator to have that done at once after a
        ``break``.

        Args:
            effects: effects, or a ``BulkItem`` where one has its own id, share or name.
            run: the run's name; the same effects in another run are other tasks.
            ordered: in the order of ``effects`` instead of as they finish; a slow task then delays
                the drawing of more.
            download_to: a folder for the clips, named by their tasks' ids.
            name: how they are named instead, such as ``"{stem}-{scene}"``: ``cat.jpg`` becomes
                ``cat-squish.mp4``. Fields: ``{stem}`` (of the image's file or URL, ``left-right``
                of two, and the external id of bytes), ``{scene}``, ``{index}`` (the place among
                ``effects``, from 1; ``{index:04}`` pads it), ``{external_task_id}`` and
                ``{task_id}``. In the order of ``effects``, a name that a clip of another job has in
                the folder gets a number: ``cat-squish-2.mp4``. A job keeps the name that its
                journal has, in later runs and in ``resume`` too. What Windows allows in no file's
                name becomes ``_``.
            share: as in ``submit``, of all of them.

        Yields:
            A ``Done`` or a ``Failed`` for each effect. An error of one effect is in its ``Failed``,
            and is not raised; a file that has a clip's name and is not the clip is one
            (``DownloadError``, before the effect is sent where it is there by then).

        Raises:
            TypeError: something is no effect (a path, a ``str``, a ``dict``); at the call, or when
                a lazy source yields it, and then submitted tasks go on. Or ``run``,
                ``download_to``, ``name`` or ``share`` is of a wrong type.
            SettingsError: ``run`` is empty, or has characters that cannot be written to a file;
                ``share`` cannot be the name of a share; or no file can have such a ``name``, it has
                an unknown field, or there is no ``download_to``.
            JournalError, ClientClosedError: at the first step of the iteration.
        """
        _check_batch(run, download_to, share, name)
        template = None if name is None else NameTemplate.read(name)
        bulk.check_effects(effects, call="run_many")
        folder = None if download_to is None else Path(download_to)
        return bulk.outcomes(
            self._runtime(),
            effects,
            run=run,
            ordered=ordered,
            folder=folder,
            name=template,
            share=share,
        )

    def submit_many(
        self,
        effects: Iterable[Effect | BulkItem] | AsyncIterable[Effect | BulkItem],
        *,
        run: str | None = None,
        share: str | None = None,
    ) -> AsyncGenerator[EffectTask | Failed, None]:
        """Like ``run_many``, but yields each task as soon as it is accepted.

        Yields:
            An ``EffectTask``, or a ``Failed`` where there is no task.

        Raises:
            TypeError, SettingsError: as in ``run_many``.
        """
        _check_batch(run, share=share)
        bulk.check_effects(effects, call="submit_many")
        return bulk.tasks(self._runtime(), effects, run=run, share=share)

    def resume(
        self, *, download_to: str | os.PathLike[str] | None = None
    ) -> AsyncGenerator[Outcome, None]:
        """Finish all unfinished jobs that the journal holds of this account.

        Tasks that run are followed first. Then uncertain jobs are settled, planned ones submitted,
        and missing clips downloaded, beside each other. Slots go in turn to the shares of planned
        jobs; within a share, the oldest comes first. Twice as many as there are slots are in
        memory, and of all others their numbers: 8 bytes each, and some hundred bytes for each
        share. Jobs that are added after the first step of the iteration are not among them.

        Args:
            download_to: a folder for the clips, also of tasks that had succeeded before. A clip
                has the name that its run gave it, and in another folder than the run's a number
                where it is taken there; without one it is named by its task's id.

        Yields:
            A ``Done`` or a ``Failed`` for each job, as they finish.

        Raises:
            SettingsError: the client has no journal.
            ClientClosedError: the client was closed meanwhile.
            JournalError: the journal cannot be used; the message states why.
            TypeError: ``download_to`` is no path.
        """
        if self._options.journal is None:
            raise SettingsError("resume() needs a journal: EffectsClient(..., journal='jobs.db')")
        _check_batch(None, download_to)
        folder = None if download_to is None else Path(download_to)
        return resumed(self._runtime(), folder)

    async def settle(
        self, external_task_id: str, *, resubmit: bool = False, abandon: bool = False
    ) -> Job:
        """Find out whether an uncertain job has a task, or record your decision about it.

        Without a decision its task is looked up, as after a lost answer.

        Args:
            external_task_id: of a job of this account, in the journal or of this client.
            resubmit: the job is planned again, and ``submit`` or ``resume`` sends it; if its task
                exists after all, both are charged.
            abandon: the job is not wanted any more; a task that exists is not stopped, and is
                charged. Its external id cannot be used again.

        Returns:
            The job as it is now: accepted (``attach`` to it, or ``resume``), or planned, where it
            is proved that there is no task. A job that was not uncertain is returned unchanged.

        Raises:
            SubmissionUncertainError: it cannot be found out; search the service's own list, then
                decide.
            JobStateError: the decision does not fit the state that the job is in.
            JournalError: there is no such job, or the journal cannot be used.
            ValueError: both decisions are passed: choose one.
            TypeError: an argument is of a wrong type; both decisions are True or False.
        """
        check_arguments(_SETTLE, locals())
        if resubmit and abandon:
            raise ValueError("resubmit and abandon exclude each other: choose one")
        return await self._runtime().settle(external_task_id, resubmit=resubmit, abandon=abandon)

    def jobs(
        self,
        *,
        states: Iterable[JobState] | None = None,
        run: str | None = None,
        scene: str | None = None,
    ) -> AsyncGenerator[Job, None]:
        """Go through this account's jobs, oldest first; no request is made.

        Without a journal these are all open jobs of this client, and the last 10,000 that ended.

        Args:
            states: only jobs in one of these, such as ``{JobState.UNCERTAIN}``.
            run: only those of this run.
            scene: only those of this scene.

        Raises:
            JournalError, ClientClosedError: at the first step of the iteration.
            TypeError: an argument is of a wrong type.
        """
        check_arguments(_JOBS, {"run": run, "scene": scene})
        chosen = None if states is None else _chosen(states)
        return lookback.jobs(self._runtime(), states=chosen, run=run, scene=scene)

    async def job(self, external_task_id: str) -> Job | None:
        """This account's job under an external id; ``None`` if there is none.

        No request is made: its ``state`` is what the journal, or this client, has of it, and its
        ``message`` says why it stands there.

        Raises:
            JournalError: the journal cannot be used.
            TypeError: the id is no ``str``.
        """
        check_arguments(_SETTLE, {"external_task_id": external_task_id})
        return await lookback.job(self._runtime(), external_task_id)

    async def budget(self) -> Budget:
        """What this account's jobs cost so far and may still cost; no request is made.

        Raises:
            JournalError: the journal cannot be used.
        """
        return await lookback.budget(self._runtime())

    async def estimate(self, scenes: Mapping[str, int]) -> Estimate:
        """What tasks are likely to cost, and how long they are likely to take; nothing is sent.

        ::

            estimate = await client.estimate({"squish": 300})
            print(estimate.units, estimate.seconds)

        Args:
            scenes: how many tasks of each scene are meant.

        Raises:
            JournalError: the journal cannot be used.
            TypeError: it is no mapping of names to whole numbers.
            ValueError: a number is below 0.
        """
        _check_scenes(scenes)
        return await lookback.estimate(self._runtime(), scenes)

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

        Source: Kling's effects page, 2026-09 (``pageNum``, ``pageSize``).
        """
        check_arguments(_PAGE, {"page": page, "page_size": page_size})
        build_list(self.service, page=page, page_size=page_size)
        return TaskListing(self._page, page=page, page_size=page_size)

    @overload
    async def download(
        self,
        video: Video,
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        max_bytes: int = MAX_VIDEO_BYTES,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> Path: ...

    @overload
    async def download(
        self,
        video: Video,
        target: BinaryWriter,
        *,
        max_bytes: int = MAX_VIDEO_BYTES,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> int: ...

    async def download(
        self,
        video: Video,
        target: str | os.PathLike[str] | BinaryWriter,
        *,
        overwrite: bool = False,
        max_bytes: int = MAX_VIDEO_BYTES,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> Path | int:
        """Download a clip to a file, which appears under its name only when it is whole.

        Or write it to an open binary file, or to an asynchronous writer, as it comes. There an
        error can follow bytes that are written already, and only a server with a strong ETag is
        asked for the rest after a break. All checks are those of ``open_video``.

        A download that is cut goes on where it stopped, also in a later call. For an expired
        address the task is queried once, which gives a fresh one. If the task has just ended and
        its clip is not there yet, it is requested again for ``PollPolicy.result_grace_s``.

        Args:
            video: such as ``(await task).video``.
            target: the path of the file, whose missing folders are made. Or an object with
                ``write(bytes)``: where that is ``async def``, it is awaited; where ``drain`` is, as
                of an ``asyncio.StreamWriter``, ``write`` is called in the loop and ``drain``
                awaited; in all other cases ``write`` is called in a thread, as of a ``BytesIO``. It
                stays open. What it raises is raised here. The rest of what it did not take, by the
                whole number that it returns, is written next. A cancelled call waits for a thread,
                but at most 5 s for one that hangs: up to 384 KiB may be written after that.
            overwrite: replace a file of this name; for paths alone.
            max_bytes: the limit of the clip's size, which a server that sends without an end
                reaches too; by default 1 GiB, several times what a clip of ten seconds can need.
                Batches use the default.
            on_progress: a plain function, called with the bytes downloaded so far and the bytes in
                all, ``None`` if not known.

        Returns:
            The path of the file, or the number of bytes written to the object.

        Raises:
            DownloadError: it could not be downloaded whole (the same call goes on where it
                stopped), its address is malformed, it is larger than ``max_bytes``, the file exists
                already (pass ``overwrite=True``), or something that is no file has its name or that
                of ``<path>.part`` or ``<path>.part.json``.
            VideoExpiredError: the service no longer keeps it, or does not have it yet.
            ClientClosedError: the client was closed meanwhile.
            TypeError: ``video`` is no ``Video``, ``target`` neither a path nor a binary writer,
                ``on_progress`` no plain function, or ``write`` returned a float.
            ValueError: ``max_bytes`` is below 1.
        """
        check_arguments(_DOWNLOAD, locals())
        if inspect.iscoroutinefunction(on_progress):
            raise TypeError(
                "on_progress must be a plain function of two numbers of bytes, not a coroutine "
                "function, whose coroutines nobody would await"
            )
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be 1 or more, not {max_bytes}")
        delivery = self._runtime().delivery
        if isinstance(target, (str, os.PathLike)):
            return await delivery.download(
                video,
                Path(target),
                overwrite=overwrite,
                max_bytes=max_bytes,
                on_progress=on_progress,
            )
        if overwrite:
            raise TypeError("overwrite=True is for a path; a file or writer is written to as it is")
        return await delivery.write(video, target, max_bytes=max_bytes, on_progress=on_progress)

    def open_video(
        self, video: Video, *, max_bytes: int = MAX_VIDEO_BYTES
    ) -> AbstractAsyncContextManager[VideoStream]:
        """Read a clip while it comes, to send it on: ``async with``, and ``async for`` inside.

        The block begins once the first bytes are there and begin like an MP4; until then an expired
        address is renewed and passing failures are retried, as for a file. Nothing is read far
        ahead of the consumer, whose time does not count as the server's. Leaving the block closes
        the connection.

        Checked as for a file: the addresses and redirects, TLS, the content type, ``max_bytes``,
        the least speed, the size that the server announced, and the boxes of the MP4 to its last
        byte. After a break the rest is requested if the server has a strong ETag; the stream has no
        gap then. What a stream cannot have: bytes that were handed on cannot be taken back, so an
        error can come after them, and whoever sends them on must be able to break off.

        Args:
            video: such as ``(await task).video``.
            max_bytes: the limit of the clip's size, as of ``download``.

        Returns:
            A context manager of a ``VideoStream``.

        Raises:
            TypeError, ValueError: as ``download``, at the call. All others when the block is
                entered or the stream is read:
            DownloadError: the clip did not come whole, or is larger than ``max_bytes``.
            VideoExpiredError: the service no longer keeps it, or does not have it yet.
            ClientClosedError: the client was closed meanwhile.
        """
        check_arguments(_DOWNLOAD, {"video": video, "max_bytes": max_bytes})
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be 1 or more, not {max_bytes}")
        return self._runtime().delivery.open_video(video, max_bytes=max_bytes)

    # -- inside

    def _runtime(self) -> Runtime:
        """What belongs to the running loop, made at the first use.

        Raises:
            RuntimeError: the client is closed, or open in another loop; the message states what to
                do.
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


def _chosen(states: object) -> tuple[JobState, ...]:
    """All of them: an iterator would be empty for whoever reads it next."""
    if isinstance(states, Iterable) and not isinstance(states, str):
        given = tuple(states)
        chosen = tuple(state for state in given if isinstance(state, JobState))
        if len(chosen) == len(given):
            return chosen
    raise TypeError("states must be a collection of JobState, such as {JobState.UNCERTAIN}")


def _check_scenes(scenes: object) -> None:
    is_mapping = isinstance(scenes, Mapping) and all(
        isinstance(scene, str) and isinstance(tasks, int) for scene, tasks in scenes.items()
    )
    if not isinstance(scenes, Mapping) or not is_mapping:
        raise TypeError('scenes must be numbers of tasks by scene, such as {"squish": 300}')
    for scene, tasks in scenes.items():
        if tasks < 0:
            raise ValueError(f"there cannot be {tasks} tasks of {scene!r}")


def _check_batch(
    run: str | None,
    download_to: str | os.PathLike[str] | None = None,
    share: str | None = None,
    name: str | None = None,
) -> None:
    given = {"run": run, "download_to": download_to, "share": share, "name": name}
    check_arguments(_BATCH, given)
    if name is not None and download_to is None:
        raise SettingsError("name is for clips that are downloaded: pass download_to=folder too")
    check_name("run", run)
    check_share("share", share)


def _check_share(share: str | None) -> None:
    check_arguments(_SHARE, {"share": share})
    check_share("share", share)


def _warn_of(advice: str | None) -> None:
    if advice is not None:
        # 1 is this line, 2 is submit, 3 is the caller's line, which has the scene's name.
        warnings.warn(advice, UnknownSceneWarning, stacklevel=3)
