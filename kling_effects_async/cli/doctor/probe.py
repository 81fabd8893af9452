"""What a service answers to a few GET requests, none of which costs anything."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from attrs import define, field, frozen

from kling_effects_async import (
    InvalidRequestError,
    KlingEffectsError,
    ReplyError,
    RetryPolicy,
    Settings,
    TaskNotFoundError,
    TaskSnapshot,
)
from kling_effects_async.models import TaskPage
from kling_effects_async.protocol.http_dates import http_date
from kling_effects_async.protocol.messages import Reply, Request
from kling_effects_async.protocol.requests import build_list, build_lookup, build_query
from kling_effects_async.protocol.task_body import read_found, read_task
from kling_effects_async.protocol.task_list import read_page
from kling_effects_async.transport.clock import SystemClock
from kling_effects_async.transport.proxies import Proxies
from kling_effects_async.transport.session import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Probe", "probe"]

T = TypeVar("T")

_PAGE_SIZE = 100
# So many unfinished tasks are asked for singly, to see how old their state in the list is.
_COMPARED = 3
# How a service answers a path, or an id, that it does not know.
_NO_SUCH_ANSWER = (ReplyError, InvalidRequestError)
# Nobody waits longer in front of a terminal.
_RETRY = RetryPolicy(attempts=1, connect_timeout_s=5.0, answer_timeout_s=15.0)


@frozen(kw_only=True)
class Probe:
    """What was found out.

    Attributes:
        error: why nothing was; ``None`` if the service answered with this key.
        answered_in_s: how long the first answer took; ``None`` without one.
        ahead_s: how far this machine's clock is ahead of the service's ``Date``, in seconds;
            ``None`` where no answer had one.
        tasks: on the first page of its list; ``None``: it has no list.
        finds_external_ids: ``None`` where no task with such an id was there to look up.
        newest_at: when the newest task of the list was created; ``None`` where it does not tell.
        list_behind_s: how much older the state of a running task is in the list than in a query of
            its own, at most; ``None`` where no task runs.
    """

    error: KlingEffectsError | None = None
    answered_in_s: float | None = None
    ahead_s: float | None = None
    tasks: int | None = None
    finds_external_ids: bool | None = None
    newest_at: datetime | None = None
    list_behind_s: float | None = None


async def probe(settings: Settings) -> Probe:
    """Ask the service for its list, for one task, and for a task that there is not."""
    heard = _Heard()
    try:
        async with _session(settings) as session:
            return await _probe(_Asker(session, heard), settings, heard)
    except KlingEffectsError as error:
        return Probe(error=error, answered_in_s=heard.first_after_s, ahead_s=heard.ahead_s)


@asynccontextmanager
async def _session(settings: Settings) -> AsyncIterator[Session]:
    session = Session(
        settings.service,
        settings.credentials,
        retry=_RETRY,
        clock=SystemClock(),
        rng=random.random,
        proxies=Proxies.of(None, os.environ),
    )
    try:
        yield session
    finally:
        await session.aclose()


@define
class _Heard:
    """What every answer has, whatever it says."""

    started: float = field(factory=monotonic)
    first_after_s: float | None = None
    ahead_s: float | None = None

    def note(self, reply: Reply) -> None:
        if self.first_after_s is None:
            self.first_after_s = monotonic() - self.started
        date = http_date(reply.headers.get("date", ""))
        if date is not None:
            self.ahead_s = (datetime.now(UTC) - date) / timedelta(seconds=1)


@frozen
class _Asker:
    session: Session
    heard: _Heard

    async def ask(self, request: Request, read: Callable[[Reply], T]) -> T:
        def note(reply: Reply) -> T:
            self.heard.note(reply)
            return read(reply)

        return await self.session.send_once(request, note)


async def _probe(asker: _Asker, settings: Settings, heard: _Heard) -> Probe:
    page = await _page(asker, settings)
    if page is None:
        await _ask_for_nothing(asker, settings)  # for the key, which a missing list may not check
        return Probe(answered_in_s=heard.first_after_s, ahead_s=heard.ahead_s)
    times = [task.created_at for task in page if task.created_at is not None]
    found = await _is_found(asker, settings, page)
    behind_s = await _behind_s(asker, settings, page)
    return Probe(
        answered_in_s=heard.first_after_s,
        ahead_s=heard.ahead_s,
        tasks=len(page.tasks),
        finds_external_ids=found,
        newest_at=max(times, default=None),
        list_behind_s=behind_s,
    )


async def _page(asker: _Asker, settings: Settings) -> TaskPage | None:
    """The first page; ``None``: there is no list, by what is answered in its place."""
    request = build_list(settings.service, page=1, page_size=_PAGE_SIZE)
    try:
        return await asker.ask(request, partial(read_page, page=1, page_size=_PAGE_SIZE))
    except _NO_SUCH_ANSWER:
        return None


async def _ask_for_nothing(asker: _Asker, settings: Settings) -> None:
    name = f"doctor-{secrets.token_hex(8)}"
    try:
        await asker.ask(build_lookup(settings.service, name), partial(read_found, queried_id=name))
    except TaskNotFoundError:  # as it should be
        return


async def _is_found(asker: _Asker, settings: Settings, page: TaskPage) -> bool | None:
    known = next((task for task in page if task.external_task_id), None)
    if known is None or known.external_task_id is None:
        return None
    name = known.external_task_id
    try:
        found = await asker.ask(
            build_lookup(settings.service, name), partial(read_found, queried_id=name)
        )
    except _NO_SUCH_ANSWER:
        return False
    return found.task_id == known.task_id


async def _behind_s(asker: _Asker, settings: Settings, page: TaskPage) -> float | None:
    running = [task for task in page if not task.is_final][:_COMPARED]
    ages = [await _age_s(asker, settings, task) for task in running]
    return max((age for age in ages if age is not None), default=None)


async def _age_s(asker: _Asker, settings: Settings, listed: TaskSnapshot) -> float | None:
    """How much older the listed state is than the queried one; ``None``: it cannot be told."""
    request = build_query(settings.service, listed.task_id)
    try:
        queried = await asker.ask(request, partial(read_task, queried_id=listed.task_id))
    except _NO_SUCH_ANSWER:
        return None
    if queried.updated_at is None or listed.updated_at is None:
        return None
    return max(0.0, (queried.updated_at - listed.updated_at) / timedelta(seconds=1))
