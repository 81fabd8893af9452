"""When a submit may be sent, and what a rejection means for it and for all others.

a slot (slots.py) -> the pace (breaker.py) -> one POST -> accepted, or rejected

rejected because            this submit              all others of the account
all slots are taken (1303)  first of its share       fewer slots; a pause where others hold all,
                                                     or where one is requested
of the pace (1302, 429)     waits for the breaker    wait too, one at a time afterwards
of the key or the balance   ends                     end; a probe from time to time
of a passing failure        pause, then again        -
of the job itself           ends                     -
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from kling_effects_async.errors import (
    ApiError,
    ConcurrencyLimitError,
    KlingEffectsError,
    Scope,
)
from kling_effects_async.policy import RetryPolicy, SubmitPolicy
from kling_effects_async.submitting.breaker import SubmitBreaker
from kling_effects_async.submitting.outcome import SubmitOutcome, outcome_of
from kling_effects_async.submitting.slots import Slot, SlotLimiter

__all__ = ["Admission", "Permit"]

# Where others hold all slots. Source: Kling's concurrency rules: back off exponentially, from one
# second. By a tenth each time, so that no slot stays free for long beside the wait for it.
_SLOT_PAUSE_S, _LONGEST_SLOT_PAUSE_S, _SLOT_PAUSE_SHARE = 1.0, 30.0, 0.1


@frozen
class Permit:
    """One POST may be sent.

    Attributes:
        slot: given back by the end of the task, or by ``Admission.release``.
        round_number: of the breaker; rejections of one round count once.
    """

    slot: Slot
    round_number: int


class Admission:
    """Admits the submits of one account.

    Args:
        rng: a source of numbers in [0, 1).
    """

    def __init__(
        self,
        slots: SlotLimiter,
        breaker: SubmitBreaker,
        *,
        submit: SubmitPolicy,
        retry: RetryPolicy,
        rng: Callable[[], float],
    ) -> None:
        self.slots: SlotLimiter = slots
        self._breaker = breaker
        self._policy = submit
        self._retry = retry
        self._rng = rng
        self._waited_for_others_s = 0.0

    @property
    def waiting(self) -> int:
        """How many submits wait for a slot, for a pause to end, or for their turn."""
        return self.slots.waiting + self._breaker.waiting

    @property
    def held_back_by(self) -> KlingEffectsError | None:
        """What holds submits back since one was accepted, if anything does."""
        return self._breaker.held_back_by

    def check(self) -> None:
        """Raise the reason if no submit may be sent now; see ``SubmitBreaker.check``."""
        self._breaker.check()

    async def enter(self, *, is_next: bool, share: str = "", name: str = "") -> Permit:
        """Wait for a slot and for the pace; no slot is kept if that fails.

        Args:
            share, name: see ``SlotLimiter.take``.
            is_next: for a job that had its turn and found no slot at the service.

        Raises:
            KlingEffectsError: nothing may be sent, for this reason.
        """
        while True:
            slot = await self.slots.take(share=share, name=name, is_next=is_next)
            try:
                round_number = await self._breaker.pass_through(share)
            except BaseException:  # a cancelled wait must not leak the slot
                slot.release()
                raise
            if not slot.is_surplus:
                return Permit(slot, round_number)
            self._breaker.came_back()
            slot.release()
            is_next = True

    def release(self, permit: Permit) -> None:
        """The POST is over; an accepted task keeps its slot."""
        if not permit.slot.is_accepted:
            permit.slot.release()
        self._breaker.came_back()

    def accepted(self) -> None:
        """A submit was accepted."""
        self._breaker.reset()
        self._waited_for_others_s = 0.0

    def rejected(self, permit: Permit, error: KlingEffectsError) -> None:
        """A submit was rejected; see the table at the top of this file."""
        if isinstance(error, ConcurrencyLimitError):
            is_news = self.slots.reject(permit.slot)
            pause_s = error.retry_after_s or 0.0
            # None of ours runs, so no end of ours will free a slot: only time can.
            if is_news and not self.slots.running:
                pause_s = max(pause_s, _slot_pause_s(self._waited_for_others_s))
                self._waited_for_others_s += pause_s
            if 0 < pause_s <= self._policy.max_retry_after_s:  # a longer one ends the submit
                self._breaker.pause(pause_s, error)
        elif error.scope is Scope.PACE:
            if self._is_out_of_patience(error):
                self._explain(error)
                self._breaker.trip(error)  # all other submits end with it too
            else:
                self._breaker.slow_down(permit.round_number, error)
        elif error.scope is Scope.ACCOUNT:
            self._breaker.trip(error)

    def pause_s(self, tries: int, error: KlingEffectsError) -> float:
        """Seconds between a failed try, the ``tries``-th, and the next."""
        if error.scope is Scope.PACE:
            return 0.0  # the breaker and the queue of slots keep it
        return self._retry.pause_s(tries, error.retry_after_s, self._rng)

    def may_try_again(
        self, error: KlingEffectsError, external_task_id: str, *, tries: int, elapsed_s: float
    ) -> bool:
        """Whether a job is sent once more after this error.

        Args:
            elapsed_s: since its first try, with the pause that comes next.
        """
        outcome = outcome_of(error, external_task_id=external_task_id)
        if outcome not in (SubmitOutcome.NOT_RECEIVED, SubmitOutcome.NOT_ACCEPTED):
            return False
        if error.scope is Scope.PACE:
            asked_s = error.retry_after_s or 0.0
            return not self._breaker.is_tripped and asked_s <= self._policy.max_retry_after_s
        return tries < self._retry.attempts and elapsed_s <= self._retry.max_elapsed_s

    async def rest(self, seconds: float) -> None:
        """Let time pass; ``close`` ends it."""
        await self._breaker.rest(seconds)

    def close(self, error: KlingEffectsError) -> None:
        """Nothing is sent any more; all that wait, and all that come, get the error."""
        self._breaker.close(error)
        self.slots.fail_waiting(error)

    def _is_out_of_patience(self, error: KlingEffectsError) -> bool:
        """Whether the service has rejected for its pace for too long, or wants too long a pause."""
        longest_s = max(self._breaker.paced_s, error.retry_after_s or 0.0)
        return longest_s > self._policy.max_retry_after_s

    def _explain(self, error: KlingEffectsError) -> None:
        if isinstance(error, ApiError) and not error.advice:
            error.advice = (
                f"After {self._breaker.paced_s:.0f} s of pauses without an acceptance, or a longer "
                f"one requested, max_retry_after_s ({self._policy.max_retry_after_s:g}) is over: "
                "submit again later"
            )


def _slot_pause_s(waited_s: float) -> float:
    """How long nothing is sent where others hold all slots, after so many seconds of waiting."""
    return min(_LONGEST_SLOT_PAUSE_S, max(_SLOT_PAUSE_S, waited_s * _SLOT_PAUSE_SHARE))
