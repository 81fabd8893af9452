"""The service as a poller sees it: each answer is made by a function of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from kling_effects_async.api import EffectsApi
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.protocol.messages import Listed
from kling_effects_async.testing import ManualClock

__all__ = ["PolledService", "QuickClock"]

# As many as an answer needs that is there at once, from its timer to what it wakes, and some more.
_TURNS_TO_SETTLE = 12

AnswerPage: TypeAlias = Callable[[int, int, Mapping[str, TaskSnapshot | None]], Awaitable[Listed]]


class QuickClock(ManualClock):
    """For a service that answers at once and in no thread, where the usual turns are too many."""

    async def settle(self) -> None:
        for _ in range(_TURNS_TO_SETTLE):
            await asyncio.sleep(0)


class PolledService(EffectsApi):
    """Single queries are answered by ``one``, pages by ``page``.

    Args:
        one: the answer about the task with this task id.
        page: the answer for a page's number, its size, and the tasks that are read.
        has_list: by the documents; there is none without ``page``.
    """

    def __init__(
        self,
        one: Callable[[str], Awaitable[TaskSnapshot]],
        page: AnswerPage | None = None,
        has_list: bool | None = None,
    ) -> None:
        self._one = one
        self._page = page
        self._has_list = has_list if page is not None else False

    @property
    def has_list(self) -> bool | None:
        return self._has_list

    async def poll(self, task_id: str | None, external_task_id: str | None) -> TaskSnapshot:
        return await self._one(task_id or "")

    async def query(self, task_id: str | None, external_task_id: str | None) -> TaskSnapshot:
        return await self._one(task_id or "")

    async def poll_list(
        self, number: int, size: int, wanted: Mapping[str, TaskSnapshot | None]
    ) -> Listed:
        assert self._page is not None
        return await self._page(number, size, wanted)
