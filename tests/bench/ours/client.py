"""The client that is measured."""

from __future__ import annotations

from kling_effects_async import BearerToken, EffectsClient, PollPolicy, Service, SlotPolicy
from tests.bench.orders import Order

__all__ = ["new_client"]


def new_client(order: Order, url: str, *, poll: PollPolicy | None = None) -> EffectsClient:
    """Kling's own service where there is a list, a gateway where there is none."""
    known = SlotPolicy(start=order.slots, maximum=order.slots) if order.slots else SlotPolicy()
    return EffectsClient(
        BearerToken("benchmark-key"),
        service=Service.official(base_url=url) if order.has_list else Service.gateway(url),
        slots=known,
        poll=poll,
    )
