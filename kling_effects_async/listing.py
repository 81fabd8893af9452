"""The account's tasks, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

from kling_effects_async.models import TaskPage, TaskSnapshot
from kling_effects_async.protocol.requests import PAGE_MAX

__all__ = ["TaskListing"]


class TaskListing:
    """Made by ``EffectsClient.list_tasks``.

    ``await listing`` is its first page, ``async for snapshot in listing`` runs through the tasks of
    all pages from there, and ``async for page in listing.pages()`` through the pages. The service
    documents neither order nor completeness.
    """

    def __init__(
        self, fetch: Callable[[int, int], Awaitable[TaskPage]], *, page: int, page_size: int
    ) -> None:
        self._fetch = fetch
        self._page = page
        self._page_size = page_size

    def __await__(self) -> Generator[Any, None, TaskPage]:
        return self._fetch(self._page, self._page_size).__await__()

    async def __aiter__(self) -> AsyncIterator[TaskSnapshot]:
        async for page in self.pages():
            for snapshot in page:
                yield snapshot

    async def pages(self) -> AsyncIterator[TaskPage]:
        """Every page from the first one asked for, until one is empty or the service's last."""
        number = self._page
        while number <= PAGE_MAX:
            page = await self._fetch(number, self._page_size)
            if not page.tasks and not page.unreadable:
                return
            yield page
            number += 1
