"""The units of an account that has a limited number of them."""

from __future__ import annotations

import heapq
from decimal import Decimal

from attrs import define, field

from kling_effects_async.emulator.tasks import Task

__all__ = ["Balance"]


@define
class Balance:
    """What is left: units leave with the acceptance of a task, and come back when it fails.

    Source: the bill of a failed task is 0 (seen at Kling, 2026-09). That units are set aside at
    acceptance is a choice: when Kling takes them is not documented.

    Attributes:
        total_units: what the account had at the start; ``None``: unlimited.
    """

    total_units: Decimal | None
    _taken_units: Decimal = field(default=Decimal(0), init=False)
    _returns: list[tuple[float, Decimal]] = field(factory=list, init=False)

    def left_units(self, now_s: float) -> Decimal | None:
        """What a new task can be paid with at this moment; ``None``: anything."""
        if self.total_units is None:
            return None
        while self._returns and self._returns[0][0] <= now_s:
            self._taken_units -= heapq.heappop(self._returns)[1]
        return self.total_units - self._taken_units

    def charge(self, task: Task) -> None:
        """Take a task's units, and note when they come back if it fails."""
        if self.total_units is None:
            return
        self._taken_units += Decimal(task.units)
        if task.failure is None:
            task.clip.when_ready(lambda: self._expect_return(task))
        else:
            self._expect_return(task)

    def _expect_return(self, task: Task) -> None:
        if task.failure is not None:
            heapq.heappush(self._returns, (task.finished_s, Decimal(task.units)))
