"""What a failed poll means for the waits and for the next poll; pure.

A failure delays the next poll of its task. A pause that the service requests holds for all. Where
the service does not answer anybody the circuit opens: all waits rest, one poll at a time is tried,
and a wait ends where this lasts for ``PollPolicy.max_outage_s``. A wait goes on, unless the key is
wrong, the task has been unknown for longer than replicas are late, or its polls have failed for too
long without a break.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from copy import copy

from kling_effects_async.errors import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    KlingEffectsError,
    TaskNotFoundError,
    TaskTimeoutError,
)
from kling_effects_async.log_fields import log_fields
from kling_effects_async.policy import PollPolicy, backoff_s
from kling_effects_async.polling.circuit import Circuit, concerns_service
from kling_effects_async.polling.list_breaker import ListBreaker
from kling_effects_async.polling.tracked_task import TrackedTask
from kling_effects_async.transport.clock import TICK_S

__all__ = [
    "PollFailures",
    "closed",
    "explained",
    "grace_s",
    "has_lasted",
    "is_hopeless",
    "pause_after_failure",
    "timed_out",
]

_log = logging.getLogger(__name__)


class PollFailures:
    """Applies failed polls to the tasks of one queue.

    Args:
        rng: a source of numbers in [0, 1).
    """

    def __init__(
        self, policy: PollPolicy, rng: Callable[[], float], list_breaker: ListBreaker
    ) -> None:
        self.circuit: Circuit = Circuit(rng)
        self._policy = policy
        self._rng = rng
        self._list_breaker = list_breaker
        self._paused_until = 0.0
        self._latest: KlingEffectsError | None = None

    @property
    def next_start_at(self) -> float:
        """Before this no poll may start; ``NEVER`` while a probe is under way."""
        return max(self._paused_until, self.circuit.next_start_at)

    def has_room(self, under_way: int) -> bool:
        """Whether one more poll may be under way, beside so many."""
        return under_way < min(self._policy.parallel, self.circuit.most_at_once)

    def may_start(self, now: float) -> bool:
        """Whether a poll may start now."""
        return self.next_start_at <= now + TICK_S

    def may_start_page(self, now: float) -> bool:
        """Whether a page may be requested; a single query is enough to see an outage's end."""
        return self.circuit.is_closed and self.may_start(now)

    def answered(self, now: float) -> None:
        """The service answered somebody, if only that it does not know the task."""
        circuit = self.circuit
        if not circuit.is_closed:
            if not circuit.is_of_list:
                self._list_breaker.reset(circuit.since)
            outage_s = now - circuit.since
            _log.warning(
                "the service answers polls again, after %.0f s",
                outage_s,
                extra=log_fields("polls.resumed", outage_s=outage_s),
            )
        circuit.answered(now)

    def take(self, task: TrackedTask, error: KlingEffectsError, now: float) -> bool:
        """A single query failed; whether the circuit opens by that."""
        _log.info(
            "polling task %s failed, it is polled again: %s",
            task.name,
            error,
            extra=log_fields(
                "task.poll_failed",
                task_id=task.task_id,
                external_task_id=task.external_task_id,
                scene=task.scene,
                error=error,
            ),
        )
        self._delay(task, error, now)
        if concerns_service(error):
            return self._count([task], error, now)
        self.answered(now)
        return False

    def take_page(
        self, tasks: Collection[TrackedTask], error: KlingEffectsError, now: float, *, delays: bool
    ) -> bool:
        """A page could not be had; whether the circuit opens by that.

        Args:
            delays: its tasks are polled later, and not by single queries now.
        """
        _log.info(
            "the request for a page of %d tasks failed: %s",
            len(tasks),
            error,
            extra=log_fields("polls.page_failed", tasks=len(tasks), error=error),
        )
        if delays:
            for task in tasks:
                self._delay(task, error, now)
        return concerns_service(error) and self._count(tasks, error, now, is_page=True)

    def rest(self, task: TrackedTask, now: float) -> None:
        """A task is due during an outage: it is not polled, and its wait ends after too long."""
        if self.circuit.is_closed or self._latest is None:
            return
        task.failed(self._latest, now, polls=0 if task.failures else 1)
        if task.waiters and has_lasted(task, self._policy, now):
            self._end(task, self._latest, now)

    def _count(
        self,
        tasks: Collection[TrackedTask],
        error: KlingEffectsError,
        now: float,
        *,
        is_page: bool = False,
    ) -> bool:
        was_closed = self.circuit.is_closed
        self._latest = error
        names = (task.name for task in tasks)
        opens = self.circuit.failed(names, self._asked_s(error), now, is_page=is_page)
        if opens and was_closed:
            _log.warning(
                "the service answers no poll; one at a time is tried: %s",
                error,
                extra=log_fields("polls.stopped", error=error),
            )
        return opens

    def _asked_s(self, error: KlingEffectsError) -> float | None:
        """``None`` for a pause beyond the deadline of every wait: that is a rejection."""
        asked_s = error.retry_after_s
        return None if asked_s is None or asked_s > self._policy.deadline_s else asked_s

    def _delay(self, task: TrackedTask, error: KlingEffectsError, now: float) -> None:
        task.failed(error, now)
        if isinstance(error, TaskNotFoundError) and task.unknown_since is None:
            task.unknown_since = now
        if is_hopeless(error, task, self._policy, now):
            self._end(task, error, now)
            return
        asked_s = error.retry_after_s
        pause_s = pause_after_failure(self._policy, task.failures, asked_s, self._rng)
        task.next_poll_at = now + pause_s
        if task.unknown_since is not None and asked_s is None:  # the last poll is at its end
            grace_ends_at = task.unknown_since + grace_s(task, self._policy)
            task.next_poll_at = min(task.next_poll_at, max(now + TICK_S, grace_ends_at))
        if asked_s is not None:
            self._paused_until = max(self._paused_until, task.next_poll_at)

    def _end(self, task: TrackedTask, error: KlingEffectsError, now: float) -> None:
        task.wake(explained(error, task, self._policy, now))
        task.reset_failures()
        task.next_poll_at = now + self._policy.max_interval_s


