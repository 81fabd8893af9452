"""The one place where the service is called: what is requested, and how often it is tried.

submit      once: nothing about it is idempotent
poll        once: the poller decides when to poll again
query       with the usual tries, for a caller who wants to know now
look_up     the same, by external id
list_page   the same, for a page of the account's tasks
poll_list   once: a page, of which only some tasks are read
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from kling_effects_async.errors import ReplyError, TaskNotFoundError
from kling_effects_async.models import TaskPage, TaskSnapshot
from kling_effects_async.protocol.converter import converter
from kling_effects_async.protocol.messages import Listed, Reply, Request
from kling_effects_async.protocol.requests import build_list, build_lookup, build_query
from kling_effects_async.protocol.services import Service
from kling_effects_async.protocol.task_body import read_found, read_submitted, read_task
from kling_effects_async.protocol.task_list import read_listed, read_page
from kling_effects_async.transport.clock import Clock
from kling_effects_async.transport.session import Session

__all__ = ["EffectsApi", "RecentTasks"]

# A video server can need a while to know a new file: about 150 s. Source: an issue of
# icebear0828/notebooklm-client.
_NEW_S = 600.0  # four times what was seen
_REMEMBERED = 10_000  # tasks; as many as the client remembers jobs without a journal


class EffectsApi:
    """Calls one service with one account's credentials.

    Attributes:
        recent_tasks: which tasks have just ended, by all answers so far.
    """

    def __init__(self, session: Session, service: Service, clock: Clock) -> None:
        self.recent_tasks: RecentTasks = RecentTasks(clock)
        self._session = session
        self._service = service

    @property
    def has_list(self) -> bool | None:
        """Whether the service lists tasks, as far as its documents say; ``None``: they do not."""
        return self._service.lists_tasks

    def load(self) -> None:
        """Import what sends and what reads; later there may be no free descriptor to do it with."""
        converter()
        self._session.load()

    async def submit(self, request: Request) -> TaskSnapshot:
        """Send the create request, once."""
        return self._noted(await self._session.send_once(request, read_submitted))

    async def poll(self, task_id: str | None, external_task_id: str | None) -> TaskSnapshot:
        """Query a task by the id that is known, once; the service's own id comes first."""
        request, read = self._query(task_id, external_task_id)
        return self._noted(await self._session.send_once(request, read))

    async def query(self, task_id: str | None, external_task_id: str | None) -> TaskSnapshot:
        """As ``poll``, tried again over passing failures."""
        request, read = self._query(task_id, external_task_id)
        return self._noted(await self._session.send(request, read))

    async def look_up(self, external_task_id: str) -> TaskSnapshot:
        """The task under this external id, over passing failures.

        Raises:
            TaskNotFoundError: a clear answer that there is none, so it is not tried again.
        """
        request = build_lookup(self._service, external_task_id)
        read = partial(read_found, queried_id=external_task_id)
        return await self._session.send(request, read, final=(TaskNotFoundError,))

    async def find(self, task_id: str) -> TaskSnapshot:
        """The task under its own id, over passing failures.

        Raises:
            TaskNotFoundError: a clear answer that there is none, so it is not tried again.
        """
        request, read = self._query(task_id, None)
        return self._noted(await self._session.send(request, read, final=(TaskNotFoundError,)))

    async def list_page(self, number: int, size: int, *, may_be_missing: bool = False) -> TaskPage:
        """One page of the account's tasks.

        Args:
            may_be_missing: an answer that is no page means that there is no list, and is final.
        """
        request = build_list(self._service, page=number, page_size=size)
        read = partial(read_page, page=number, page_size=size)
        return await self._session.send(
            request, read, final=(ReplyError,) if may_be_missing else ()
        )

    async def poll_list(
        self, number: int, size: int, wanted: Mapping[str, TaskSnapshot | None]
    ) -> Listed:
        """One page, once; tasks that are not wanted, or did not change, are not read."""
        request = build_list(self._service, page=number, page_size=size)
        listed = await self._session.send_once(request, partial(read_listed, wanted=wanted))
        for snapshot in listed.tasks:
            self.recent_tasks.note(snapshot)
        return listed

    def _query(
        self, task_id: str | None, external_task_id: str | None
    ) -> tuple[Request, Callable[[Reply], TaskSnapshot]]:
        if task_id is not None:
            return build_query(self._service, task_id), partial(read_task, queried_id=task_id)
        name = external_task_id or ""
        return build_lookup(self._service, name), partial(read_found, queried_id=name)

    def _noted(self, snapshot: TaskSnapshot) -> TaskSnapshot:
        self.recent_tasks.note(snapshot)
        return snapshot


class RecentTasks:
    """When tasks were seen to end.

    What was seen here counts more than the times in the service's answers: its clock can be another
    one, and some services set the times of their rows again and again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended_at: OrderedDict[str, float | None] = OrderedDict()  # None: not yet

    def __len__(self) -> int:
        """How many tasks are remembered."""
        return len(self._ended_at)

    def note(self, snapshot: TaskSnapshot) -> None:
        """Take in an answer of the service."""
        task_id = snapshot.task_id
        if not snapshot.is_final:
            self._ended_at.setdefault(task_id, None)
        elif self._ended_at.get(task_id, 0.0) is None:
            self._ended_at[task_id] = self._clock.monotonic()
        if len(self._ended_at) > _REMEMBERED:
            self._ended_at.popitem(last=False)

    def is_new(self, snapshot: TaskSnapshot) -> bool:
        """Whether an ended task may have ended a moment ago."""
        ended_at = self._ended_at.get(snapshot.task_id)
        if ended_at is not None:
            return self._clock.monotonic() - ended_at <= _NEW_S
        if snapshot.updated_at is None:
            return True
        return self._clock.now() - snapshot.updated_at <= timedelta(seconds=_NEW_S)
