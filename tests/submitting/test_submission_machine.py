"""Any order of submits, faults, cancels and crashes: nothing is paid twice or lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import looptime
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from kling_effects_async.errors import (
    AccountError,
    AuthenticationError,
    ConcurrencyLimitError,
    ContentRejectedError,
    KlingEffectsError,
    NetworkError,
    RateLimitError,
    ReplyError,
    ServiceError,
)
from kling_effects_async.journal.job import Job, JobState, JobUpdate
from kling_effects_async.journal.store import MemoryStore
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.policy import SlotPolicy, SubmitPolicy
from kling_effects_async.protocol.messages import Request
from tests.support.paid_service import ACCOUNT, Bench, Failure, Otherwise, PaidService

T = TypeVar("T")

NAMES = ("a", "b", "c", "d")
UNCERTAIN_STEPS = (JobState.SUBMITTING, JobState.UNCERTAIN)
NEVER_SENT = (JobState.PLANNED, JobState.REJECTED)

NO_ANSWER = (NetworkError("the connection broke"), ReplyError("an HTML page"))
FAILURE = ServiceError("internal error", code=5000, retryable=True, may_be_accepted=True)
NOT_SENT = (
    NetworkError("connection refused", sent=False),
    RateLimitError("too fast", code=1302, retryable=True, retry_after_s=20),
    RateLimitError("far too fast", code=1302, retryable=True, retry_after_s=10**9),
    ConcurrencyLimitError("no slot", code=1303, retryable=True),
    AccountError("nothing left", code=1102),
    AuthenticationError("wrong key", code=1000),
    ContentRejectedError("risk control", code=1301),
)

LOST = st.builds(
    Failure,
    error=st.sampled_from((*NO_ANSWER, FAILURE)),
    is_accepted=st.booleans(),
    arrives_after_s=st.sampled_from((0, 3)),
    answers_after_s=st.sampled_from((0, 3, 30)),
)
REJECTED = st.builds(
    Failure, error=st.sampled_from(NOT_SENT), arrives_after_s=st.sampled_from((0, 3))
)
LATE = st.builds(
    Failure,
    arrives_after_s=st.sampled_from((0, 8)),
    answers_after_s=st.sampled_from((3, 30)),
)


class Process:
    """A process that can die: what it had under way reaches nobody any more."""

    def __init__(self, service: PaidService, store: MemoryStore, policy: SubmitPolicy) -> None:
        self.is_dead = False
        self.submits: list[asyncio.Task[None]] = []
        self.store = _Mortal(store, self)
        self.bench = Bench(
            service,
            self.store,
            slots=SlotPolicy(start=2),
            submit=policy,
            api=Otherwise(service, submit=self.post, look_up=self.look_up),
        )

    async def submit(self, name: str) -> None:
        """As a caller who takes what comes."""
        with suppress(KlingEffectsError):
            await self.bench.submit(name)

    def check(self) -> None:
        if self.is_dead:
            raise asyncio.CancelledError

    async def post(self, request: Request) -> TaskSnapshot:
        self.check()
        return await self.bench.service.submit(request)

    async def look_up(self, name: str) -> TaskSnapshot:
        self.check()
        return await self.bench.service.look_up(name)

    async def ended(self) -> None:
        """Cancel every caller, and wait for what they leave behind."""
        for submit in self.under_way:
            submit.cancel()
        await asyncio.gather(*self.submits, return_exceptions=True)
        await self.bench.submitter.aclose()
        await self.store.written()

    @property
    def under_way(self) -> list[asyncio.Task[None]]:
        return [submit for submit in self.submits if not submit.done()]


class _Mortal(MemoryStore):
    """The store as one process sees it: after its death it writes nothing more.

    As in a journal, an await that is cancelled does not take back what it wrote.
    """

    def __init__(self, store: MemoryStore, process: Process) -> None:
        super().__init__()
        self.__dict__.update(store.__dict__)  # the same disk
        self._process = process
        self._writes: set[asyncio.Task[None]] = set()

    async def move(self, *given: Any, **named: Any) -> None:
        self._process.check()
        write = asyncio.create_task(self._written(*given, **named))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        await asyncio.shield(write)

    async def written(self) -> None:
        """Until nothing is being written any more."""
        await asyncio.gather(*self._writes, return_exceptions=True)

    async def _written(self, *given: Any, **named: Any) -> None:
        await asyncio.sleep(0)  # a disk takes a moment
        self._process.check()
        await super().move(*given, **named)


class PaidOnce(RuleBasedStateMachine):
    """The model is the service's own books."""

    submits = Bundle("submits")

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop()
        self.service = PaidService()
        self.store = MemoryStore()
        self.policy = SubmitPolicy(cancel_grace_s=10, settle_pause_s=5)
        self.process = Process(self.service, self.store, self.policy)

    def let(self, act: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(act)

    @initialize(rejects=st.booleans(), finds=st.booleans(), limit=st.sampled_from((None, 1, 3)))
    def choose_the_service(self, rejects: bool, finds: bool, limit: int | None) -> None:
        self.service.rejects_used_ids = rejects
        self.service.finds_external_ids = finds
        self.service.limit = limit

    # -- what happens

    @rule(target=submits, name=st.sampled_from(NAMES))
    def submit(self, name: str) -> asyncio.Task[None]:
        submit = self.loop.create_task(self.process.submit(name))
        self.process.submits.append(submit)
        self.let(asyncio.sleep(0))
        return submit

    @rule(seconds=st.sampled_from((0.0, 1.0, 4.0, 6.0, 70.0)))
    def let_time_pass(self, seconds: float) -> None:
        self.let(asyncio.sleep(seconds))

    @rule(failure=st.one_of(LOST, REJECTED, LATE))
    def script_failure(self, failure: Failure) -> None:
        self.service.script.append(failure)

    @rule(does_answer=st.booleans())
    def lookups_fail_or_work(self, does_answer: bool) -> None:
        self.service.answers_lookups = does_answer

    @rule(submit=submits, is_impatient=st.booleans())
    def cancel(self, submit: asyncio.Task[None], is_impatient: bool) -> None:
        submit.cancel()
        if is_impatient:
            self.let(asyncio.sleep(0.5))
            submit.cancel()
        self.let(asyncio.sleep(0))

    @precondition(lambda self: self.process.bench.held_slots)
    @rule(data=st.data())
    def a_task_ends(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.process.bench.held_slots))))

    def end(self, task_id: str) -> None:
        (name,) = (name for name, ids in self.service.books.items() if task_id in ids)
        self.process.bench.end(task_id)
        self.let(self.store.move(ACCOUNT, name, JobUpdate(JobState.SUCCEEDED)))

    @rule()
    def crash(self) -> None:
        self.process.is_dead = True
        self.let(self.process.ended())
        self.start_process()

    def start_process(self) -> None:
        self.process = Process(self.service, self.store, self.policy)
        for job in self.jobs():
            if job.state is JobState.ACCEPTED:
                assert job.task_id is not None
                slot = self.process.bench.slots.adopt()
                slot.accept()
                self.process.bench.held_slots[job.task_id] = slot

    # -- what holds

    def jobs(self) -> list[Job]:
        async def listed() -> list[Job]:
            return [job async for job in self.store.jobs()]

        return self.let(listed())

    @invariant()
    def no_submit_breaks_down(self) -> None:
        for submit in self.process.submits:
            if submit.done() and not submit.cancelled():
                submit.result()

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        assert all(len(task_ids) == 1 for task_ids in self.service.books.values())

    @invariant()
    def nothing_paid_is_lost(self) -> None:
        for job in self.jobs():
            for task_id in self.service.books.get(job.external_task_id, []):
                assert job.state not in NEVER_SENT
                assert job.task_id == task_id or job.state in UNCERTAIN_STEPS

    @invariant()
    def slots_are_held_by_tasks_and_attempts_alone(self) -> None:
        slots, followed = self.process.bench.slots, len(self.process.bench.held_slots)
        # What was accepted is followed as soon as that is written down.
        most = followed + len(self.process.under_way) + self.process.bench.submitter.under_way
        assert followed <= slots.running <= slots.held <= most

    def teardown(self) -> None:
        try:
            self.everything_comes_to_its_end()
        finally:
            self.loop.close()

    def everything_comes_to_its_end(self) -> None:
        """Faults stop, lookups work, and whatever was planned is submitted again."""
        self.service.script.clear()
        self.service.limit = None
        self.service.answers_lookups = self.service.finds_external_ids = True
        self.let(self.process.ended())
        self.start_process()
        # A task that is known to exist: without one, no uncertain job can be settled.
        names = ["known", *(job.external_task_id for job in self.jobs())]
        for name in names:
            for task_id in tuple(self.process.bench.held_slots):
                self.end(task_id)  # or all slots stay taken
            self.let(asyncio.sleep(61))  # a shut breaker lets one through
            job = self.let(self.process.bench.submit(name))
            assert job.task_id == self.service.books[name][0]
        self.nothing_is_paid_twice()
        self.nothing_paid_is_lost()
        self.slots_are_held_by_tasks_and_attempts_alone()


TestPaidOnce = PaidOnce.TestCase
TestPaidOnce.settings = settings(max_examples=150, stateful_step_count=25)
