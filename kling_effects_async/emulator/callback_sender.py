"""Callbacks on each change of status: one coroutine, started by the first task with an address.

Source: K5 callbacks page, 2026-09. Retries and time limit are not documented: each message is sent
once, in order, and abandoned after five seconds. Whether effects callbacks are signed is not
documented either; they are when the emulator has a secret.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import heapq
import hmac
import json
import logging
import math
from itertools import count
from typing import TypeAlias

import aiohttp
from attrs import define, field

from kling_effects_async.emulator.emulated_clock import EmulatedClock
from kling_effects_async.emulator.loopback import is_loopback_url
from kling_effects_async.emulator.task_replies import callback_body
from kling_effects_async.emulator.tasks import Task, TaskView, view_of

__all__ = ["CallbackSender", "signature_headers"]

_log = logging.getLogger(__name__)

_MAX_SEND_S = 5.0

# When it is due, a number that orders messages due at once, and the task.
_Due: TypeAlias = tuple[float, int, Task]


@define
class CallbackSender:
    """The messages to come, in a heap by due time."""

    _clock: EmulatedClock
    _secret: str | None = field(repr=False)
    _max_waiting: int
    _heap: list[_Due] = field(factory=list, init=False)
    _numbers: count[int] = field(factory=count, init=False)
    _woken: asyncio.Event = field(factory=asyncio.Event, init=False)
    _runner: asyncio.Task[None] | None = field(default=None, init=False)

    def watch(self, task: Task) -> None:
        """Send this task's changes to its ``callback_url``, if it has one on this machine."""
        if not self._takes(task):
            return
        # Both are known at acceptance, so no timer runs for a task.
        self._push(task.life.starts_s, task)
        self._push(task.life.ends_s, task)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="emulator callbacks")

    def _takes(self, task: Task) -> bool:
        url = task.request.callback_url
        if url is None:
            return False
        if not is_loopback_url(url):
            _log.warning("callback_url of task %s is not on this machine: ignored", task.task_id)
            return False
        if len(self._heap) >= self._max_waiting:
            _log.warning("too many callbacks wait: none is sent for task %s", task.task_id)
            return False
        return True

    async def close(self) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
            self._runner = None

    def _push(self, due_s: float, task: Task) -> None:
        heapq.heappush(self._heap, (due_s, next(self._numbers), task))
        self._woken.set()

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_MAX_SEND_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                due_s, task = await self._next_due()
                # Past its planned end, but its clip is not rendered yet: the message waits for it.
                if due_s >= task.life.ends_s and task.finished_s == math.inf:
                    self._push_when_ready(task)
                    continue
                await self._send(session, view_of(task, due_s))

    async def _next_due(self) -> tuple[float, Task]:
        while not self._heap or self._clock.now_s() < self._heap[0][0]:
            self._woken.clear()
            wait_s = self._sleep_s()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), wait_s)
        due_s, _, task = heapq.heappop(self._heap)
        return due_s, task

    def _sleep_s(self) -> float | None:
        if not self._heap:
            return None
        # A wait below the loop's resolution would not move a fast-forwarded clock at all.
        return max(0.001, self._clock.loop_seconds_until(self._heap[0][0]))

    def _push_when_ready(self, task: Task) -> None:
        task.clip.when_ready(lambda: self._push(task.finished_s, task))

    async def _send(self, session: aiohttp.ClientSession, view: TaskView) -> None:
        url = view.task.request.callback_url or ""
        body = json.dumps(callback_body(view), ensure_ascii=False).encode()
        headers = self._headers(view.task.task_id, body)
        try:
            # A redirect could lead off this machine.
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                _log.debug("callback of task %s: HTTP %s", view.task.task_id, answer.status)
        # ValueError: a user's name in the address that Basic authentication has no way to send.
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # The class alone: the message of an error has the address, which may carry a secret.
            _log.warning("callback of task %s failed: %s", view.task.task_id, type(error).__name__)

    def _headers(self, task_id: str, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._secret is not None:
            message_id = f"{task_id}{next(self._numbers)}"
            headers |= signature_headers(self._secret, message_id, self._clock.wall_s(), body)
        return headers


def signature_headers(secret: str, message_id: str, wall_s: float, body: bytes) -> dict[str, str]:
    """Sign a message by Standard Webhooks, version 1: HMAC-SHA256 of ``id.timestamp.body``."""
    key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    signed = f"{message_id}.{int(wall_s)}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(wall_s)),
        "webhook-signature": f"v1,{signature}",
    }
