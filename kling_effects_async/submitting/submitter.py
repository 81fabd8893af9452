"""Having a job accepted exactly once, whatever happens on the way.

    add to the journal -> wait for a slot -> SUBMITTING is durable -> POST -> outcome is durable

``outcome`` decides what an answer, or none, means. Where a task may exist, it is looked up, and
sent again only if it surely does not exist; see ``settling``. In any other case the job stays
UNCERTAIN and a person decides, unless the policy prefers a second charge to a missing clip.

Where the service has a task under the external id already, it is ours if this id was sent from here
before, by this process or by the journal, or if the id is made from the content. Any other task is
somebody else's, and an error.

From the write of SUBMITTING until that of the outcome, cancelling the caller does not cancel the
attempt; see ``attempts``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

from attrs import evolve

from kling_effects_async.api import EffectsApi
from kling_effects_async.errors import (
    ApiError,
    ClientClosedError,
    ClientDrainingError,
    ConcurrencyLimitError,
    EffectRejectedError,
    ExternalIdTakenError,
    ImageRejectedError,
    JobStateError,
    JournalError,
    KlingEffectsError,
    NetworkError,
    ReplyError,
    Scope,
    SubmissionUncertainError,
)
from kling_effects_async.journal.job import UNSETTLED, Job, JobState, JobUpdate, apply
from kling_effects_async.journal.store import JobStore
from kling_effects_async.log_fields import log_fields
from kling_effects_async.models import TaskSnapshot
from kling_effects_async.policy import SubmitPolicy
from kling_effects_async.protocol.messages import Request
from kling_effects_async.submitting.admission import Admission, Permit
from kling_effects_async.submitting.attempts import Attempts
from kling_effects_async.submitting.decision import DIED, steps_after_lookup
from kling_effects_async.submitting.outcome import SubmitOutcome, may_have_arrived, outcome_of
from kling_effects_async.submitting.planning import is_made_here, is_random
from kling_effects_async.submitting.reports import SubmitReports
from kling_effects_async.submitting.settling import Finder, Finding
from kling_effects_async.submitting.slots import Slot, SlotLimiter
from kling_effects_async.transport.clock import Clock
from kling_effects_async.transport.unforeseen import class_and_position

__all__ = ["Submitter"]

_log = logging.getLogger(__name__)

_CANCELLED = "its submit was cancelled before the answer came"
_CLOSED = "the client was closed before the answer came"
_HAS_TASK = frozenset({JobState.ACCEPTED, JobState.SUCCEEDED, JobState.FAILED, JobState.DOWNLOADED})


class Submitter:
    """Submits the jobs of one account at one service.

    Args:
        on_accepted: called with every accepted task and its slot, which it gives back.
        told_id: the id of the task with this external id, if the service has told of it by itself.
    """

    def __init__(
        self,
        api: EffectsApi,
        store: JobStore,
        admission: Admission,
        *,
        on_accepted: Callable[[Job, TaskSnapshot, Slot], None],
        budget_units: Decimal | None,
        submit: SubmitPolicy,
        clock: Clock,
        reports: SubmitReports,
        told_id: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._told_id = told_id
        self._is_closed = False
        self._api = api
        self._reports = reports
        self._on_accepted = on_accepted
        self._store = store
        self._admission = admission
        self._budget_units = budget_units
        self._policy = submit
        self._clock = clock
        self._attempts = Attempts(submit.cancel_grace_s)
        self._unwritten: dict[str, str] = {}  # why jobs are uncertain, where no write says so
        self._finder = Finder(api, store, clock, pause_s=submit.settle_pause_s, told_id=told_id)

    @property
    def slots(self) -> SlotLimiter:
        """How many tasks of the account may run at once."""
        return self._admission.slots

    @property
    def under_way(self) -> int:
        """How many attempts have no outcome yet, those of cancelled callers included."""
        return len(self._attempts)

    @property
    def waiting(self) -> int:
        """See ``Admission.waiting``."""
        return self._admission.waiting

    @property
    def held_back_by(self) -> KlingEffectsError | None:
        """See ``Admission.held_back_by``."""
        return self._admission.held_back_by

    @property
    def uncertain(self) -> int:
        """See ``SubmitReports.uncertain_jobs``."""
        return self._reports.uncertain_jobs

    async def submit(self, job: Job, request: Request, *, found: TaskSnapshot | None = None) -> Job:
        """Have the job accepted; the job as it stands then, with its task id.

        A job that the account has already is not sent again: it is settled if it is uncertain, and
        handed back as it is otherwise.

        Args:
            found: the task that the service has under the job's external id, where that is known.

        Raises:
            IdempotencyConflictError: the external id belongs to another effect, or to a task that
                was not submitted here.
            AccountChangedError: the journal holds the job under another account.
            SubmissionUncertainError: the answer was lost and could not be settled.
            EffectRejectedError: the job was abandoned by a person.
            BudgetExceededError: it would cost more than is left.
            ApiError, TransportError: rejected, or surely not received.
            JournalError: it cannot be written down, so it was not sent.
        """
        async with self._turn_of(job):
            share, job = job.share, await self._store.add(job)
            if share:  # otherwise that of the call before, which the journal has
                job = evolve(job, share=share)
            if job.state is JobState.ABANDONED:
                raise EffectRejectedError(
                    f"job {job.external_task_id!r} was abandoned: use another external_task_id"
                )
            if job.state in UNSETTLED:
                job = await self._settled(job)
            if job.state is JobState.REJECTED:  # it never had a task, so nothing is paid twice
                job = await self._move(job, JobUpdate(JobState.PLANNED, note="asked for again"))
            if job.state in _HAS_TASK:
                return job
            return await self._reported(job, self._have_accepted(job, request, found))

    async def settle(self, job: Job) -> Job:
        """Settle an uncertain job: accepted, or planned again.

        Raises:
            SubmissionUncertainError: whether it has a task cannot be settled.
        """
        async with self._turn_of(job):
            job = await self._store.add(job)
            job = await self._settled(job) if job.state in UNSETTLED else job
            self._reports.settled(job)
            return job

    async def look_up(self, job: Job) -> tuple[Job, Finding]:
        """Look an uncertain job up once; the job as it stands then, and what was found.

        Raises:
            JobStateError: it is not uncertain.
            KlingEffectsError: the lookup got no answer.
        """
        async with self._turn_of(job):
            job = await self._store.add(job)
            if job.state not in UNSETTLED:
                raise JobStateError(job.external_task_id, job.state, "looked up")
            finding = await self._finder.look_up_once(job)
            for step in steps_after_lookup(job, finding.snapshot):
                job = await self._move(job, step)
            if finding.snapshot is not None:
                self._reports.accepted(job, finding.snapshot.task_id)
            return job, finding

    async def decide(self, job: Job, steps: Callable[[Job], list[JobUpdate]]) -> Job:
        """Write down what a person decided about a job; see ``decision``.

        Raises:
            JobStateError: its state does not allow it.
        """
        async with self._turn_of(job):
            job = await self._store.add(job)
            for step in steps(job):
                job = await self._move(job, step)
            self._reports.settled(job)
            return job

    def abandon(self, job: Job) -> asyncio.Future[None]:
        """Abandon a job that is only planned, after any submit of it has ended.

        What may have been accepted stays as it is. The future may be left alone.
        """
        return self._attempts.in_background(self._abandon(job))

    def drain(self) -> None:
        """Send no more submits; what was sent goes on to its answer."""
        self._admission.close(
            ClientDrainingError("the client takes no new jobs, and this was not sent: submit later")
        )

    def settle_told(self, find: Callable[[], Awaitable[Job | None]]) -> None:
        """Settle a job that the service tells of, if it is uncertain, after any submit of it.

        Where that fails it stays uncertain.
        """
        self._attempts.in_background(self._settle_told(find))

    async def aclose(self) -> None:
        """Stop sending, and wait for pending submits, within bounds."""
        self._is_closed = True
        error = ClientClosedError("the client was closed before this was sent; submit it again")
        self._admission.close(error)
        await self._attempts.aclose()

    # -- sending

    async def _reported(self, job: Job, submit: Awaitable[Job]) -> Job:
        self._reports.queued(job)
        try:
            return await submit
        except BaseException as error:  # raised again
            self._report_end(job, error)
            raise

    async def _have_accepted(self, job: Job, request: Request, found: TaskSnapshot | None) -> Job:
        # Within the turn, so that no other client submits between the lookup and the POST.
        if found is None and self._needs_lookup(job):
            found = await self._finder.look_up(job)
        return await (self._send(job, request) if found is None else self._adopt(job, found))

    async def _send(self, job: Job, request: Request) -> Job:
        first_try_at = math.inf  # the wait for a slot does not count
        tries = 0
        found_no_slot = False
        while True:
            # Not within the try: a stopped account ends the submit without any more pauses.
            self._admission.check()
            try:
                permit = await self._admission.enter(
                    is_next=found_no_slot, share=job.share, name=job.external_task_id
                )
                first_try_at = min(first_try_at, self._clock.monotonic())
                job = await self._detached(job, self._attempt(job, request, permit))
                if job.state in _HAS_TASK:
                    return job
                error: KlingEffectsError = _proved_absent(job)
            except KlingEffectsError as rejected:
                error = rejected
            job = evolve(job, was_sent=job.was_sent or may_have_arrived(error))
            # Rejections for the pace use up no tries: max_retry_after_s bounds them for all jobs.
            tries += error.scope is not Scope.PACE
            pause_s = self._admission.pause_s(tries, error)
            elapsed_s = self._clock.monotonic() - first_try_at + pause_s
            if not self._admission.may_try_again(
                error, job.external_task_id, tries=tries, elapsed_s=elapsed_s
            ):
                raise error
            self._reports.queued(job, error)
            found_no_slot = isinstance(error, ConcurrencyLimitError)
            await self._admission.rest(pause_s)

    def _report_end(self, job: Job, error: BaseException) -> None:
        """Report how a submit ended; that of a cancelled caller ends with its attempt."""
        attempt = self._attempts.running(job.external_task_id)
        if attempt is None:
            self._reports.over(job, error)
        else:
            attempt.add_done_callback(lambda _: self._reports.over(job, error))

    async def _attempt(self, job: Job, request: Request, permit: Permit) -> Job:
        """One POST, between two durable lines; the first takes its part of the budget."""
        try:
            # Durable before the first byte: whoever finds this after a crash looks the task up.
            sending = JobUpdate(JobState.SUBMITTING, budget_units=self._budget_units)
            await self._write_sending(job, sending)
            self._reports.submitted(job)
            return await self._guarded(job, self._post(job, request, permit))
        except asyncio.CancelledError:
            self._reports.uncertain(job, _CANCELLED)
            raise
        finally:
            self._admission.release(permit)

    async def _write_sending(self, job: Job, sending: JobUpdate) -> None:
        try:
            await self._store.move(job.account, job.external_task_id, sending)
        except asyncio.CancelledError:  # it may be written all the same
            self._unwritten[job.external_task_id] = _CANCELLED
            raise

    async def _guarded(self, job: Job, act: Awaitable[Job]) -> Job:
        """The outermost edge of an attempt: an unforeseen exception leaves the job uncertain.

        Raises:
            SubmissionUncertainError: for whatever is no error of ours.
        """
        try:
            return await act
        except SubmissionUncertainError as error:
            self._reports.uncertain(job, error.reason)
            raise
        except KlingEffectsError:
            raise
        except Exception as fault:  # a fault of ours may come after the service accepted
            what = class_and_position(fault)
            reason = f"a fault that nobody foresaw: {what}"
            await self._mark_uncertain(job, reason)
            self._reports.uncertain(job, reason)
            raise _uncertain(job, reason) from fault

    async def _post(self, job: Job, request: Request, permit: Permit) -> Job:
        started = self._clock.monotonic()
        try:
            snapshot = await self._api.submit(request)
            await self._check_whose(job, snapshot)
        except asyncio.CancelledError:
            # The service does not see that we hang up: it may have accepted, and goes on.
            await self._mark_uncertain(job, _CANCELLED)
            raise
        except KlingEffectsError as error:
            late_s = self._clock.monotonic() - started
            return await self._after_error(job, error, permit, late_s)
        self._admission.accepted()
        return await self._accept(job, snapshot, permit.slot)

    async def _after_error(
        self, job: Job, error: KlingEffectsError, permit: Permit, late_s: float
    ) -> Job:
        outcome = outcome_of(error, external_task_id=job.external_task_id)
        if outcome is SubmitOutcome.DUPLICATE and not self._is_ours(job):
            raise await self._id_taken_elsewhere(job) from error
        if outcome is SubmitOutcome.UNCERTAIN or outcome is SubmitOutcome.DUPLICATE:
            # Before the lookups, which take seconds in which this process may die.
            job = await self._mark_uncertain(job, str(error))
            _log.info(
                "whether job %r was accepted is uncertain, it is looked up: %s",
                job.external_task_id,
                error,
                extra=log_fields(
                    "submit.uncertain",
                    external_task_id=job.external_task_id,
                    scene=job.scene,
                    error=error,
                ),
            )
            # With its slot: if there is a task, it uses that.
            return await self._settle(job, error, permit.slot, late_s=late_s)
        _log.info(
            "job %r was not accepted: %s",
            job.external_task_id,
            error,
            extra=log_fields(
                "submit.rejected",
                external_task_id=job.external_task_id,
                scene=job.scene,
                error=error,
            ),
        )
        to = JobState.REJECTED if _is_the_jobs_own_fault(error) else JobState.PLANNED
        await self._write_rejection(job, to, error, was_sent=may_have_arrived(error))
        # After the write: this wakes others, who may read the journal.
        self._admission.rejected(permit, error)
        raise error

    # -- whose task it is

    def _needs_lookup(self, job: Job) -> bool:
        """Whether an earlier submit of the job may be written down nowhere."""
        # An id that was drawn a moment ago cannot be at the service: a lookup would cost a request.
        is_drawn_now = is_random(job.external_task_id) and not job.was_sent
        return not is_drawn_now and (self._policy.look_up_first or self._store.misses_rows)

    async def _check_whose(self, job: Job, snapshot: TaskSnapshot) -> None:
        """Check that an answer is not about another job's task.

        Raises:
            ReplyError: it is of another one, so the outcome of this submit is not known.
        """
        name = snapshot.external_task_id or await self._known_as(snapshot.task_id)
        if name not in (None, job.external_task_id):
            raise ReplyError(
                f"the service answered with another job's task {snapshot.task_id} ({name!r})",
                request_id=snapshot.request_id,
            )

    async def _known_as(self, task_id: str) -> str | None:
        """The external id of the job that has the task already, for services that repeat none."""
        with suppress(JournalError):  # the answer is about a submit that was accepted
            for held in await self._store.find(task_id):
                if held.task_id == task_id:
                    return held.external_task_id
        return None

    async def _adopt(self, job: Job, found: TaskSnapshot) -> Job:
        """Take a task that was there before for the job's.

        Raises:
            ExternalIdTakenError: it was not submitted here.
        """
        if not self._is_ours(job):
            raise await self._id_taken(job, found.task_id)
        return await self._detached(job, self._guarded(job, self._write_adopted(job, found)))

    async def _write_adopted(self, job: Job, found: TaskSnapshot) -> Job:
        taken = JobUpdate(JobState.SUBMITTING, note="the service has it already")
        job = await self._move(job, taken)
        return await self._accept(job, found, self._admission.slots.adopt(job.share))

    def _is_ours(self, job: Job) -> bool:
        """Whether a task that the service has under the job's id is to be taken for the job's."""
        return (
            job.was_sent or self._policy.on_taken == "adopt" or is_made_here(job.external_task_id)
        )

    async def _id_taken_elsewhere(self, job: Job) -> ExternalIdTakenError:
        """The error about somebody else's task, with its id where a lookup finds it."""
        task_id = None
        with suppress(KlingEffectsError):
            task_id = (await self._api.look_up(job.external_task_id)).task_id
        return await self._id_taken(job, task_id)

    async def _id_taken(self, job: Job, task_id: str | None) -> ExternalIdTakenError:
        error = ExternalIdTakenError(external_task_id=job.external_task_id, task_id=task_id)
        await self._write_rejection(job, JobState.REJECTED, error)
        return error

    # -- settling

    async def _settled(self, job: Job) -> Job:
        return await self._detached(job, self._guarded(job, self._settle(job)))

    async def _settle(
        self,
        job: Job,
        error: KlingEffectsError | None = None,
        slot: Slot | None = None,
        *,
        late_s: float = 0.0,
    ) -> Job:
        """Look for a task that may exist; the job, accepted, or planned again."""
        is_duplicate = _was_called_duplicate(error, job)
        reason = str(error or self._reason_of(job))
        try:
            finding = await self._find(job, late_s=late_s, is_there=is_duplicate)
        except KlingEffectsError as unanswered:
            await self._mark_uncertain(job, reason, note=f"cannot look it up: {unanswered}")
            reason = f"{reason}; the lookup was not answered: {unanswered}"
            raise _uncertain(job, reason) from unanswered
        if finding.snapshot is not None:
            slot = slot or self._admission.slots.adopt(job.share)
            return await self._accept(job, finding.snapshot, slot)
        is_there = is_duplicate or self._told_id(job.external_task_id) is not None
        if finding.is_absent or (self._policy.on_uncertain == "resubmit" and not is_there):
            # By way of UNCERTAIN, as the table of a job's life has no other from SUBMITTING.
            job = await self._move(job, JobUpdate(JobState.UNCERTAIN))
            note = "the service does not know it" if finding.is_absent else "resubmitted by policy"
            planned = JobUpdate(JobState.PLANNED, note=note, is_absent=finding.is_absent)
            return await self._move(job, planned)
        await self._mark_uncertain(job, reason)
        raise _uncertain(job, reason) from error

    async def _find(self, job: Job, *, late_s: float, is_there: bool) -> Finding:
        """See ``Finder.find``; a task that the service tells of is there, whatever is not found."""
        finding = await self._finder.find(job, late_s=late_s, is_there=is_there)
        if finding.is_absent and self._told_id(job.external_task_id) is not None:
            return await self._finder.find(job, late_s=0.0, is_there=True)
        return finding

    async def _settle_told(self, find: Callable[[], Awaitable[Job | None]]) -> None:
        with suppress(KlingEffectsError):
            job = await find()
            if job is None or job.state not in UNSETTLED:
                return
            async with self._turn_of(job):
                job = await self._store.add(job)
                if job.state in UNSETTLED and not self._is_closed:
                    await self._settled(job)

    def _reason_of(self, job: Job) -> str:
        """Why an uncertain job is uncertain, as far as anybody knows."""
        unwritten = self._unwritten.get(job.external_task_id)
        if job.state is JobState.SUBMITTING:
            # A journal has one owner, so it was submitted by us, or by a process that is dead.
            return unwritten or DIED
        return job.message or unwritten or "an answer was lost"

    async def _mark_uncertain(self, job: Job, reason: str, *, note: str = "") -> Job:
        """Write down that there may be a task, and why that is not known."""
        update = JobUpdate(JobState.UNCERTAIN, note=note or reason, message=reason)
        self._unwritten[job.external_task_id] = reason
        try:
            marked = await self._move(job, update)
            del self._unwritten[job.external_task_id]
            return marked
        except JournalError as error:
            # It stays SUBMITTING, which is uncertain as well.
            _log.error(
                "that job %s is uncertain cannot be written: %s",
                job.external_task_id,
                error,
                extra=log_fields(
                    "journal.uncertain_unwritten",
                    external_task_id=job.external_task_id,
                    scene=job.scene,
                    error=error,
                ),
            )
            return evolve(job, was_sent=True)

    async def _write_rejection(
        self, job: Job, to: JobState, error: KlingEffectsError, *, was_sent: bool = False
    ) -> None:
        """Write down why there is no task, before it is raised, which happens in any case."""
        why = str(error)
        try:
            await self._move(job, JobUpdate(to, note=why, message=why, was_sent=was_sent))
        except JournalError as unwritten:
            # It stays SUBMITTING, so it is looked up before it is sent again.
            name = job.external_task_id
            _log.error(
                "the rejection of job %s cannot be written: %s",
                name,
                unwritten,
                extra=log_fields(
                    "journal.rejection_unwritten",
                    external_task_id=name,
                    scene=job.scene,
                    error=unwritten,
                ),
            )

    async def _accept(self, job: Job, snapshot: TaskSnapshot, slot: Slot) -> Job:
        self._unwritten.pop(job.external_task_id, None)
        slot.accept()  # first: the task runs, whether or not the journal can be written
        accepted = JobUpdate(JobState.ACCEPTED, task_id=snapshot.task_id)
        try:
            job = await self._move(job, accepted)
        except JournalError as error:
            # It is paid and goes on; a restart finds it by its external id.
            _log.error(
                "task %s cannot be written down: %s",
                snapshot.task_id,
                error,
                extra=log_fields(
                    "journal.task_unwritten",
                    task_id=snapshot.task_id,
                    external_task_id=job.external_task_id,
                    scene=job.scene,
                    error=error,
                ),
            )
            job = apply(job, accepted, at=self._clock.now())
        finally:
            self._reports.accepted(job, snapshot.task_id)
            self._on_accepted(job, snapshot, slot)
        return job

    # -- inside

    async def _abandon(self, job: Job) -> None:
        async with self._turn_of(job):
            with suppress(KlingEffectsError):
                held = await self._store.add(job)
                if held.state is JobState.PLANNED:
                    await self._move(held, JobUpdate(JobState.ABANDONED, note="its submit failed"))

    async def _move(self, job: Job, update: JobUpdate) -> Job:
        """Write it down; the job as it stands then."""
        await self._store.move(job.account, job.external_task_id, update)
        return apply(job, update, at=self._clock.now())

    async def _detached(self, job: Job, act: Coroutine[Any, Any, Job]) -> Job:
        """Run it to its outcome, even if the caller is cancelled; see ``attempts``.

        Raises:
            SubmissionUncertainError: the client was closed before the outcome was known.
        """
        return await self._attempts.run(job, act, ended=lambda: _uncertain(job, _CLOSED))

    @asynccontextmanager
    async def _turn_of(self, job: Job) -> AsyncIterator[None]:
        """One at a time for each job of the store: two callers with one id are one job.

        An attempt that a cancelled caller leaves behind keeps the turn until its end.
        """
        async with self._store.turn_of(job.account, job.external_task_id) as turn:
            try:
                yield
            finally:
                attempt = self._attempts.running(job.external_task_id)
                if attempt is not None:
                    turn.outlast(attempt)


def _is_the_jobs_own_fault(error: KlingEffectsError) -> bool:
    """Whether this job is rejected for good; a wrong key or an empty account reject them all."""
    is_about_content = isinstance(error, (ApiError, ImageRejectedError))
    return is_about_content and error.scope is Scope.JOB and not error.retryable


def _was_called_duplicate(error: KlingEffectsError | None, job: Job) -> bool:
    if error is None:
        return False
    return outcome_of(error, external_task_id=job.external_task_id) is SubmitOutcome.DUPLICATE


def _proved_absent(job: Job) -> NetworkError:
    return NetworkError(
        f"submitting {job.scene!r} brought no answer, and the service does not know the task: "
        "nothing was accepted",
        sent=False,
    )


def _uncertain(job: Job, reason: str) -> SubmissionUncertainError:
    """The error for a caller who has to look the task up before anything is paid again."""
    return SubmissionUncertainError(
        f"the answer to submitting {job.scene!r} was lost ({reason}) and "
        "looking it up did not settle it; it may exist and be charged. Nothing was sent "
        f"again. Before you do, look it up: attach(external_task_id={job.external_task_id!r})",
        external_task_id=job.external_task_id,
        scene=job.scene,
        reason=reason,
    )
