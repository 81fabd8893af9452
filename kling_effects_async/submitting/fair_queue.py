"""Whose turn it is where several shares wait: without a clock, and without asyncio.

The next slot goes, in this order,

1. to the share that holds the least for its weight: ``held // weight`` is the smallest;
2. to the share whose turn is the oldest.

Within a share, first come, first served; a ticket that had its turn, and came back without a task,
comes first of all. It does so within its share alone: an account with fewer slots than were assumed
rejects many submits at once, and whoever sent them must not stand before everybody else with all.
A share that holds its maximum gets none, and keeps no other waiting.

A turn dates from when the share began to wait, or later from when it last got a slot or gave one
back. A share of weight 3 keeps its turn for three slots. So no share starves, however many new ones
come: once its own slots are back, each share with an older turn gets no more slots than its weight
before it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from attrs import define, field

from kling_effects_async.policy import SharePolicy

__all__ = ["FairQueue"]

T = TypeVar("T", bound=Hashable)

# The heap holds entries that are no longer true; beside so many of them it is made anew.
_SPARE_ENTRIES = 64


@define(eq=False, kw_only=True)
class _Share(Generic[T]):
    """One share that waits or holds.

    Attributes:
        turn: the number of the event that its turn dates from; the smaller, the older.
        used: how many slots of its turn it has got.
        returned, waiting: its tickets, oldest first; those that had their turn before, and all
            others.
        entry: its one true entry in the heap; ``None`` while it can get no slot.
    """

    name: str
    weight: int
    turn: int = 0
    held: int = 0
    used: int = 0
    # Not plain dicts: the first member of those is the harder to find, the more were removed.
    returned: OrderedDict[T, None] = field(factory=OrderedDict)
    waiting: OrderedDict[T, None] = field(factory=OrderedDict)
    entry: _Entry[T] | None = None

    @property
    def tickets(self) -> OrderedDict[T, None]:
        """Those of which one is the next."""
        return self.returned or self.waiting

    def key(self) -> tuple[int, int]:
        """The smallest of all shares' keys gets the next slot; no two are equal."""
        return self.held // self.weight, self.turn

    def copy(self) -> _Share[T]:
        # Not by attrs.evolve, which takes several times as long.
        return _Share(
            name=self.name,
            weight=self.weight,
            turn=self.turn,
            held=self.held,
            used=self.used,
            returned=self.returned.copy(),
            waiting=self.waiting.copy(),
        )


class _Entry(NamedTuple, Generic[T]):
    key: tuple[int, int]
    share: _Share[T]


