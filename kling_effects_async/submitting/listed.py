"""The service's list of tasks, searched for external ids.

The order of the list is not documented. Newest first is assumed; where it is otherwise less is
found, and nothing is taken for absent that is there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from kling_effects_async.api import EffectsApi
from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.log_fields import log_fields
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.polling.list_breaker import ListBreaker
from kling_effects_async.protocol.requests import PAGE_SIZE_MAX
from kling_effects_async.transport.clock import Clock
from kling_effects_async.transport.paging import PageReader, pages_of

__all__ = ["PAGES_AT_MOST", "earlier_tasks", "find_listed", "listed_by_external_id"]

_log = logging.getLogger(__name__)

# 10,000 tasks: about what 20 slots make in a day, at three minutes each.
PAGES_AT_MOST = 20
# A service's clock may be off, or it sends its local time as UTC.
_CLOCKS_DIFFER = timedelta(days=1)


async def find_listed(
    read_page: PageReader, external_task_id: str, *, since: datetime
) -> TaskSnapshot | None:
    """The task under this external id, if the list shows it.

    Args:
        since: pages of tasks that were all made before it are not read on.
    """
    async for page in pages_of(read_page, PAGE_SIZE_MAX, last=PAGES_AT_MOST):
        for task in page:
            if task.external_task_id == external_task_id:
                return task
        if page.tasks and all(_is_before(task, since - _CLOCKS_DIFFER) for task in page):
            return None
    return None


async def listed_by_external_id(read_page: PageReader) -> dict[str, TaskSnapshot]:
    """The tasks of the first pages, at most ``PAGES_AT_MOST``, by their external ids."""
    known: dict[str, TaskSnapshot] = {}
    async for page in pages_of(read_page, PAGE_SIZE_MAX, last=PAGES_AT_MOST):
        for task in page:
            if task.external_task_id is not None:
                known.setdefault(task.external_task_id, task)
    return known


async def earlier_tasks(
    api: EffectsApi, list_breaker: ListBreaker, clock: Clock
) -> Mapping[str, TaskSnapshot]:
    """The account's newest tasks by their external ids; empty where the list cannot be read."""
    if api.has_list is False or not list_breaker.is_usable:
        return {}
    try:
        return await listed_by_external_id(partial(api.list_page, may_be_missing=True))
    except KlingEffectsError as error:
        list_breaker.failed(error, clock.monotonic())
        _log.info(
            "what ran before this run is not known, there is no list: %s",
            error,
            extra=log_fields("run.list_unread", error=error),
        )
        return {}


def _is_before(task: TaskSnapshot, moment: datetime) -> bool:
    return task.created_at is not None and task.created_at < moment
