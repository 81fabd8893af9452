"""``EffectsClient``: the one object an application holds."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from kling_effects_async.effects import Effect
from kling_effects_async.errors import KlingEffectsError, VideoExpiredError
from kling_effects_async.images import check_image
from kling_effects_async.models import EffectResult, TaskPage, TaskSnapshot, Video
from kling_effects_async.policy import PollPolicy, RetryPolicy
from kling_effects_async.protocol.messages import Reply, Request
from kling_effects_async.protocol.requests import (
    build_list,
    build_lookup,
    build_query,
    build_submit,
    check_external_task_id,
    scene_advice,
)
from kling_effects_async.protocol.services import Service
from kling_effects_async.protocol.task_body import read_page, read_submitted, read_task
from kling_effects_async.settings import Credentials, Settings, default_service
from kling_effects_async.spending.submission import Outcome, outcome_of, uncertain
from kling_effects_async.transport.clock import Clock, SystemClock, sleep
from kling_effects_async.transport.download import Downloader
from kling_effects_async.transport.session import Session
from kling_effects_async.waiting.task import EffectTask
from kling_effects_async.waiting.tracker import Tracker, Watch

if TYPE_CHECKING:
    import aiohttp

__all__ = ["EffectsClient", "TaskListing", "UnknownSceneWarning"]


class UnknownSceneWarning(UserWarning):
    """A scene is in no known list, or no longer in the newest; it was sent all the same."""


@frozen
class _Engine:
    """What lives in one event loop and ends with it."""

    loop: asyncio.AbstractEventLoop
    session: Session
    tracker: Tracker
    downloader: Downloader

    async def aclose(self) -> None:
        await self.tracker.aclose()
        await self.downloader.aclose()
        await self.session.aclose()


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
        service: whom to ask; by default V-API for a bearer token and Kling for access keys.
        poll: how patiently to wait for tasks.
        retry: how each request is tried.
        session: your own aiohttp session for the API (a proxy, a TLS context); never closed here.
        clock: replaces time, for tests.
        rng: a source of numbers in [0, 1) for pauses, for tests.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        service: Service | None = None,
        poll: PollPolicy | None = None,
        retry: RetryPolicy | None = None,
        session: aiohttp.ClientSession | None = None,
        clock: Clock | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.service: Service = service or default_service(credentials)
        self._credentials = credentials
        self._poll = poll or PollPolicy()
        self._retry = retry or RetryPolicy()
        self._borrowed = session
        self._clock = clock or SystemClock()
        self._rng = rng
        self._opened: _Engine | None = None
        self._is_closed = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """A client from ``KLING_API_KEY``, or ``KLING_ACCESS_KEY`` and ``KLING_SECRET_KEY``.

        Args:
            environ: another mapping than the process's environment.
            options: the other arguments of ``EffectsClient``.

        Raises:
            SettingsError: a key is missing; the message names the variables.
        """
        settings = Settings.from_env(os.environ if environ is None else environ)
        options.setdefault("service", settings.service)
        return cls(settings.credentials, **options)

    def __repr__(self) -> str:
        return f"<EffectsClient of {self.service.name}>"

    async def __aenter__(self) -> Self:
        self._is_closed = False
        self._engine()
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
        engine, self._opened = self._opened, None
        if engine is not None:
            await engine.aclose()

    # -- tasks

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
        refused for now, is sent again; what may have been accepted never is.

        Args:
            external_task_id: your id of the task, unique in your account.
            callback_url: where the service reports changes; a hint, never a proof.

        Raises:
            EffectRejectedError, ImageRejectedError: nothing was sent; says what to change.
            SubmissionUncertainError: the answer was lost; look before you submit again.
            ApiError: refused, nothing was created; see its class for what to do.
            TransportError: nothing arrived, after the usual tries.
        """
        engine = self._engine()
        external_task_id = external_task_id or f"kea-{uuid.uuid4().hex}"
        request = build_submit(
            self.service, effect, external_task_id=external_task_id, callback_url=callback_url
        )
        _warn_of(scene_advice(self.service, effect.scene))
        for image in effect.images:
            if not isinstance(image, str):
                await asyncio.to_thread(check_image, image)
        snapshot = await self._submit_once(engine, effect.scene, external_task_id, request)
        watch = engine.tracker.watch(snapshot.task_id, external_task_id)
        engine.tracker.learn(watch, snapshot)
        return self._handle(engine, watch)

    async def run(
        self,
        effect: Effect,
        *,
        external_task_id: str | None = None,
        callback_url: str | None = None,
    ) -> EffectResult:
        """``submit``, then wait for the result; raises what the two of them raise."""
        task = await self.submit(
            effect, external_task_id=external_task_id, callback_url=callback_url
        )
        return await task

    def attach(
        self, task_id: str | None = None, *, external_task_id: str | None = None
    ) -> EffectTask:
        """The handle of a task that exists already; nothing is asked before it is awaited.

        Raises:
            ValueError: neither or both ids are given.
            EffectRejectedError: the external id cannot be one of a task.
        """
        if (task_id is None) == (external_task_id is None):
            raise ValueError("attach() takes a task_id or an external_task_id, one of the two")
        if external_task_id is not None:
            check_external_task_id(external_task_id)
        engine = self._engine()
        return self._handle(engine, engine.tracker.watch(task_id, external_task_id))

    def list_tasks(self, *, page: int = 1, page_size: int = 100) -> TaskListing:
        """The account's tasks: ``await`` it for one page, ``async for`` over it for all tasks.

        Args:
            page: the (first) page, 1 to 1000.
            page_size: tasks a page, 1 to 500.

        Raises:
            ValueError: a number is out of its range.
        """
        build_list(self.service, page=page, page_size=page_size)
        return TaskListing(self._page, page=page, page_size=page_size)

    async def download(
        self,
        video: Video,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        on_progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Fetch a clip into a file; it appears under its name only when it is whole.

        A cut download goes on where it stopped, also in a later call. An expired address is
        renewed by asking the task once.

        Args:
            on_progress: called with the bytes fetched so far and the bytes in all, if known.

        Returns:
            The path of the file.

        Raises:
            DownloadError: it could not be fetched whole, or the file exists already.
            VideoExpiredError: the service no longer keeps it.
        """
        engine = self._engine()

        async def fetch(url: str) -> Path:
            return await engine.downloader.download(
                url, Path(path), overwrite=overwrite, on_progress=on_progress
            )

        try:
            return await fetch(video.url)
        except VideoExpiredError:
            fresh_url = await self._fresh_url(video)
            if fresh_url is None:
                raise
        return await fetch(fresh_url)

    # -- inside

    def _engine(self) -> _Engine:
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
            self._opened = self._made_engine(loop)
        elif self._opened.loop is not loop:
            raise RuntimeError(
                "this client is open in another event loop; in each asyncio.run use "
                "`async with client:`, which closes it at the end, or a client of its own"
            )
        return self._opened

    def _made_engine(self, loop: asyncio.AbstractEventLoop) -> _Engine:
        session = Session(
            self.service,
            self._credentials,
            retry=self._retry,
            clock=self._clock,
            random=self._rng,
            borrowed=self._borrowed,
        )

        async def fetch(watch: Watch) -> TaskSnapshot:
            request, read = self._question(watch)
            return await session.ask_once(request, read)

        tracker = Tracker(fetch, policy=self._poll, clock=self._clock, random=self._rng)
        origin = self.service.base_url if self.service.base_url.startswith("http://") else None
        downloader = Downloader(clock=self._clock, allowed_origin=origin)
        return _Engine(loop, session, tracker, downloader)

    def _handle(self, engine: _Engine, watch: Watch) -> EffectTask:
        async def ask(watch: Watch) -> TaskSnapshot:
            self._engine()  # a handle of a closed client says so
            return await engine.session.ask(*self._question(watch))

        return EffectTask(watch, engine.tracker, ask)

    def _question(self, watch: Watch) -> tuple[Request, Callable[[Reply], TaskSnapshot]]:
        if watch.task_id is not None:
            asked = watch.task_id
            request = build_query(self.service, asked)
        else:
            asked = watch.external_task_id or ""
            request = build_lookup(self.service, asked)
        return request, lambda reply: read_task(reply, asked=asked)

    async def _page(self, page: int, page_size: int) -> TaskPage:
        request = build_list(self.service, page=page, page_size=page_size)
        return await self._engine().session.ask(
            request, lambda reply: read_page(reply, page=page, page_size=page_size)
        )

    async def _fresh_url(self, video: Video) -> str | None:
        if video.task_id is None:
            return None
        snapshot = await self.attach(video.task_id).refresh()
        same = [fresh for fresh in snapshot.videos if fresh.id == video.id]
        return same[0].url if same else None

    async def _submit_once(
        self, engine: _Engine, scene: str, external_task_id: str, request: Request
    ) -> TaskSnapshot:
        """Send until accepted, as long as nothing can have been accepted before."""
        started = self._clock.monotonic()
        for number in range(self._retry.attempts):
            try:
                return await engine.session.ask_once(request, read_submitted)
            except KlingEffectsError as error:
                outcome = outcome_of(error)
                if outcome is Outcome.UNCERTAIN:
                    raise uncertain(
                        error, scene=scene, external_task_id=external_task_id
                    ) from error
                pause_s = self._pause_before_try(number, error)
                is_late = self._clock.monotonic() - started + pause_s > self._retry.span_s
                is_last = number + 1 == self._retry.attempts
                if outcome is Outcome.REFUSED or is_late or is_last:
                    raise
            await sleep(self._clock, pause_s)
        raise AssertionError("unreachable: the last try returns or raises")

    def _pause_before_try(self, number: int, error: KlingEffectsError) -> float:
        asked_s: float = getattr(error, "retry_after_s", None) or 0.0
        return asked_s + self._rng() * min(self._retry.cap_s, self._retry.base_s * 2.0**number)


class TaskListing:
    """The account's tasks, page by page; made by ``EffectsClient.list_tasks``.

    ``await listing`` is its first page, ``async for snapshot in listing`` runs through the tasks of
    all pages from there, and ``async for page in listing.pages()`` through the pages. The service
    documents neither order nor completeness.
    """

    def __init__(self, fetch: Callable[..., Any], *, page: int, page_size: int) -> None:
        self._fetch = fetch
        self._page = page
        self._page_size = page_size

    def __await__(self) -> Generator[Any, None, TaskPage]:
        fetched: Generator[Any, None, TaskPage] = self._fetch(
            self._page, self._page_size
        ).__await__()
        return fetched

    async def __aiter__(self) -> AsyncIterator[TaskSnapshot]:
        async for page in self.pages():
            for snapshot in page:
                yield snapshot

    async def pages(self) -> AsyncIterator[TaskPage]:
        """Every page from the first one asked for, until one is empty."""
        number = self._page
        while True:
            page = await self._fetch(number, self._page_size)
            if not page.tasks:
                return
            yield page
            number += 1


def _warn_of(advice: str | None) -> None:
    if advice is not None:
        # Four frames up: this function, submit, the coroutine's own frame, the caller.
        warnings.warn(advice, UnknownSceneWarning, stacklevel=3)
