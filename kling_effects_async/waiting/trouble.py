"""What a question without a useful answer does to a wait; pure.

It goes on, unless the key is wrong, the task has been unknown for longer than replicas are late, or
the trouble has lasted for too long without a break.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from kling_effects_async.errors import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    KlingEffectsError,
    TaskNotFoundError,
    TaskTimeoutError,
)
from kling_effects_async.policy import PollPolicy, backoff_s
from kling_effects_async.transport.clock import TICK_S
from kling_effects_async.waiting.watch import Watch

__all__ = [
    "closed",
    "explained",
    "grace_s",
    "has_lasted",
    "is_hopeless",
    "pause_after_trouble",
    "timed_out",
]


_ENDS_EVERY_WAIT = (AuthenticationError, ClientClosedError)


def is_hopeless(error: Exception, watch: Watch, policy: PollPolicy, now: float) -> bool:
    """Whether waiting on is of no use after this error, the last of those the watch has seen.

    A task that was heard of is paid, and no rejection of a poll takes that back: it ends the wait
    only where it says that no poll will ever be answered. Of a task that nobody here submitted or
    ever heard of, the first rejection says most likely that the caller asks for the wrong thing.
    """
    is_passing = isinstance(error, KlingEffectsError) and error.retryable
    if not is_passing and (not _exists(watch) or isinstance(error, _ENDS_EVERY_WAIT)):
        return True
    if isinstance(error, ApiError) and (error.retry_after_s or 0.0) > policy.deadline_s:
        return True
    if isinstance(error, TaskNotFoundError) and watch.unknown_since is not None:
        return now - watch.unknown_since >= grace_s(watch, policy) - TICK_S
    return has_lasted(watch, policy, now)


def has_lasted(watch: Watch, policy: PollPolicy, now: float) -> bool:
    """Whether there was no answer about the task for so long that a wait ends."""
    return watch.failures > 0 and now - watch.trouble_since >= policy.max_outage_s


def grace_s(watch: Watch, policy: PollPolicy) -> float:
    """How long the service may say that it does not know the task."""
    if _exists(watch):
        return policy.not_found_grace_s
    return min(policy.attached_grace_s, policy.not_found_grace_s)


def explained(
    error: KlingEffectsError, watch: Watch, policy: PollPolicy, now: float
) -> KlingEffectsError:
    """The error that ends a wait, with what was tried before."""
    if not isinstance(error, TaskNotFoundError) or watch.unknown_since is None:
        return _resumable(error, watch, now) if has_lasted(watch, policy, now) else error
    told = copy(error)
    told.name, told.polls = watch.name, watch.failures
    told.polled_s = now - watch.trouble_since
    return told


def _resumable(error: KlingEffectsError, watch: Watch, now: float) -> KlingEffectsError:
    """The latest failure, and that the task is not lost by it."""
    advice = (
        f"There was no answer about task {watch.name} for {now - watch.trouble_since:.0f} s; "
        "if it exists, it goes on at the service: attach() to it later, and do not pay again"
    )
    told = copy(error)
    if isinstance(told, ApiError):
        told.advice = f"{told.advice}. {advice}" if told.advice else advice
    else:
        told.args = (f"{error}. {advice}",)
    return told


def pause_after_trouble(
    policy: PollPolicy, failures: int, asked_s: float | None, random: Callable[[], float]
) -> float:
    """Seconds until the next try after ``failures`` questions in a row had no useful answer.

    At least what the service asked for; jitter comes on top of it, never off it.
    """
    return backoff_s(
        failures if asked_s is None else 1,  # what is asked for need not grow
        asked_s,
        random,
        base_s=policy.min_interval_s,
        max_pause_s=policy.max_interval_s,
    )


def timed_out(watch: Watch, policy: PollPolicy, now: float) -> KlingEffectsError:
    """The policy's deadline passed; before the grace for an unknown task, if that is longer."""
    if isinstance(watch.trouble, TaskNotFoundError) and watch.failures and not _exists(watch):
        return explained(watch.trouble, watch, policy, now)
    return TaskTimeoutError(
        task_id=watch.task_id,
        external_task_id=watch.external_task_id,
        deadline_s=policy.deadline_s,
        latest=watch.latest,
        trouble=watch.trouble if watch.failures else None,
    )


def _exists(watch: Watch) -> bool:
    """It was heard of, or we submitted it; else the caller may have the wrong id."""
    return watch.latest is not None or watch.is_ours


def closed(watch: Watch) -> ClientClosedError:
    """The client was closed meanwhile."""
    return ClientClosedError(
        f"the client was closed while task {watch.name} was waited for; "
        "the task goes on at the service: attach() to it with an open client"
    )
