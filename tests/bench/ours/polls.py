"""Polls one after another as fast as the policy allows: what one of them costs."""

from __future__ import annotations

from kling_effects_async import PollPolicy
from tests.bench.control import request_figures, reset
from tests.bench.meter import Meter
from tests.bench.orders import Figures, Order
from tests.bench.ours.client import new_client
from tests.bench.ours.tasks import run
from tests.bench.pace import PAUSE_S

__all__ = ["measure"]


async def measure(order: Order, url: str) -> list[Figures]:
    """``poll_us``: the CPU time of the whole run by the number of queries."""
    hasty = PollPolicy(shortest_s=PAUSE_S, max_interval_s=PAUSE_S)
    async with new_client(order, url) as warm:
        await run(warm, [0.0], "warm-up")
    async with new_client(order, url, poll=hasty) as client:
        await reset(url)
        with Meter(is_profiled=order.is_profiled) as meter:
            known_at = await run(client, order.lengths_s(0), "polls")
    figures = meter.figures | await request_figures(url, known_at)
    return [figures | {"poll_us": 1e6 * figures["cpu_s"] / figures["queries"]}]
