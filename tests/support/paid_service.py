"""A service in memory that keeps books, and a submitter in front of it.

The books are the truth about money: what the client believes is compared with them.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias, TypeVar

from attrs import frozen

from kling_effects_async.api import EffectsApi
from kling_effects_async.errors import (
    ConcurrencyLimitError,
    InvalidRequestError,
    KlingEffectsError,
    NetworkError,
    TaskNotFoundError,
)
from kling_effects_async.journal.job import Job, JobState
from kling_effects_async.journal.store import JobStore, MemoryStore
from kling_effects_async.models import TaskSnapshot, TaskStatus
from kling_effects_async.policy import RetryPolicy, SlotPolicy, SubmitPolicy
from kling_effects_async.protocol.messages import Request
from kling_effects_async.runtime import compose_submitter
from kling_effects_async.submitting.slots import Slot, SlotLimiter
from kling_effects_async.transport.clock import SystemClock

__all__ = ["ACCOUNT", "Bench", "Failure", "Otherwise", "PaidService", "a_job", "lost"]

ACCOUNT = "mine"


T = TypeVar("T")
Call: TypeAlias = Callable[[T], Awaitable[TaskSnapshot]]


def a_job(name: str, *, scene: str = "squish", content: str = "a cat") -> Job:
    """The plan of a job under this external id."""
    return Job(
        account=ACCOUNT,
        external_task_id=name,
        scene=scene,
        fingerprint=content,
        effect="{}",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def request_for(name: str) -> Request:
    return Request(method="POST", path=f"/{name}", is_repeatable=False)


@frozen(kw_only=True)
class Failure:
    """What goes wrong with one POST.

    Attributes:
        error: what the caller gets; ``None`` for the service's own answer.
        is_accepted: whether the service does its work first, and charges for it.
        arrives_after_s, answers_after_s: before and after it does its work, in seconds.
    """

    error: KlingEffectsError | None = None
    is_accepted: bool = False
    arrives_after_s: float = 0.0
    answers_after_s: float = 0.0


def lost(*, is_accepted: bool) -> Failure:
    """The connection breaks before the answer."""
    return Failure(error=NetworkError("the connection broke"), is_accepted=is_accepted)


class PaidService(EffectsApi):
    """One account at a service.

    Attributes:
        books: the task ids accepted under each external id; a second one is money lost.
        rejects_used_ids, finds_external_ids: what no document tells about it.
        answers_lookups: off, nobody answers a lookup.
        limit: of unfinished tasks; ``None`` for none.
        script: failure for the next POSTs, in order.
    """

    def __init__(self) -> None:
        self.books: dict[str, list[str]] = {}
        self.posts: list[str] = []
        self.lookups: list[str] = []
        self.unfinished: set[str] = set()
        self.rejects_used_ids = True
        self.finds_external_ids = True
        self.answers_lookups = True
        self.limit: int | None = None
        self.answer_s = 0.0
        self.script: deque[Failure] = deque()
        self._hidden: Counter[str] = Counter()

    def hides(self, name: str, *, lookups: int) -> None:
        """Answer so many lookups of this id as a late replica would."""
        self._hidden[name] += lookups

    @property
    def has_list(self) -> bool:
        return False

    @property
    def total(self) -> int:
        return sum(map(len, self.books.values()))

    async def submit(self, request: Request) -> TaskSnapshot:
        name = request.path.removeprefix("/")
        self.posts.append(name)
        failure = self.script.popleft() if self.script else Failure()
        await asyncio.sleep(failure.arrives_after_s)
        if failure.error is not None and not failure.is_accepted:
            raise copy.copy(failure.error)
        task_id = self.accept(name)
        await asyncio.sleep(failure.answers_after_s + self.answer_s)
        if failure.error is not None:
            raise copy.copy(failure.error)
        return _snapshot(task_id, name)

    async def look_up(self, external_task_id: str) -> TaskSnapshot:
        name = external_task_id
        self.lookups.append(name)
        await asyncio.sleep(0)
        if not self.answers_lookups:
            raise NetworkError("nobody answers", sent=True)
        is_hidden = self._hidden[name] > 0
        self._hidden[name] -= is_hidden
        if is_hidden or not self.finds_external_ids or name not in self.books:
            message = f"Task not found by id/external id: {name}"
            raise TaskNotFoundError(message, code=1201, http_status=400, retryable=True)
        return _snapshot(self.books[name][-1], name)

    def accept(self, name: str) -> str:
        """Make a task, and charge for it."""
        if self.rejects_used_ids and name in self.books:
            raise InvalidRequestError(f"External_task_id {name} already exists", code=1201)
        if self.limit is not None and len(self.unfinished) >= self.limit:
            raise ConcurrencyLimitError("parallel task limit", code=1303, retryable=True)
        task_id = f"t{self.total}"
        self.books.setdefault(name, []).append(task_id)
        self.unfinished.add(task_id)
        return task_id


def _snapshot(task_id: str, name: str) -> TaskSnapshot:
    return TaskSnapshot(
        task_id=task_id,
        external_task_id=name,
        status=TaskStatus.SUBMITTED,
        raw_status="submitted",
    )


class Otherwise(EffectsApi):
    """The service, with another way to submit or to look up."""

    def __init__(
        self,
        service: PaidService,
        *,
        submit: Call[Request] | None = None,
        look_up: Call[str] | None = None,
    ) -> None:
        self._submit = submit or service.submit
        self._look_up = look_up or service.look_up

    @property
    def has_list(self) -> bool:
        return False

    async def submit(self, request: Request) -> TaskSnapshot:
        return await self._submit(request)

    async def look_up(self, external_task_id: str) -> TaskSnapshot:
        return await self._look_up(external_task_id)


class Bench:
    """One process: a submitter of its own, the store and the service given to it.

    Attributes:
        held_slots: of the accepted tasks, by task id.
    """

    def __init__(
        self,
        service: PaidService | None = None,
        store: JobStore | None = None,
        *,
        slots: SlotPolicy | None = None,
        submit: SubmitPolicy | None = None,
        retry: RetryPolicy | None = None,
        budget_units: Decimal | None = None,
        api: EffectsApi | None = None,
        on_accepted: Callable[[Job, TaskSnapshot, Slot], None] | None = None,
    ) -> None:
        self.service = service or PaidService()
        self.store: JobStore = store or MemoryStore()
        self.held_slots: dict[str, Slot] = {}
        self.submitter = compose_submitter(
            api or self.service,
            self.store,
            slots=slots or SlotPolicy(),
            submit=submit or SubmitPolicy(),
            retry=retry or RetryPolicy(),
            budget_units=budget_units,
            on_accepted=on_accepted or self.accepted,
            clock=SystemClock(),
            rng=lambda: 0.5,
        )

    @property
    def slots(self) -> SlotLimiter:
        return self.submitter.slots

    def accepted(self, _job: Job, snapshot: TaskSnapshot, slot: Slot) -> None:
        self.held_slots[snapshot.task_id] = slot

    async def submit(self, name: str) -> Job:
        return await self.submitter.submit(a_job(name), request_for(name))

    async def state(self, name: str) -> JobState:
        return (await self.store.add(a_job(name))).state

    def end(self, task_id: str) -> None:
        """The service ended the task, and we heard of it."""
        self.service.unfinished.discard(task_id)
        self.held_slots.pop(task_id).release()
