"""The service as a poller sees it: each answer is made by a function of the test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from kling_effects_async.api import EffectsApi
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.protocol.messages import Listed

__all__ = ["PolledService"]

AnswerPage: TypeAlias = Callable[[int, int, Mapping[str, TaskSnapshot | None]], Awaitable[Listed]]


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