class FairQueue(Generic[T]):
    """Tickets that wait for slots, and the slots that shares hold.

    Every method takes O(log n) of the shares, except where it says more.
    """

    def __init__(self, policy: SharePolicy) -> None:
        self._policy = policy
        self._number = 0
        self._shares: dict[str, _Share[T]] = {}
        self._owners: dict[T, _Share[T]] = {}
        self._holds: OrderedDict[int, _Share[T]] = OrderedDict()
        self._heap: list[_Entry[T]] = []
        self._forecast: _Forecast[T] | None = None

    def __len__(self) -> int:
        """How many tickets wait."""
        return len(self._owners)

    def __contains__(self, ticket: object) -> bool:
        return ticket in self._owners

    def __iter__(self) -> Iterator[T]:
        """The tickets that wait, in no order."""
        return iter(self._owners)

    @property
    def held(self) -> int:
        """How many slots are held."""
        return len(self._holds)

    def waiting_by_share(self) -> Mapping[str, int]:
        """How many tickets of each share wait; only shares that have one. O(shares)."""
        numbers = {
            name: len(share.returned) + len(share.waiting) for name, share in self._shares.items()
        }
        return {name: number for name, number in numbers.items() if number}

    def may_hold(self, share: str) -> bool:
        """Whether a share holds fewer slots than the most that a share may have."""
        found = self._shares.get(share)
        return found is None or self._is_below_maximum(found)

    def enqueue(self, ticket: T, share: str = "", *, is_next: bool = False) -> None:
        """A ticket waits from now on.

        Args:
            is_next: it had its turn, and came back without a task.
        """
        owner = self._share(share)
        if not owner.tickets:
            owner.turn = self._next_number()
            owner.used = 0
        (owner.returned if is_next else owner.waiting)[ticket] = None
        self._owners[ticket] = owner
        self._changed(owner)

    def first(self) -> T | None:
        """The ticket that gets the next slot; ``None`` if none can have one."""
        while self._heap and self._heap[0].share.entry is not self._heap[0]:
            heapq.heappop(self._heap)
        return next(iter(self._heap[0].share.tickets)) if self._heap else None

    def next(self) -> int:
        """Give the ``first`` ticket its slot.

        Returns:
            The number to ``release`` the slot by.

        Raises:
            LookupError: none can have one.
        """
        ticket = self.first()
        if ticket is None:
            raise LookupError("nobody can have a slot now")
        share = self._owners[ticket]
        # Who comes back has used up a slot of the share's turn already.
        uses_turn = ticket not in share.returned
        self._take_out(ticket)
        return self._hold(share, uses_turn=uses_turn)

    def hold(self, share: str) -> int:
        """Count a slot for a share, whoever waits and whatever it holds.

        Returns:
            The number to ``release`` it by.
        """
        return self._hold(self._share(share), uses_turn=True)

    def release(self, number: int) -> None:
        """A slot is back."""
        share = self._holds.pop(number)
        share.held -= 1
        if not share.used:  # within a turn it keeps its turn
            share.turn = self._next_number()
        self._changed(share)

    def remove(self, ticket: T) -> None:
        """A ticket waits no more; one that does not wait is no error."""
        if ticket in self._owners:
            self._changed(self._take_out(ticket))

    def position_of(self, ticket: T, *, slots: int) -> int | None:
        """How many tickets get a slot until this one has one, itself included.

        Exact if nobody comes or leaves and slots come back in the order in which they were given;
        otherwise an estimate. 1 is always ``first``, where a slot is free.

        The first call after a change copies the queue, O(n), and goes through the tickets before
        this one; further calls are O(1), or go on from there.

        Args:
            slots: how many there are; at least 1.

        Returns:
            1 or more; ``None`` if the ticket does not wait.
        """
        if ticket not in self._owners:
            return None
        if self._forecast is None or self._forecast.slots != slots:
            self._forecast = _Forecast(self._copy(), slots)
        return self._forecast.position_of(ticket)

    def in_order(self, *, slots: int) -> Iterator[T]:
        """All tickets in the order of ``position_of``; this uses the queue up."""
        while self._owners:
            ticket = self.first()
            if ticket is not None and self.held < slots:
                self.next()
                yield ticket
            else:
                self.release(next(iter(self._holds)))

    def _share(self, name: str) -> _Share[T]:
        share = self._shares.get(name)
        if share is None:
            share = self._shares[name] = _Share(name=name, weight=self._policy.weight_of(name))
        return share

    def _hold(self, share: _Share[T], *, uses_turn: bool) -> int:
        number = self._next_number()
        self._holds[number] = share
        share.held += 1
        share.used += uses_turn
        if share.used >= share.weight:
            share.used = 0
            share.turn = number
        self._changed(share)
        return number

    def _take_out(self, ticket: T) -> _Share[T]:
        share = self._owners.pop(ticket)
        del (share.returned if ticket in share.returned else share.waiting)[ticket]
        return share

    def _is_below_maximum(self, share: _Share[T]) -> bool:
        maximum = self._policy.max_per_share
        return maximum is None or share.held < maximum

    def _changed(self, share: _Share[T]) -> None:
        """Bring the share's entry up to date, or forget a share without tickets and slots."""
        self._forecast = None
        if not share.tickets:
            share.entry = None
            if not share.held:
                self._shares.pop(share.name, None)
        elif not self._is_below_maximum(share):
            share.entry = None
        elif share.entry is None or share.entry.key != share.key():
            self._push(share)

    def _push(self, share: _Share[T]) -> None:
        share.entry = _Entry(share.key(), share)
        heapq.heappush(self._heap, share.entry)
        if len(self._heap) > 2 * len(self._shares) + _SPARE_ENTRIES:
            self._heap = [entry for entry in self._heap if entry.share.entry is entry]
            heapq.heapify(self._heap)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _copy(self) -> FairQueue[T]:
        copy: FairQueue[T] = FairQueue(self._policy)
        copy._number = self._number
        copy._shares = {name: share.copy() for name, share in self._shares.items()}
        copy._owners = {ticket: copy._shares[share.name] for ticket, share in self._owners.items()}
        copy._holds = OrderedDict(
            (number, copy._shares[share.name]) for number, share in self._holds.items()
        )
        for share in copy._shares.values():
            if share.tickets and copy._is_below_maximum(share):
                share.entry = _Entry(share.key(), share)
                copy._heap.append(share.entry)
        heapq.heapify(copy._heap)
        return copy


class _Forecast(Generic[T]):
    """The positions of a queue at one moment, found as far as they were wanted."""

    def __init__(self, copy: FairQueue[T], slots: int) -> None:
        self.slots: int = slots
        self._rest = copy.in_order(slots=slots)
        self._positions: dict[T, int] = {}

    def position_of(self, ticket: T) -> int:
        while ticket not in self._positions:
            self._positions[next(self._rest)] = len(self._positions) + 1
        return self._positions[ticket]
