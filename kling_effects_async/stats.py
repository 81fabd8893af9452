"""The state of a client at one moment, for logs, health checks and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from attrs import field, frozen

__all__ = ["Budget", "ClientStats"]


@frozen(kw_only=True)
class ClientStats:
    """What ``EffectsClient.stats`` returns: counts of tasks and submits at one moment.

    Attributes:
        slots: how many tasks the account may run at once, by the answers so far.
        slots_reason: why there are so many, in words.
        running: tasks of this client that the service accepted and that have not ended.
        sending: submits that are sent and have no outcome yet.
        waiting: submits that wait for a slot, or for the end of a pause.
        waiting_by_share: how many submits of each share wait for a slot; only shares of which one
            does, ``""`` for the submits without a share.
        held_back_by: why they wait: the service's last rejection for the account's pace, slots,
            balance or key, in its words; ``""`` once a submit is accepted after it.
        uncertain: jobs that this client left uncertain and that were not settled since;
            ``EffectsClient.jobs`` has those of earlier processes too.
        polls: requests for the status of tasks, a page of many tasks being one.
        last_lag_s: seconds from the last end of a task, by the service's clock (``updated_at``),
            until it was known here, by this machine's; ``None`` before an end, and where the
            service sent no time or one that is still to come. It is as right as the two clocks.
    """

    slots: int
    running: int = 0
    sending: int = 0
    waiting: int = 0
    # Not in the hash: a mapping has none.
    waiting_by_share: Mapping[str, int] = field(default=MappingProxyType({}), hash=False)
    held_back_by: str = ""
    slots_reason: str = ""
    uncertain: int = 0
    polls: int = 0
    last_lag_s: float | None = None


@frozen(kw_only=True)
class Budget:
    """What the account's jobs cost and may cost, in the service's units.

    Attributes:
        limit_units: ``budget_units`` of the client; ``None`` for no limit.
        spent_units: what ended tasks cost; where that was not reported, what was expected.
        running_units: what is expected of tasks that were accepted and have not ended.
        unsettled_units: what is expected of jobs that are being submitted, or are uncertain.
    """

    limit_units: Decimal | None
    spent_units: Decimal
    running_units: Decimal
    unsettled_units: Decimal

    @property
    def left_units(self) -> Decimal | None:
        """What is left for new jobs, 0 at least; ``None`` without a limit."""
        if self.limit_units is None:
            return None
        taken = self.spent_units + self.running_units + self.unsettled_units
        return max(Decimal(0), self.limit_units - taken)
