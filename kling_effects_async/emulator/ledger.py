"""What was accepted, and so paid for: tests of "paid once" read it."""

from __future__ import annotations

from collections import Counter, deque

from attrs import define, field, frozen

from kling_effects_async.emulator.bounds import MAX_TASKS

__all__ = ["Ledger", "LedgerEntry"]


@frozen(kw_only=True)
class LedgerEntry:
    """One accepted task.

    Attributes:
        task_id: Kling's own id, which callbacks carry.
        accepted_at_ms: emulated Unix time.
        gateway_task_id: what the submitter got in its place, with the setting of that name.
    """

    task_id: str
    external_task_id: str | None
    effect_scene: str
    accepted_at_ms: int
    gateway_task_id: str | None = None


@define
class Ledger:
    """The tasks that the emulator accepted, in order. A failed task stays in it.

    All are counted. Entries, and the ids that were accepted once, are those of the newest
    ``max_entries`` tasks; an id that was accepted more often stays, as long as there are no more
    than twice as many ids.
    """

    _max_entries: int = MAX_TASKS
    _entries: deque[LedgerEntry] = field(factory=deque, init=False)
    _accepted: Counter[str] = field(factory=Counter, init=False)
    _total: int = field(default=0, init=False)

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        return tuple(self._entries)

    @property
    def total(self) -> int:
        """How many were accepted, those whose entries are gone included."""
        return self._total

    def accepted(self, external_task_id: str) -> int:
        """How many tasks were accepted under this id: 1 is right, 2 is money lost."""
        return self._accepted[external_task_id]

    def repeated(self) -> tuple[str, ...]:
        """The external ids that were accepted more than once."""
        return tuple(name for name, count in self._accepted.items() if count > 1)

    def enter(self, entry: LedgerEntry) -> None:
        self._total += 1
        self._entries.append(entry)
        if entry.external_task_id is not None:
            self._accepted[entry.external_task_id] += 1
        if len(self._entries) > self._max_entries:
            self._drop(self._entries.popleft())

    def _drop(self, entry: LedgerEntry) -> None:
        name = entry.external_task_id
        if name is not None and self._accepted[name] == 1:
            del self._accepted[name]
        if len(self._accepted) > 2 * self._max_entries:
            # The oldest: a Counter keeps the order in which its keys came.
            del self._accepted[next(iter(self._accepted))]