_ENDS_EVERY_WAIT = (AuthenticationError, ClientClosedError)


def is_hopeless(error: Exception, task: TrackedTask, policy: PollPolicy, now: float) -> bool:
    """Whether waiting on is of no use after this error, the last of those the task has seen.

    A task that was seen once is paid, and no rejection of a poll takes that back: it ends the wait
    only where no poll will ever be answered. For a task that was neither submitted here nor ever
    seen, the first rejection most likely means that the caller has the wrong id.
    """
    is_passing = isinstance(error, KlingEffectsError) and error.retryable
    if not is_passing and (not _exists(task) or isinstance(error, _ENDS_EVERY_WAIT)):
        return True
    if isinstance(error, ApiError) and (error.retry_after_s or 0.0) > policy.deadline_s:
        return True
    if isinstance(error, TaskNotFoundError) and task.unknown_since is not None:
        return now - task.unknown_since >= grace_s(task, policy) - TICK_S
    return has_lasted(task, policy, now)


def has_lasted(task: TrackedTask, policy: PollPolicy, now: float) -> bool:
    """Whether there was no answer about the task for so long that a wait ends."""
    return task.failures > 0 and now - task.failing_since >= policy.max_outage_s


def grace_s(task: TrackedTask, policy: PollPolicy) -> float:
    """How long the service may answer that it does not know the task."""
    if _exists(task):
        return policy.not_found_grace_s
    return min(policy.attached_grace_s, policy.not_found_grace_s)


def explained(
    error: KlingEffectsError, task: TrackedTask, policy: PollPolicy, now: float
) -> KlingEffectsError:
    """The error that ends a wait, with what was tried before."""
    if not isinstance(error, TaskNotFoundError) or task.unknown_since is None:
        return _resumable(error, task, now) if has_lasted(task, policy, now) else error
    named = copy(error)
    named.name, named.polls = task.name, task.failures
    named.polled_s = now - task.failing_since
    return named


def _resumable(error: KlingEffectsError, task: TrackedTask, now: float) -> KlingEffectsError:
    """The latest failure, and that the task is not lost by it."""
    advice = (
        f"There was no answer about task {task.name} for {now - task.failing_since:.0f} s; "
        "if it exists, it goes on at the service: attach() to it later, and do not pay again"
    )
    advised = copy(error)
    if isinstance(advised, ApiError):
        advised.advice = f"{advised.advice}. {advice}" if advised.advice else advice
    else:
        advised.args = (f"{error}. {advice}",)
    return advised


def pause_after_failure(
    policy: PollPolicy, failures: int, asked_s: float | None, rng: Callable[[], float]
) -> float:
    """Seconds until the next try after ``failures`` polls in a row had no useful answer.

    At least what the service requests; jitter comes on top of it, never off it.
    """
    return backoff_s(
        failures if asked_s is None else 1,  # a requested pause need not grow
        asked_s,
        rng,
        base_s=policy.shortest_s,
        max_pause_s=policy.max_interval_s,
    )


def timed_out(task: TrackedTask, policy: PollPolicy, now: float) -> KlingEffectsError:
    """The policy's deadline passed; before the grace for an unknown task, if that is longer."""
    if isinstance(task.failure, TaskNotFoundError) and task.failures and not _exists(task):
        return explained(task.failure, task, policy, now)
    return TaskTimeoutError(
        task_id=task.task_id,
        external_task_id=task.external_task_id,
        deadline_s=policy.deadline_s,
        latest=task.latest,
        failure=task.failure if task.failures else None,
    )


def _exists(task: TrackedTask) -> bool:
    """It was seen, or we submitted it; else the caller may have the wrong id."""
    return task.latest is not None or task.is_ours


def closed(task: TrackedTask) -> ClientClosedError:
    """The client was closed meanwhile."""
    return ClientClosedError(
        f"the client was closed while task {task.name} was waited for; "
        "the task goes on at the service: attach() to it with an open client"
    )
