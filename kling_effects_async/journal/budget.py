"""A limit in units, and what counts towards it; pure.

    told       what a job's task cost, as the service reported it
    untold     what was expected of a task that ended, or was abandoned, without a told cost
    running    what is expected of a task that was accepted
    unsettled  what is expected of a job that is being submitted, or is uncertain
    nothing    a job that was never sent, was surely not accepted, or whose task failed without a
               told cost

No service says beforehand what a task will cost, so the dearest of the scene's recent ones is
expected. It is written down with SUBMITTING, in the step that checks the limit, so no two jobs fit
into the same rest of it and no death of the process forgets it.

Source for failed tasks: the ``billing`` of one is "0" with Kling, seen 2026-04 to 2026-09; new-api
returns what it took beforehand.
"""

from __future__ import annotations

from decimal import Decimal

from attrs import frozen

from kling_effects_async.errors import BudgetExceededError
from kling_effects_async.journal.job import UNSETTLED, JobState

__all__ = [
    "FREE",
    "RECENT",
    "UNKNOWN_UNITS",
    "Committed",
    "check_budget",
    "expected_cost",
    "kind_of_cost",
]

# In these states the task of the last submit costs nothing, unless the service reports a cost.
FREE = frozenset({JobState.PLANNED, JobState.REJECTED, JobState.FAILED})
# The dearest of so many successes of a scene is expected of the next one.
RECENT = 20
# A scene nobody paid for yet. Source: the two prices of a third party's set (0.28 and 0.49 USD,
# 2025), divided by the list price of a unit (0.14 USD).
UNKNOWN_UNITS = (Decimal(2), Decimal("3.5"))


@frozen(kw_only=True)
class Committed:
    """What of an account's budget is taken, in units, by the kinds at the top of the file."""

    told: Decimal = Decimal(0)
    untold: Decimal = Decimal(0)
    running: Decimal = Decimal(0)
    unsettled: Decimal = Decimal(0)

    @property
    def spent(self) -> Decimal:
        """What ended tasks cost; where that was not reported, what was expected."""
        return self.told + self.untold

    @property
    def total(self) -> Decimal:
        return self.spent + self.running + self.unsettled


def kind_of_cost(state: JobState, units: Decimal | None) -> str:
    """Which of the kinds the cost of a job counts as; the journal's tables hold the same rule."""
    if units is not None:
        return "told"
    if state in UNSETTLED:
        return "unsettled"
    return "running" if state is JobState.ACCEPTED else "untold"


def expected_cost(recent: tuple[Decimal, Decimal] | None) -> Decimal:
    """What one more task of a scene may cost.

    Args:
        recent: the lowest and the highest cost of its last ones; ``None`` if there is none yet.
    """
    return (recent or UNKNOWN_UNITS)[1]


def check_budget(
    scene: str, committed: Committed, expected: Decimal, limit: Decimal | None
) -> None:
    """Reject one more task that could pass the limit; ``None`` is no limit.

    Raises:
        BudgetExceededError: it could.
    """
    if limit is not None and committed.total + expected > limit:
        raise BudgetExceededError(
            scene=scene,
            limit_units=limit,
            spent_units=committed.spent,
            running_units=committed.running,
            unsettled_units=committed.unsettled,
            expected_units=expected,
        )
