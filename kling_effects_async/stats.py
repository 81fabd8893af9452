"""The state of a client at one moment, for logs, health checks and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

__all__ = ["ClientStats"]


@frozen(kw_only=True)
class ClientStats:
    """The value of ``EffectsClient.stats``: counts of tasks and submits at one moment.

    Attributes:
        slots: how many tasks the account may run at once, by the answers so far.
        running: tasks of this client that the service accepted and that have not ended.
        sending: submits that are sent and have no outcome yet.
        waiting: submits that wait for a slot, or for the end of a pause.
        waiting_by_share: how many submits of each share wait for a slot; only shares of which one
            does, ``""`` for the submits without a share.
        held_back_by: why they wait: the service's last rejection for the account's pace, slots,
            balance or key, in its words; ``""`` once a submit is accepted after it.
    """

    slots: int
    running: int = 0
    sending: int = 0
    waiting: int = 0
    # Not in the hash: a mapping has none.
    waiting_by_share: Mapping[str, int] = field(default=MappingProxyType({}), hash=False)
    held_back_by: str = ""
