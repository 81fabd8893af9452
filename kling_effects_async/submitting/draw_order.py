"""Which of many planned jobs is drawn next: without a clock, and without asyncio.

All of them cannot wait for a slot at once, as each that waits is in memory. So a few are drawn, by
the same rule by which slots are given; see ``fair_queue``. The share that has the fewest drawn for
its weight comes next, and among those the one whose turn is the oldest.

Where ``max_per_share`` keeps the jobs of a share waiting, twice as many of it are drawn at most: so
that they leave room for those of others, and one is there as soon as it may have a slot.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, MutableSequence

from attrs import evolve, frozen

from kling_effects_async.policy import SharePolicy
from kling_effects_async.submitting.fair_queue import FairQueue

__all__ = ["Draw", "DrawOrder"]


@frozen
class Draw:
    """One job that is drawn, until it is given back.

    Attributes:
        number: of the job.
        hold: what the order knows it by.
    """

    number: int
    share: str
    hold: int


class DrawOrder:
    """The jobs that are left, by share, and how many of each share are drawn.

    Args:
        left: the numbers of each share's jobs, one at least and the next one last; the sequences
            are used up. The share whose turn is the oldest comes first.
    """

    def __init__(self, policy: SharePolicy, left: Mapping[str, MutableSequence[int]]) -> None:
        most = policy.max_per_share
        # Of each share that it has, the next job waits.
        self._queue: FairQueue[tuple[str, int]] = FairQueue(
            evolve(policy, max_per_share=None if most is None else 2 * most)
        )
        self._left = dict(left)
        # A queue of all shares would take ten times the memory. So it has those of which a job is
        # drawn, and of all others, which come before them, the next one.
        self._idle = deque(self._left)
        self._next_idle: str | None = None
        self._drawn: Counter[str] = Counter()

    @property
    def is_empty(self) -> bool:
        """No job is left."""
        return not self._left

    def draw(self) -> Draw | None:
        """The next job; ``None`` if there is none, or those that are left have to wait."""
        if self._next_idle is None and self._idle:
            self._next_idle = self._idle.popleft()
            self._enqueue(self._next_idle)
        first = self._queue.first()
        return None if first is None else self._draw(*first)

    def give_back(self, draw: Draw) -> None:
        """A job that was drawn is over."""
        self._queue.release(draw.hold)
        self._drawn[draw.share] -= 1
        if not self._drawn[draw.share]:
            del self._drawn[draw.share]
            if left := self._left.get(draw.share):
                self._queue.remove((draw.share, left[-1]))
                self._idle.append(draw.share)

    def _draw(self, share: str, number: int) -> Draw:
        if share == self._next_idle:
            self._next_idle = None
        left = self._left[share]
        left.pop()
        if left:  # before the first one leaves: a share of which none waits loses its turn
            self._enqueue(share)
        else:
            del self._left[share]
        self._drawn[share] += 1
        return Draw(number, share, self._queue.next())

    def _enqueue(self, share: str) -> None:
        self._queue.enqueue((share, self._left[share][-1]), share)
