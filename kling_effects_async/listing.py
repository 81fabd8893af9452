"""The account's tasks, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Any

from kling_effects_async.models import TaskPage, TaskSnapshot
from kling_effects_async.transport.paging import PageReader, pages_of

__all__ = ["TaskListing"]


class TaskListing:
    """Made by ``EffectsClient.list_tasks``.

    ``await listing`` is its first page, ``async for snapshot in listing`` runs through the tasks of
    all pages from there, and ``async for page in listing.pages()`` through the pages. The service
    documents neither order nor completeness.
    """

    def __init__(self, fetch: PageReader, *, page: int, page_size: int) -> None:
        self._fetch = fetch
        self._page = page
        self._page_size = page_size

    def __await__(self) -> Generator[Any, None, TaskPage]:
        return self._fetch(self._page, self._page_size).__await__()

    async def __aiter__(self) -> AsyncIterator[TaskSnapshot]:
        async for page in self.pages():
            for snapshot in page:
                yield snapshot

    def pages(self) -> AsyncIterator[TaskPage]:
        """Every page from the first one asked for, until one is empty or the service's last."""
        return pages_of(self._fetch, self._page_size, first=self._page)
