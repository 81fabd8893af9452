"""How far a bulk run is, from its events and outcomes; pure, and of one size for any number."""

from __future__ import annotations

from collections import Counter, deque
from decimal import Decimal

from attrs import define, field, frozen

from kling_effects_async import (
    ClientStats,
    Done,
    Event,
    JobAccepted,
    JobRejected,
    JobUncertain,
    Outcome,
    SubmissionUncertainError,
    TaskChanged,
    TaskEnded,
)

__all__ = ["RunState", "RunningTask"]

# The rate is that of the last so many ends.
_ENDS = 100


@frozen
class RunningTask:
    """A task that was accepted and has not ended.

    Attributes:
        external_task_id: its job's id.
        since_s: when it was accepted, by the clock of the run.
        status: the service's word for where it stands.
    """

    external_task_id: str
    since_s: float
    status: str = "accepted"


@define
class RunState:
    """What is known of a run at one moment.

    Attributes:
        to_do: how many items of each scene have not come to their end.
        total: how many items there are.
        started_s: when it began, by the clock of the run.
        is_preview: its tasks cost nothing.
        done: items with a clip.
        before: those of them that were paid before, and not again.
        skipped: items that were left out.
        failed: how many failed, by reason.
        not_sent: items that were held back, because the run was told to stop.
        uncertain: items that may have a task, and be charged.
        units: what the tasks that ended meanwhile cost, as far as the service reported it.
        running: the tasks that run, oldest first.
        waiting: how many submits wait for a slot.
        slots: how many tasks the account may run at once.
        held_back_by: why submits wait, besides for a slot.
        latest: the last thing that happened, in words.
        changes: how many things happened.
    """

    to_do: Counter[str]
    started_s: float
    is_preview: bool = False
    total: int = field(init=False)
    done: int = 0
    before: int = 0
    skipped: int = 0
    failed: Counter[str] = field(factory=Counter)
    not_sent: int = 0
    uncertain: int = 0
    units: Decimal = Decimal(0)
    running: dict[str, RunningTask] = field(factory=dict)
    waiting: int = 0
    slots: int = 0
    held_back_by: str = ""
    latest: str = ""
    changes: int = 0
    _ends: deque[float] = field(factory=lambda: deque(maxlen=_ENDS))
    _paid_now: set[str] = field(factory=set)  # until their outcomes come

    @total.default
    def _all(self) -> int:
        return self.to_do.total()

    @property
    def finished(self) -> int:
        """Items that nothing more happens to."""
        return self.total - self.to_do.total()

    @property
    def left(self) -> int:
        """Items that the same command line would still send."""
        return self.not_sent + self.to_do.total()

    def per_minute(self, now_s: float) -> float | None:
        """Tasks that ended in a minute, lately; ``None`` before there is a rate."""
        if len(self._ends) < 2:
            return None
        seconds = now_s - self._ends[0]
        return None if seconds <= 0 else 60 * (len(self._ends) - 1) / seconds

    def hear(self, event: Event, now_s: float) -> None:
        """Take an event of the client."""
        match event:
            case JobAccepted(external_task_id=str(name)):
                self.running[name] = RunningTask(name, now_s)
                self._paid_now.add(name)
                self._note(f"{name}: accepted")
            case TaskChanged(external_task_id=str(name)):
                since_s = self.running[name].since_s if name in self.running else now_s
                status = event.snapshot.status.value
                self.running[name] = RunningTask(name, since_s, status)
                self._note(f"{name}: {status}")
            case TaskEnded(external_task_id=str(name)):
                self._ended(name, event, now_s)
            case JobRejected(external_task_id=str(name)) | JobUncertain(external_task_id=str(name)):
                self.running.pop(name, None)
                self.changes += 1

    def look(self, stats: ClientStats) -> None:
        """Take a snapshot of the client."""
        self.waiting, self.slots = stats.waiting, stats.slots
        self.held_back_by = stats.held_back_by

    def skip(self, scene: str) -> None:
        """Count an item that is left out."""
        self.skipped += 1
        self._over(scene)

    def add(
        self, outcome: Outcome, *, scene: str, reason: str = "", is_held_back: bool = False
    ) -> None:
        """Count an outcome.

        Args:
            reason: why it failed, in words that many have in common.
            is_held_back: nothing was sent, for a reason that is no fault of the item.
        """
        self.running.pop(outcome.external_task_id, None)
        if isinstance(outcome, Done):
            self.done += 1
            self.before += outcome.external_task_id not in self._paid_now
        elif is_held_back:
            self.not_sent += 1
        elif isinstance(outcome.error, SubmissionUncertainError):
            self.uncertain += 1
        else:
            self.failed[reason] += 1
        self._paid_now.discard(outcome.external_task_id)
        self._over(scene)

    def _over(self, scene: str) -> None:
        self.to_do[scene] -= 1
        self.changes += 1

    def _ended(self, name: str, event: TaskEnded, now_s: float) -> None:
        if self.running.pop(name, None) is None:
            return  # the journal says so: it ended before this run
        self._ends.append(now_s)
        self.units += 0 if self.is_preview else event.units or 0
        self._note(f"{name}: {event.snapshot.status.value}")

    def _note(self, what: str) -> None:
        self.latest = what
        self.changes += 1
