"""Starting and stopping the emulator."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from aiohttp import web
from attrs import evolve
from PIL import Image

from kling_effects_async.emulator.app_keys import (
    AUTHENTICATOR,
    CLOSING,
    FAULTS,
    LARGE_BODIES,
    REQUESTS,
    SERVICE,
)
from kling_effects_async.emulator.authenticator import Authenticator
from kling_effects_async.emulator.bodies import BODY_LIMIT_BYTES, MAX_LARGE_BODIES
from kling_effects_async.emulator.bounds import MAX_CLIP_BYTES, MAX_CONNECTIONS, MAX_TASKS
from kling_effects_async.emulator.callback_faults import CallbackFault
from kling_effects_async.emulator.callback_sender import CallbackSender
from kling_effects_async.emulator.choices import (
    CallbackShape,
    Clips,
    RepeatedId,
    ReplyShape,
    RetiredScenes,
    UnknownTask,
)
from kling_effects_async.emulator.clip_sources import ClipSource, open_clip_source
from kling_effects_async.emulator.connections import bind, sending_in_time, serve, url_of
from kling_effects_async.emulator.control import add_control_routes
from kling_effects_async.emulator.emulated_clock import EmulatedClock
from kling_effects_async.emulator.emulated_service import EmulatedService
from kling_effects_async.emulator.emulator_settings import EmulatorSettings, TaskSeconds
from kling_effects_async.emulator.errors import EmulatorError
from kling_effects_async.emulator.fault_injection import injecting_faults
from kling_effects_async.emulator.fault_queues import FaultQueues
from kling_effects_async.emulator.faults import Fault
from kling_effects_async.emulator.ledger import Ledger
from kling_effects_async.emulator.origins import rejecting_foreign_pages
from kling_effects_async.emulator.request_log import logging_requests
from kling_effects_async.emulator.responses import add_common_headers, answering_rejections
from kling_effects_async.emulator.routes import add_routes
from kling_effects_async.emulator.sent_callbacks import SentCallback, SentCallbacks
from kling_effects_async.scenes import catalogue

if TYPE_CHECKING:
    from kling_effects_async import ClientOptions, EffectsClient

__all__ = ["Emulator"]

# The first is the outermost: every request is logged, and a foreign page uses up no fault.
_MIDDLEWARES = (
    sending_in_time,
    logging_requests,
    rejecting_foreign_pages,
    injecting_faults,
    answering_rejections,
)


class Emulator:
    """Kling's video-effects service on this machine, as an async context manager.

    May be entered again after it was left: a new service with an empty ledger, where faults that
    have not happened yet still wait.

    Args:
        port: 0 takes a free one.
        speed: how much faster than the event loop's clock the service runs. Faults' delays and
            the signatures' clock do not change with it.
        reply_shape: how ``/kling/v1`` wraps its answers; ``/v1`` always answers flat.
        unknown_task: what a query of an unknown id answers; ``None``: what such a host is known to
            answer, Kling's own words where answers are flat.
        retired_scenes: take scenes that Kling's newest lists miss, or reject them.
        requires_model_fields: ``/kling/v1`` demands ``model_name``, ``duration`` and, with two
            pictures, ``mode``, as V-API documents; some gateways take creates without them.
        slots: the account's limit of unfinished tasks; ``None``: none.
        task_seconds: emulated seconds per task: fixed, ``(low, high)``, or a function of the scene.
        refresh_s: how often, in emulated seconds, the gateway queries its upstream; 0: always.
        repeated_external_id: reject a used ``external_task_id``, or make a second, paid task.
        finds_external_ids: the query takes an ``external_task_id`` too.
        lists_tasks: there is a list; off, its address answers like an unknown one.
        bearer_keys: keys both paths take. The first one is ``api_key``, and what ``client`` uses.
            ``None``: a random one.
        access_keys: access key to secret (32 bytes or more), for the tokens ``/v1`` takes.
            ``None``: a pair with a random secret.
        webhook_secret: ``whsec_...``, or several of them during a rotation; callbacks are signed
            with each when there is one. ``use_webhook_secrets`` changes them on the way.
        callback_shape: in which of the two documented forms callbacks are written.
        callback_attempts: how often a message is tried until a receiver answers it with 200. Not
            documented; 1: it is not tried again.
        callback_retry_s: seconds of the event loop's clock between two attempts. Not documented.
        gateway_task_ids: ``/kling/v1`` hands out ids of its own, ``task_...``, as newer gateways
            do, while callbacks come from Kling and have Kling's id: only ``external_task_id`` joins
            the two. That a callback comes so is inferred from new-api's source, 2026.
        clips: what the videos show.
        units: the price of a finished task; ``units_per_scene`` has the exceptions.
        balance_units: what the account can spend; a task that costs more than is left is rejected
            with 1102. A failed task gives its units back. ``None``: any number of tasks.
        max_tasks: tasks that are kept, the oldest finished ones go first; one more than are
            unfinished is rejected with 1303. The ledger keeps as many entries.
        max_clip_bytes: what rendered clips may take on disk, and pictures that wait to be rendered
            in memory. The oldest clips go first; a picture for which there is no room is rejected
            with 1303.
        max_connections: one more is answered with 503 at once, and closed.
        seed: makes ids and durations the same each time.
        wall: Unix time; what ``exp`` and ``nbf`` are judged by and the Date header shows.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        reply_shape: ReplyShape = ReplyShape.FLAT,
        slots: int | None = None,
        task_seconds: TaskSeconds = (40.0, 90.0),
        refresh_s: float = 0.0,
        repeated_external_id: RepeatedId = RepeatedId.REJECT,
        finds_external_ids: bool = True,
        lists_tasks: bool = True,
        unknown_task: UnknownTask | None = None,
        retired_scenes: RetiredScenes = RetiredScenes.ACCEPT,
        requires_model_fields: bool = True,
        bearer_keys: Sequence[str] | None = None,
        access_keys: Mapping[str, str] | None = None,
        webhook_secret: str | Sequence[str] | None = None,
        callback_shape: CallbackShape = CallbackShape.LEGACY,
        callback_attempts: int = 1,
        callback_retry_s: float = 5.0,
        gateway_task_ids: bool = False,
        clips: Clips = Clips.PREVIEW,
        units: str = "2",
        units_per_scene: Mapping[str, str] | None = None,
        balance_units: Decimal | int | str | None = None,
        max_tasks: int = MAX_TASKS,
        max_clip_bytes: int = MAX_CLIP_BYTES,
        max_connections: int = MAX_CONNECTIONS,
        seed: int | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.settings: EmulatorSettings = EmulatorSettings(
            host=host,
            port=port,
            speed=speed,
            reply_shape=reply_shape,
            slots=slots,
            task_seconds=task_seconds,
            refresh_s=refresh_s,
            repeated_external_id=repeated_external_id,
            finds_external_ids=finds_external_ids,
            lists_tasks=lists_tasks,
            unknown_task=unknown_task,
            retired_scenes=retired_scenes,
            requires_model_fields=requires_model_fields,
            webhook_secret=webhook_secret,
            callback_shape=callback_shape,
            callback_attempts=callback_attempts,
            callback_retry_s=callback_retry_s,
            gateway_task_ids=gateway_task_ids,
            clips=clips,
            units=units,
            units_per_scene=units_per_scene or {},
            balance_units=balance_units,
            max_tasks=max_tasks,
            max_clip_bytes=max_clip_bytes,
            max_connections=max_connections,
            seed=seed,
            wall=wall,
            **_given(bearer_keys=bearer_keys, access_keys=access_keys),
        )
        self._faults = FaultQueues()
        self._ledger = Ledger(max_tasks)
        self._callbacks = SentCallbacks(max_tasks)
        self._requests: Counter[str] = Counter()
        self._service: EmulatedService | None = None
        self._url: str | None = None
        self._exits: AsyncExitStack | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end.

        Raises:
            EmulatorError: the emulator is not running.
        """
        if self._url is None:
            raise EmulatorError("the emulator is not running: use `async with Emulator(...)`")
        return self._url

    @property
    def api_key(self) -> str:
        """The key that ``client`` uses; a random one of this emulator's own if none was given."""
        return self.settings.bearer_keys[0]

    @property
    def ledger(self) -> Ledger:
        """What was accepted since the emulator was last entered; readable after it was left."""
        return self._ledger

    @property
    def requests(self) -> Counter[str]:
        """Requests by operation: submit, query, list, download, control, other."""
        return self._requests

    @property
    def callbacks(self) -> SentCallbacks:
        """What was sent to receivers of callbacks since the emulator was last entered."""
        return self._callbacks

    @property
    def faults_left(self) -> int:
        """Scripted faults that have not happened yet."""
        return self._faults.left

    def fail_next(self, fault: Fault | CallbackFault, *, times: int = 1) -> None:
        """Inject a fault into the next calls of its operation, after those already scripted.

        A ``CallbackFault`` hits the next messages to receivers, of whichever task.
        """
        self._faults.add(fault, times)

    def use_webhook_secrets(self, *secrets: str) -> None:
        """Sign callbacks with these from the next attempt on, those of tasks under way included.

        A rotation signs with the new and the old secret for a time; without a secret callbacks are
        unsigned. The next start has the secrets of the settings again. Source: K5 callbacks page,
        2026-09: both are valid for seven days, and deleting all ends the signatures at once.

        Raises:
            ValueError: one is no ``whsec_`` and base64.
            EmulatorError: the emulator is not running.
        """
        checked = evolve(self.settings, webhook_secret=secrets)
        self._running_service().callbacks.secrets = checked.webhook_secret

    async def send_test_callback(self, url: str) -> SentCallback:
        """What the test button of Kling's console does: one message in the newer form, unasked.

        Its task does not exist. Source: K5 callbacks page, 2026-09: at most one in 6 seconds (here
        of the loop's clock), and an answer of 200 is success.

        Raises:
            EmulatorError: the last one was less than 6 s ago, the address is not on this machine,
                or the emulator is not running.
        """
        service = self._running_service()
        return await service.callbacks.send_test(url, service.new_id())

    def _running_service(self) -> EmulatedService:
        if self._service is None:
            raise EmulatorError("the emulator is not running: use `async with Emulator(...)`")
        return self._service

    def client(
        self, *, official: bool = False, **client_options: Unpack[ClientOptions]
    ) -> EffectsClient:
        """A client with the right address and credentials.

        Args:
            official: use Kling's own dialect with an access key, not the gateway's.
            client_options: passed to ``EffectsClient``.
        """
        from kling_effects_async import AccessKeys, BearerToken, EffectsClient, Service

        if official:
            access_key, secret = next(iter(self.settings.access_keys.items()))
            return EffectsClient(
                AccessKeys(access_key, secret),
                service=Service.official(base_url=self.url),
                **client_options,
            )
        return EffectsClient(
            BearerToken(self.api_key),
            service=Service.gateway(self.url),
            **client_options,
        )

    async def __aenter__(self) -> Emulator:
        if self._exits is not None:
            raise EmulatorError("the emulator is running already")
        async with AsyncExitStack() as exits:
            await self._start(exits)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        exits, self._exits, self._url, self._service = self._exits, None, None, None
        if exits is not None:
            await exits.aclose()

    async def _start(self, exits: AsyncExitStack) -> None:
        # Closed in reverse: the server first, then the callbacks and renders of its requests.
        self._ledger, self._requests = Ledger(self.settings.max_tasks), Counter()
        self._callbacks = SentCallbacks(self.settings.max_tasks)
        # First, because a taken port should fail before renderers are started.
        listening = exits.enter_context(bind(self.settings.host, self.settings.port))
        url = url_of(listening)
        service = self._service = await self._open_service(url, exits)
        app = self._application(service)
        await serve(app, listening, self.settings.max_connections, exits)
        self._url = url

    async def _open_service(self, url: str, exits: AsyncExitStack) -> EmulatedService:
        clock = EmulatedClock(self.settings.speed, self.settings.wall)
        clip_source = await asyncio.to_thread(_open_clip_source, self.settings, clock)
        exits.push_async_callback(clip_source.close)
        callbacks = CallbackSender(clock, self.settings, self._faults, self._callbacks)
        exits.push_async_callback(callbacks.close)
        return EmulatedService(
            settings=self.settings,
            clock=clock,
            ledger=self._ledger,
            image_counts=_image_counts(self.settings.retired_scenes),
            url=url,
            clip_source=clip_source,
            callbacks=callbacks,
        )

    def _application(self, service: EmulatedService) -> web.Application:
        app = web.Application(middlewares=_MIDDLEWARES, client_max_size=BODY_LIMIT_BYTES)
        app[SERVICE] = service
        app[AUTHENTICATOR] = Authenticator(self.settings.bearer_keys, self.settings.access_keys)
        app[FAULTS] = self._faults
        app[REQUESTS] = self._requests
        app[LARGE_BODIES] = asyncio.Semaphore(MAX_LARGE_BODIES)
        app[CLOSING] = asyncio.Event()
        app.on_response_prepare.append(add_common_headers)
        add_control_routes(app)  # first: the service's own routes take any path
        add_routes(app)
        return app


def _given(**keys: Any) -> dict[str, Any]:
    """Without what was not given: the settings make keys of their own then."""
    return {name: value for name, value in keys.items() if value is not None}


def _open_clip_source(settings: EmulatorSettings, clock: EmulatedClock) -> ClipSource:
    Image.preinit()  # Pillow loads its plug-ins at the first picture, which would block the loop.
    return open_clip_source(settings.clips, clock, settings.max_clip_bytes)


def _image_counts(retired: RetiredScenes) -> Mapping[str, int]:
    """The scenes that are taken, and how many pictures each of them needs."""
    return {
        name: info.images
        for name, info in catalogue().items()
        if info.is_listed or retired is RetiredScenes.ACCEPT
    }
