"""Tries and pauses of a request that may be repeated: the one place that imports ``backoff``.

It is imported when it is first needed, and used so that its pauses are the policy's. backoff's own
clock is the wall's, its jitter shortens what a server wants, its sleep cannot be replaced, and its
log lines carry exception texts. So it gets pauses of zero and none of those, and we sleep in its
``on_backoff`` hook by our clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from kling_effects_async.errors import KlingEffectsError
from kling_effects_async.policy import RetryPolicy
from kling_effects_async.transport.clock import Clock, sleep

__all__ = ["load", "retrying"]

T = TypeVar("T")


def load() -> None:
    """Import backoff; later no descriptor may be free for that."""
    import backoff  # noqa: F401  # only to have it loaded


def retrying(
    attempt: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    clock: Clock,
    rng: Callable[[], float],
    final: tuple[type[KlingEffectsError], ...],
    on_retry: Callable[[KlingEffectsError], None],
) -> Callable[[], Awaitable[T]]:
    """``attempt``, tried again after retryable errors within the policy's bounds.

    Made for one call: a backoff decorator that is used twice keeps the hooks of both.

    Args:
        final: errors that are an answer, and no reason to try again.
        on_retry: called with each error after which it is tried again.
    """
    import backoff

    started = clock.monotonic()
    pause_s = 0.0

    def pauses() -> Generator[float, Any, None]:
        nonlocal pause_s
        error = yield 0.0  # backoff primes the generator, then sends each exception in
        for number in range(1, policy.attempts + 1):
            pause_s = policy.pause_s(number, error.retry_after_s, rng)
            # A pause that the service wants is kept whole or not begun: a shorter one is in vain.
            if clock.monotonic() - started + pause_s > policy.max_elapsed_s:
                return  # backoff then raises the error it has
            on_retry(error)
            error = yield 0.0

    async def keep_pause(_details: object) -> None:
        await sleep(clock, pause_s)

    retry = backoff.on_exception(
        pauses,
        KlingEffectsError,
        max_tries=policy.attempts,  # no max_time: it follows the wall's clock
        giveup=lambda error: isinstance(error, final) or not getattr(error, "retryable", False),
        on_backoff=keep_pause,
        jitter=None,
        logger=None,
    )
    return retry(attempt)  # type: ignore[no-any-return,unused-ignore]  # backoff is untyped
