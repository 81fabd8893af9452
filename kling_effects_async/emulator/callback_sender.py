"""Callbacks on each change of status: a heap of what is due, and lanes that send it.

Source: K5 callbacks page, 2026-09. Retries, time limits and the order are not documented. Each
message is sent once unless the settings say otherwise, a task's messages one after the other, and
an attempt ends after five seconds.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import heapq
import logging
import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import TypeAlias

import aiohttp
from attrs import define, evolve, field
from yarl import URL

from kling_effects_async.emulator.callback_delivery import Receipt, deliver, open_session
from kling_effects_async.emulator.callback_lanes import Lanes
from kling_effects_async.emulator.callback_signing import Signing, signature_headers
from kling_effects_async.emulator.emulated_clock import EmulatedClock
from kling_effects_async.emulator.emulator_settings import EmulatorSettings
from kling_effects_async.emulator.errors import EmulatorError, TooSoonError
from kling_effects_async.emulator.fault_queues import FaultQueues
from kling_effects_async.emulator.logger_name import LOGGER_NAME
from kling_effects_async.emulator.loopback import is_loopback_url
from kling_effects_async.emulator.outgoing_callback import (
    AS_IT_SHOULD_BE,
    OutgoingCallback,
    about,
    console_test,
)
from kling_effects_async.emulator.sent_callbacks import DELIVERED, SentCallback, SentCallbacks
from kling_effects_async.emulator.tasks import Task, view_of
from kling_effects_async.log_fields import log_fields

__all__ = ["CallbackSender"]

_log = logging.getLogger(__name__)
_request_log = logging.getLogger(LOGGER_NAME)

# A task has two messages: its start and its end.
_MESSAGES_PER_TASK = 2

# Source: K5 callbacks page, 2026-09: at most one test callback in so many seconds.
_MIN_TEST_PAUSE_S = 6.0

# When it is due in emulated time, a number that orders what is due at once, and what to do then.
_Due: TypeAlias = tuple[float, int, Callable[[], None]]


@define
class CallbackSender:
    """The messages of one emulator, from the changes that they tell to what was answered.

    Attributes:
        secrets: that sign from now on, those of tasks under way included; empty: nothing is signed.
        sent: every attempt that has ended.
    """

    _clock: EmulatedClock
    _settings: EmulatorSettings
    _faults: FaultQueues
    sent: SentCallbacks
    secrets: tuple[str, ...] = field(init=False, repr=False)
    _heap: list[_Due] = field(factory=list, init=False)
    # Messages that a fault keeps back until their task's next one, by task.
    _kept_back: dict[str, OutgoingCallback] = field(factory=dict, init=False)
    _lanes: Lanes[OutgoingCallback] = field(init=False)
    _numbers: count[int] = field(factory=count, init=False)
    _woken: asyncio.Event = field(factory=asyncio.Event, init=False)
    _session: aiohttp.ClientSession = field(factory=open_session, init=False)
    _runner: asyncio.Task[None] | None = field(default=None, init=False)
    _last_test_s: float = field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self.secrets = self._settings.webhook_secret
        self._lanes = Lanes(self._send)

    @property
    def waiting(self) -> int:
        """Messages that are not due yet, and those that are due and not begun."""
        return len(self._heap) + self._lanes.waiting + len(self._kept_back)

    def watch(self, task: Task) -> None:
        """Send this task's changes to its ``callback_url``, if it has one on this machine."""
        if not self._takes(task):
            return
        # Both are known at acceptance, so no timer runs for a task.
        self._at(task.life.starts_s, partial(self._tell, task, task.life.starts_s, is_last=False))
        self._at(task.life.ends_s, partial(self._tell_end, task))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="emulator callbacks")

    async def send_test(self, url: str, task_id: str) -> SentCallback:
        """What the console's test button does. See ``Emulator.send_test_callback``."""
        if not is_loopback_url(url):
            raise EmulatorError("a test callback goes to an http address of this machine only")
        now_s = self._clock.loop_s()
        if now_s - self._last_test_s < _MIN_TEST_PAUSE_S:
            raise TooSoonError(f"one test callback in {_MIN_TEST_PAUSE_S:g} s; try again later")
        self._last_test_s = now_s
        message = console_test(url, task_id, self._new_webhook_id(task_id), self._clock.now_s())
        return await self._attempt(message)

    async def close(self) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
            self._runner = None
        await self._lanes.close()
        await self._session.close()

    def _takes(self, task: Task) -> bool:
        url = task.request.callback_url
        if url is None:
            return False
        if not is_loopback_url(url):
            _log.warning(
                "callback_url of task %s is not on this machine: ignored",
                task.task_id,
                extra=log_fields("emulator.callback_not_local", task_id=task.task_id),
            )
            return False
        if self.waiting >= _MESSAGES_PER_TASK * self._settings.max_tasks:
            _log.warning(
                "too many callbacks wait: none is sent for task %s",
                task.task_id,
                extra=log_fields("emulator.callback_dropped", task_id=task.task_id),
            )
            return False
        return True

    def _at(self, due_s: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (due_s, next(self._numbers), call))
        self._woken.set()

    def _after(self, pause_s: float, call: Callable[[], None]) -> None:
        """In so many seconds of the loop's clock; now, if there are none."""
        if pause_s:
            self._at(self._clock.now_s() + pause_s * self._clock.speed, call)
        else:
            call()

    async def _run(self) -> None:
        while True:
            while not self._heap or self._clock.now_s() < self._heap[0][0]:
                self._woken.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._sleep_s())
            _due_s, _number, call = heapq.heappop(self._heap)
            call()

    def _sleep_s(self) -> float | None:
        if not self._heap:
            return None
        # A wait below the loop's resolution would not move a fast-forwarded clock at all.
        return max(0.001, self._clock.loop_seconds_until(self._heap[0][0]))

    def _tell_end(self, task: Task) -> None:
        # Past its planned end its clip may not be rendered yet: the message waits for it.
        if task.finished_s < math.inf:
            self._tell(task, task.finished_s, is_last=True)
        else:
            task.clip.when_ready(lambda: self._at(task.finished_s, partial(self._tell_end, task)))

    def _tell(self, task: Task, changed_s: float, *, is_last: bool) -> None:
        """Send the message about a change, unless a scripted fault keeps it back."""
        fault = self._faults.take_for_callback() or AS_IT_SHOULD_BE
        view = view_of(task, changed_s)
        shape = self._settings.callback_shape
        message = about(view, shape, self._new_webhook_id(task.task_id), fault)
        if not fault.is_sent:
            self.sent.withhold()
            _log_message(message, "-")
        elif fault.waits_for_next and not is_last:
            self._kept_back[task.task_id] = message
            return
        else:
            self._spread(message)
        if kept_back := self._kept_back.pop(task.task_id, None):
            self._spread(kept_back)

    def _spread(self, message: OutgoingCallback) -> None:
        fault = message.fault
        for number in range(fault.copies):
            self._after(fault.delay_s + number * fault.every_s, partial(self._hand_over, message))

    def _hand_over(self, message: OutgoingCallback) -> None:
        url = URL(message.url)
        self._lanes.add((url.host, url.port), message.task_id, message)

    async def _send(self, message: OutgoingCallback) -> None:
        sent = await self._attempt(message)
        if sent.http_status != DELIVERED and message.attempt < self._settings.callback_attempts:
            again = evolve(message, attempt=message.attempt + 1)
            self._after(self._settings.callback_retry_s, partial(self._hand_over, again))

    async def _attempt(self, message: OutgoingCallback) -> SentCallback:
        # How its connection fails is over with the first attempt; how it is signed is not.
        fault = message.fault if message.attempt == 1 else AS_IT_SHOULD_BE
        headers = {"Content-Type": "application/json", **self._signature(message)}
        receipt = await deliver(self._session, message.url, message.body, headers, fault)
        sent = self._record(message, receipt, headers)
        self.sent.enter(sent)
        if receipt.http_status is None:
            _log.warning(
                "callback of task %s failed: %s",
                message.task_id,
                receipt.failure,
                extra=log_fields("emulator.callback_failed", task_id=message.task_id),
            )
        else:
            _log_message(message, str(receipt.http_status))
        return sent

    def _signature(self, message: OutgoingCallback) -> Mapping[str, str]:
        """By Standard Webhooks, an attempt's timestamp is its own, and the id is the message's."""
        fault, secrets = message.fault, self.secrets
        if fault.signing is Signing.MISSING:
            return {}
        if fault.signing is Signing.WRONG and secrets:
            secrets = (f"whsec_{base64.b64encode(os.urandom(24)).decode()}",)
        signed_s = self._clock.wall_s() - fault.age_s
        return signature_headers(secrets, message.webhook_id, signed_s, message.body)

    def _record(
        self, message: OutgoingCallback, receipt: Receipt, headers: Mapping[str, str]
    ) -> SentCallback:
        return SentCallback(
            task_id=message.task_id,
            external_task_id=message.external_task_id,
            status=message.status,
            shape=message.shape,
            attempt=message.attempt,
            http_status=receipt.http_status,
            webhook_id=headers.get("webhook-id"),
            failure=receipt.failure,
            lag_s=(self._clock.now_s() - message.changed_s) / self._clock.speed,
        )

    def _new_webhook_id(self, task_id: str) -> str:
        return f"{task_id}{next(self._numbers)}"


def _log_message(message: OutgoingCallback, outcome: str) -> None:
    fault = f" fault: {message.fault.note}" if message.fault.note else ""
    _request_log.info(
        "callback of task %s (%s) %s%s",
        message.task_id,
        message.status,
        outcome,
        fault,
        extra=log_fields("emulator.callback_sent", task_id=message.task_id),
    )
