"""What was accepted, and so paid for: the referee of "paid once"."""

from __future__ import annotations

from collections import Counter

from attrs import define, field, frozen

__all__ = ["Ledger", "LedgerEntry"]


@frozen(kw_only=True)
class LedgerEntry:
    """One accepted task. ``accepted_at_ms`` is emulated Unix time."""

    task_id: str
    external_task_id: str | None
    effect_scene: str
    accepted_at_ms: int


@define
class Ledger:
    """Every task the emulator accepted, in order. A failed task stays in it."""

    _entries: list[LedgerEntry] = field(factory=list, init=False)
    _accepted: Counter[str] = field(factory=Counter, init=False)

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        return tuple(self._entries)

    @property
    def total(self) -> int:
        return len(self._entries)

    def accepted(self, external_task_id: str) -> int:
        """How many tasks were accepted under this id: 1 is right, 2 is money lost."""
        return self._accepted[external_task_id]

    def repeated(self) -> tuple[str, ...]:
        """The external ids that were accepted more than once."""
        return tuple(name for name, count in self._accepted.items() if count > 1)

    def enter(self, entry: LedgerEntry) -> None:
        self._entries.append(entry)
        if entry.external_task_id is not None:
            self._accepted[entry.external_task_id] += 1
