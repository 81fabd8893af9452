"""The pages of the task list, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from kling_effects_async.models import TaskPage
from kling_effects_async.protocol.requests import PAGE_MAX

__all__ = ["PageReader", "pages_of"]

PageReader: TypeAlias = Callable[[int, int], Awaitable[TaskPage]]
"""Reads a page, by its number and the number of tasks on it."""


async def pages_of(
    read_page: PageReader, page_size: int, *, first: int = 1, last: int = PAGE_MAX
) -> AsyncIterator[TaskPage]:
    """The pages from the first to the last number, or until one is empty.

    A page with fewer tasks than were requested is not the end: a gateway may have its own limit.
    """
    for number in range(first, last + 1):
        page = await read_page(number, page_size)
        if not page.tasks and not page.unreadable:
            return
        yield page
