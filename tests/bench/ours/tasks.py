"""Many tasks from submit to end, by ``run_many``."""

from __future__ import annotations

import time

from kling_effects_async import EffectsClient, Failed, SingleImageEffect
from tests.bench.control import request_figures, reset
from tests.bench.meter import Meter
from tests.bench.orders import Figures, Order
from tests.bench.ours.client import new_client
from tests.bench.work import SCENE, image_url

__all__ = ["measure", "run"]


async def measure(order: Order, url: str) -> list[Figures]:
    """The figures of each batch."""
    async with new_client(order, url) as warm:
        await run(warm, [0.0], "warm-up")
    async with new_client(order, url) as client:
        return [await _batch(client, order, number, url) for number in range(order.batches)]


async def _batch(client: EffectsClient, order: Order, number: int, url: str) -> Figures:
    lengths_s = order.lengths_s(number)
    await reset(url)
    with Meter(is_profiled=order.is_profiled) as meter:
        known_at = await run(client, lengths_s, f"batch-{number}")
    return meter.figures | await request_figures(url, known_at)


async def run(client: EffectsClient, lengths_s: list[float], name: str) -> dict[str, float]:
    """When each result was known, by task id."""
    effects = (
        SingleImageEffect(SCENE, image=image_url(number, length_s))
        for number, length_s in enumerate(lengths_s)
    )
    known_at: dict[str, float] = {}
    async for outcome in client.run_many(effects, run=name):
        if isinstance(outcome, Failed):
            raise outcome.error
        known_at[outcome.result.task_id] = time.monotonic()
    return known_at
