"""The account's tasks at the service, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Any

from kling_effects_async.models import TaskPage, TaskSnapshot
from kling_effects_async.transport.paging import PageReader, pages_of

__all__ = ["TaskListing"]


class TaskListing:
    """The account's tasks at the service; made by ``EffectsClient.list_tasks``.

    ``await listing`` gives its first page, ``async for snapshot in listing`` the tasks of all pages
    from there, and ``async for page in listing.pages()`` the pages. Kling documents neither an
    order of the tasks nor that the list is complete. Source: Kling's effects page, 2026-09.

    Raises:
        TransportError, ReplyError, ApiError: a page was not read, after all tries of
            ``RetryPolicy``; list from that page on again, later.
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
        """Every page from the requested one on, until one is empty or the service's last."""
        return pages_of(self._fetch, self._page_size, first=self._page)
