"""How a client stands at one moment, for logs, health checks and dashboards."""

from __future__ import annotations

from attrs import frozen

__all__ = ["ClientStats"]


@frozen(kw_only=True)
class ClientStats:
    """What ``EffectsClient.stats`` tells.

    Attributes:
        slots: how many tasks the account may run at once, as far as is known.
        running: tasks of this client that the service accepted and that have not ended.
        sending: submits that have no outcome yet.
        waiting: submits that wait for a slot, or for the end of a pause.
        held_back_by: the service's last rejection for the account's pace, slots, balance or key, in
            its words; ``""`` once a submit was accepted after it.
    """

    slots: int
    running: int = 0
    sending: int = 0
    waiting: int = 0
    held_back_by: str = ""
