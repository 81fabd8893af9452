"""What one measured process is told to do: a frozen value that travels as JSON."""

from __future__ import annotations

import json
import random
from typing import TypeAlias

from attrs import asdict, frozen

__all__ = ["Figures", "Order"]

Figures: TypeAlias = dict[str, float]
"""Measured figures by name; ``table.FIGURES`` says what each name means."""


@frozen(kw_only=True)
class Order:
    """Work for one side, in a fresh process.

    Attributes:
        side: ``ours`` or ``plain``; with ``kind`` it names the module that does the work.
        count: how many tasks, uploads, downloads or coroutines.
        batches: how often the same work is done by the same client; each is measured.
        shortest_s, longest_s: how long tasks take; drawn evenly, the same for both sides.
        has_list: whether the server lists tasks.
        slots: how many tasks the server runs at once; ``None``: any number.
        is_profiled: print where the time goes, to stderr.
    """

    kind: str
    side: str
    count: int
    batches: int = 1
    shortest_s: float = 0.0
    longest_s: float = 0.0
    has_list: bool = True
    slots: int | None = None
    is_profiled: bool = False

    @classmethod
    def from_json(cls, text: str) -> Order:
        """What ``to_json`` made."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """One line of text."""
        return json.dumps(asdict(self))

    def lengths_s(self, batch: int) -> list[float]:
        """How long each task of a batch takes, in seconds."""
        drawn = random.Random(batch)
        return [drawn.uniform(self.shortest_s, self.longest_s) for _ in range(self.count)]

    @property
    def longest_run_s(self) -> float:
        """When to abandon the whole order: far beyond what it takes on a slow machine."""
        waves = 1 if self.slots is None else self.count / self.slots
        return 60.0 + 3.0 * self.batches * waves * self.longest_s
