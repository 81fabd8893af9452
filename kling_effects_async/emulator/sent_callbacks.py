"""What was sent to the receivers of callbacks: tests and measurements read it."""

from __future__ import annotations

from collections import deque

from attrs import define, field, frozen

from kling_effects_async.emulator.bounds import MAX_TASKS
from kling_effects_async.emulator.choices import CallbackShape

__all__ = ["DELIVERED", "SentCallback", "SentCallbacks"]

# Source: K5 callbacks page, 2026-09, of the test button: this status is success, and no other.
DELIVERED = 200


@frozen(kw_only=True)
class SentCallback:
    """One attempt to deliver one message.

    Attributes:
        task_id: Kling's own id, as the body has it.
        status: the word in the body: ``succeed`` or ``succeeded``, by the shape.
        attempt: 1, and more where the emulator is set to try again. Copies of a message that a
            fault repeats are attempts of their own, each with number 1.
        http_status: what the receiver answered; ``None``: nothing in time.
        webhook_id: the same for every attempt and copy of one message; ``None``: it was unsigned.
        failure: why there is no answer, the class of the error; empty: there is one.
        lag_s: seconds of the loop's clock from the change of the task to the end of this attempt.
    """

    task_id: str
    external_task_id: str | None
    status: str
    shape: CallbackShape
    attempt: int
    http_status: int | None
    webhook_id: str | None
    failure: str
    lag_s: float


@define
class SentCallbacks:
    """The attempts in the order in which they ended. All are counted, the newest are kept."""

    _max_entries: int = MAX_TASKS
    _entries: deque[SentCallback] = field(factory=deque, init=False)
    _total: int = field(default=0, init=False)
    _delivered: int = field(default=0, init=False)
    _withheld: int = field(default=0, init=False)

    @property
    def entries(self) -> tuple[SentCallback, ...]:
        return tuple(self._entries)

    @property
    def total(self) -> int:
        """Attempts, those whose entries are gone included."""
        return self._total

    @property
    def delivered(self) -> int:
        """Attempts that were answered with 200."""
        return self._delivered

    @property
    def withheld(self) -> int:
        """Messages that a scripted fault kept from being sent at all; they are no attempts."""
        return self._withheld

    def enter(self, entry: SentCallback) -> None:
        self._total += 1
        self._delivered += entry.http_status == DELIVERED
        self._entries.append(entry)
        if len(self._entries) > self._max_entries:
            self._entries.popleft()

    def withhold(self) -> None:
        self._withheld += 1
