"""The emulated service without HTTP: its tasks, its slots, its balance and its ledger."""

from __future__ import annotations

import math
import random
import string
from collections.abc import Mapping
from decimal import Decimal

from attrs import define, evolve, field

from kling_effects_async.emulator.balance import Balance
from kling_effects_async.emulator.callback_sender import CallbackSender
from kling_effects_async.emulator.choices import RepeatedId, ReplyShape, UnknownTask
from kling_effects_async.emulator.clip_sources import ClipSource
from kling_effects_async.emulator.downloads import sign_of
from kling_effects_async.emulator.emulated_clock import EmulatedClock, milliseconds
from kling_effects_async.emulator.emulator_settings import EmulatorSettings
from kling_effects_async.emulator.ledger import Ledger, LedgerEntry
from kling_effects_async.emulator.rejections import OutOfUnitsError, RejectedError
from kling_effects_async.emulator.submit_request import EmulatedDialect, SubmitRequest
from kling_effects_async.emulator.tasks import Clip, Life, Task, Tasks, TaskView, plan_life, view_of

__all__ = ["EmulatedService"]

_ID_LETTERS = string.ascii_letters + string.digits


@define
class EmulatedService:
    """One account at the service. ``image_counts``: every scene it takes, and 1 or 2 pictures."""

    settings: EmulatorSettings
    clock: EmulatedClock
    ledger: Ledger
    image_counts: Mapping[str, int]
    url: str
    _clip_source: ClipSource
    callbacks: CallbackSender
    balance: Balance = field(init=False)
    start_s: float = field(init=False)
    _last_costs_s: float = field(default=-math.inf, init=False)
    _tasks: Tasks = field(factory=Tasks, init=False)
    _random: random.Random = field(init=False)
    _url_key: bytes = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.settings.seed)
        # From the seed too, so that the addresses of two equal runs are equal.
        self._url_key = self._random.randbytes(32)
        self.start_s = self.clock.now_s()
        self.balance = Balance(self.settings.balance_units)

    def accept(
        self,
        request: SubmitRequest,
        dialect: EmulatedDialect,
        *,
        has_usable_images: bool,
        failure: str | None = None,
    ) -> Task:
        """Make the task and enter it in the ledger; from here on it is paid.

        Args:
            failure: what the task is to fail with in the end; ``None``: nothing.

        Raises:
            RejectedError: 1201, the external id was used before; 1102, the balance is too small; or
                1303, no slot is free, or there is no room for one more. Nothing was made then.
        """
        now_s = self.clock.now_s()
        # No await before the ledger: two submits must not both take the last slot. The order of
        # the checks is a choice; a repeated id comes first, as it is about a task that exists.
        self._reject_repeated(request.external_task_id)
        self._reject_unaffordable(request.effect_scene, now_s)
        self._reject_without_slot(now_s)
        self._make_room(request, now_s)
        life = self._planned_life(request, now_s, failure, has_usable_images=has_usable_images)
        task = self._make(request, life, dialect)
        self._tasks.add(task)
        self.balance.charge(task)
        self.ledger.enter(_entry_of(task))
        self.callbacks.watch(task)
        return task

    def find(self, given_id: str, dialect: EmulatedDialect) -> Task | None:
        """A task by this host's id first, then, where the service does that, by its external id."""
        is_gateway = dialect is EmulatedDialect.GATEWAY
        task = (self._tasks.by_gateway_id if is_gateway else self._tasks.get)(given_id)
        if task is None and self.settings.finds_external_ids:
            return self._tasks.by_external_id(given_id)
        return task

    def clip_of(self, task_id: str) -> Clip | None:
        task = self._tasks.get(task_id)
        return None if task is None else task.clip

    def page(self, number: int, size: int) -> list[Task]:
        return self._tasks.page(number, size)

    def view(self, task: Task, dialect: EmulatedDialect) -> TaskView:
        """The task as this host answers it: a gateway that refreshes its copies lags behind.

        Source: new-api's own poller wakes about every 15 s (controller/task.go, 2025-04).
        """
        now_s = self.clock.now_s()
        if dialect is EmulatedDialect.GATEWAY and self.settings.refresh_s:
            # All tasks at the same moments: the gateway's poller goes through its whole table.
            now_s -= (now_s - self.start_s) % self.settings.refresh_s
        return self.view_at(now_s, task, dialect)

    def view_at(self, moment_s: float, task: Task, dialect: EmulatedDialect) -> TaskView:
        """The task at a moment, under the id that this host handed out."""
        view = view_of(task, moment_s)
        if dialect is EmulatedDialect.GATEWAY and task.gateway_task_id is not None:
            # In every member, the copy of Kling's own answer in a wrapped one included: inferred.
            return evolve(view, task_id=task.gateway_task_id)
        return view

    def may_answer_costs(self, min_pause_s: float) -> bool:
        """Whether the last answer is long enough ago; a rejected request does not count."""
        now_s = self.clock.loop_s()
        if now_s - self._last_costs_s < min_pause_s:
            return False
        self._last_costs_s = now_s
        return True

    def shape(self, dialect: EmulatedDialect) -> ReplyShape:
        return self.settings.reply_shape if dialect is EmulatedDialect.GATEWAY else ReplyShape.FLAT

    def unknown_task(self, dialect: EmulatedDialect) -> UnknownTask | None:
        """What this host answers when no task has an id; ``None``: what such a host is known to."""
        answer = self.settings.unknown_task
        if dialect is EmulatedDialect.GATEWAY or answer is UnknownTask.NOT_FOUND:
            return answer
        return UnknownTask.KLING

    def sign(self, task_id: str) -> str:
        return sign_of(task_id, self._url_key)

    def new_request_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def new_id(self) -> str:
        """Like the newer ids of the real service: 18 digits, too large for a JavaScript number."""
        while True:
            number = str(self._random.randrange(800_000_000_000_000_000, 900_000_000_000_000_000))
            if number not in self._tasks:
                return number

    def _reject_repeated(self, external_task_id: str | None) -> None:
        if external_task_id is None or self.settings.repeated_external_id is RepeatedId.ACCEPT:
            return
        if self._tasks.by_external_id(external_task_id) is not None:
            # Kling's words, seen in 2026.
            raise RejectedError(1201, f"External_task_id {external_task_id} already exists")

    def _reject_unaffordable(self, scene: str, now_s: float) -> None:
        left_units = self.balance.left_units(now_s)
        if left_units is not None and Decimal(self.settings.units_of(scene)) > left_units:
            raise OutOfUnitsError

    def _reject_without_slot(self, now_s: float) -> None:
        slots = self.settings.slots
        if slots is not None and self._tasks.unfinished(now_s) >= slots:
            raise RejectedError(1303)

    def _make_room(self, request: SubmitRequest, now_s: float) -> None:
        """Source: K1 effects page, 2026-09: results are cleared, after 30 days there."""
        max_tasks = self.settings.max_tasks
        if self._tasks.unfinished(now_s) >= max_tasks or not self._clip_source.has_room_for(
            request
        ):
            raise RejectedError(1303)
        if len(self._tasks) >= max_tasks:
            self._tasks.drop_oldest_finished(now_s)

    def _planned_life(
        self, request: SubmitRequest, now_s: float, failure: str | None, *, has_usable_images: bool
    ) -> Life:
        duration_s = self._task_seconds(request.effect_scene)
        return plan_life(now_s, duration_s, has_usable_images=has_usable_images, failure=failure)

    def _make(self, request: SubmitRequest, life: Life, dialect: EmulatedDialect) -> Task:
        task_id = self.new_id()
        return Task(
            task_id=task_id,
            # The clip source has the pictures; thousands of tasks must not keep them in memory.
            request=evolve(request, images=()),
            life=life,
            clip=self._clip_source.clip_for(request) if life.failure is None else Clip(),
            units=self.settings.units_of(request.effect_scene),
            video_id=self.new_id(),
            video_url=f"{self.url}/media/{task_id}.mp4?sign={self.sign(task_id)}",
            gateway_task_id=self._new_gateway_id(dialect),
        )

    def _new_gateway_id(self, dialect: EmulatedDialect) -> str | None:
        """Like the ids of newer gateways. Source: new-api's model/task.go, 2026."""
        if dialect is EmulatedDialect.OFFICIAL or not self.settings.gateway_task_ids:
            return None
        return "task_" + "".join(self._random.choices(_ID_LETTERS, k=32))

    def _task_seconds(self, scene: str) -> float:
        setting = self.settings.task_seconds
        if callable(setting):
            return setting(scene)
        if isinstance(setting, tuple):
            return self._random.uniform(*setting)
        return setting


def _entry_of(task: Task) -> LedgerEntry:
    return LedgerEntry(
        task_id=task.task_id,
        gateway_task_id=task.gateway_task_id,
        external_task_id=task.request.external_task_id,
        effect_scene=task.request.effect_scene,
        accepted_at_ms=milliseconds(task.life.accepted_s),
    )
