"""Polls one after another: what one of them costs."""

from __future__ import annotations

from attrs import evolve

from tests.bench.control import request_figures, reset
from tests.bench.meter import Meter
from tests.bench.orders import Figures, Order
from tests.bench.pace import PAUSE_S
from tests.bench.plain.session import new_session
from tests.bench.plain.tasks import run

__all__ = ["measure"]


async def measure(order: Order, url: str) -> list[Figures]:
    """``poll_us``: the CPU time of the whole run by the number of queries."""
    async with new_session() as warm:
        await run(warm, evolve(order, count=1, shortest_s=0, longest_s=0), 0, url)
    async with new_session() as session:
        await reset(url)
        with Meter(is_profiled=order.is_profiled) as meter:
            known_at = await run(session, order, 0, url, PAUSE_S)
    figures = meter.figures | await request_figures(url, known_at)
    return [figures | {"poll_us": 1e6 * figures["cpu_s"] / figures["queries"]}]
