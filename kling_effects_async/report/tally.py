"""What a report counts while its items pass by once; its size depends little on their number."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from attrs import Factory, define, evolve, frozen

from kling_effects_async.report.run_report import ItemState, ReportItem

__all__ = ["Bar", "CostLine", "FailureGroup", "ListedFailure", "Tally"]

# More cannot be read by anybody; the counts stay exact.
MAX_GROUPS = 60
MAX_LISTED = 200
OTHER_REASONS = "Other reasons"

_STATES = list(ItemState)


@frozen
class ListedFailure:
    """One item in the list of its group; ``number`` is its place in the run, from 1."""

    number: int
    item: ReportItem


@define
class FailureGroup:
    """The items that failed for one reason; the first ones are listed, without their pictures."""

    number: int
    state: ItemState
    reason: str
    advice: str
    count: int = 0
    listed: list[ListedFailure] = Factory(list)


@define
class CostLine:
    """What the tasks of one state cost."""

    tasks: int = 0
    known: int = 0
    units: Decimal = Decimal(0)


@frozen
class Bar:
    """A task in time, in seconds since the run's start.

    Attributes:
        accepted_s: at the earliest ``submitted_s``, at the latest ``ended_s``.
        ended_s: ``inf`` where it goes on; of one whose end is not known its last known time.
    """

    number: int
    state: ItemState
    submitted_s: float
    accepted_s: float
    ended_s: float


class Tally:
    """Counts items; ``add`` each once, in the order of the run."""

    def __init__(self) -> None:
        self.total: int = 0
        self.states: Counter[ItemState] = Counter()
        self.costs: dict[ItemState, CostLine] = {}
        self.durations_s: array[float] = array("d")
        self._groups: dict[tuple[ItemState, str, str], FailureGroup] = {}
        # A million tasks are to fit into some tens of megabytes.
        self._times: array[float] = array("d")
        self._numbers: array[int] = array("q")
        self._kinds: bytearray = bytearray()

    def add(self, item: ReportItem) -> int:
        """Count the item; its number, from 1."""
        self.total += 1
        self.states[item.state] += 1
        if item.state.is_failure:
            self._add_failure(item)
        self._add_times(item)
        if item.task_id is not None or item.units is not None:
            self._add_cost(item)
        return self.total

    def _add_failure(self, item: ReportItem) -> None:
        key = self._key(item)
        group = self._groups.setdefault(key, FailureGroup(len(self._groups) + 1, *key))
        group.count += 1
        if len(group.listed) < MAX_LISTED:
            bare = evolve(item, input_thumbnail=None, first_frame=None)
            group.listed.append(ListedFailure(self.total, bare))

    def _key(self, item: ReportItem) -> tuple[ItemState, str, str]:
        key = (item.state, item.reason, item.advice)
        is_room = len(self._groups) < MAX_GROUPS
        return key if is_room or key in self._groups else (item.state, OTHER_REASONS, "")

    def _add_times(self, item: ReportItem) -> None:
        if (took_s := item.took_s) is not None:
            self.durations_s.append(took_s)
        begun_s = item.accepted_s if item.submitted_s is None else item.submitted_s
        if begun_s is None:
            return
        self._numbers.append(self.total)
        self._kinds.append(_STATES.index(item.state))
        self._times.extend(_times(begun_s, item))

    def _add_cost(self, item: ReportItem) -> None:
        line = self.costs.setdefault(item.state, CostLine())
        line.tasks += 1
        if item.units is not None:
            line.known += 1
            line.units += item.units

    @property
    def failed(self) -> int:
        return sum(number for state, number in self.states.items() if state.is_failure)

    @property
    def unfinished(self) -> int:
        return sum(number for state, number in self.states.items() if state.is_open)

    @property
    def groups(self) -> list[FailureGroup]:
        """The largest first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)

    def group_number(self, item: ReportItem) -> int | None:
        """The number of the group that the item was counted in; ``None``: it did not fail."""
        return self._groups[self._key(item)].number if item.state.is_failure else None

    @property
    def bars(self) -> Iterator[Bar]:
        """The tasks whose start is known, in the order of the run."""
        for place, number in enumerate(self._numbers):
            times = self._times[3 * place : 3 * place + 3]
            yield Bar(number, _STATES[self._kinds[place]], *times)

    @property
    def timed(self) -> int:
        """How many tasks have a known start."""
        return len(self._numbers)


def _times(begun_s: float, item: ReportItem) -> tuple[float, float, float]:
    """When it was submitted, accepted and ended, in this order whatever the clocks said."""
    is_running = item.state is ItemState.RUNNING
    accepted_s = max(begun_s, item.accepted_s or begun_s)
    known_end_s = accepted_s if item.ended_s is None else item.ended_s
    ended_s = math.inf if is_running else max(accepted_s, known_end_s)
    is_accepted = item.accepted_s is not None
    return begun_s, accepted_s if is_accepted else ended_s, ended_s
