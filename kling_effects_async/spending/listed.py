"""The service's list of tasks, looked through for external ids.

Newest first is assumed, as is seen everywhere but documented nowhere; where it is otherwise, less
is found and nothing wrong.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from kling_effects_async.models import TaskPage, TaskSnapshot

__all__ = ["PAGES_AT_MOST", "PAGE_SIZE", "PageReader", "find_listed", "listed_by_external_id"]

# Source: "pageSize ... [1, 500]" of Kling's documents.
PAGE_SIZE = 500
# 10,000 tasks: more than an account of 20 slots makes in a day.
PAGES_AT_MOST = 20
# A service's clock may be off, or tell its local time for UTC.
_CLOCKS_DIFFER = timedelta(days=1)

PageReader: TypeAlias = Callable[[int, int], Awaitable[TaskPage]]


async def find_listed(
    read_page: PageReader, external_task_id: str, *, since: datetime
) -> TaskSnapshot | None:
    """The task under this external id, if the list shows it.

    Args:
        read_page: reads a page by its number and size.
        since: pages of tasks that were all made before it are not read on.
    """
    async for page in _pages(read_page):
        for task in page:
            if task.external_task_id == external_task_id:
                return task
        if all(_is_before(task, since - _CLOCKS_DIFFER) for task in page):
            return None
    return None


async def listed_by_external_id(read_page: PageReader) -> dict[str, TaskSnapshot]:
    """The newest tasks, at most ``PAGE_SIZE * PAGES_AT_MOST``, by their external ids."""
    known: dict[str, TaskSnapshot] = {}
    async for page in _pages(read_page):
        for task in page:
            if task.external_task_id is not None:
                known.setdefault(task.external_task_id, task)
    return known


async def _pages(read_page: PageReader) -> AsyncIterator[TaskPage]:
    for number in range(1, PAGES_AT_MOST + 1):
        page = await read_page(number, PAGE_SIZE)
        yield page
        if len(page) + page.unreadable < PAGE_SIZE:
            return


def _is_before(task: TaskSnapshot, moment: datetime) -> bool:
    return task.created_at is not None and task.created_at < moment
