"""Large images submitted all at once."""

from __future__ import annotations

import asyncio

from attrs import evolve

from kling_effects_async import SingleImageEffect
from tests.bench.control import facts, reset
from tests.bench.meter import Meter, noting_stalls
from tests.bench.orders import Figures, Order
from tests.bench.ours.client import new_client
from tests.bench.uploaded import check_arrived
from tests.bench.work import SCENE, image_files

__all__ = ["measure"]


async def measure(order: Order, url: str) -> list[Figures]:
    """The figures of submitting, until the last is accepted."""
    # As many places as images, so that both sides have them all under way at once.
    order = evolve(order, slots=order.count)
    with image_files(order.count) as files:
        async with new_client(order, url) as warm:
            await warm.submit(SingleImageEffect(SCENE, image=files[0]))
        effects = [SingleImageEffect(SCENE, image=file) for file in files]
        await reset(url)
        async with new_client(order, url) as client:
            stalls: Figures = {}
            with Meter(is_profiled=order.is_profiled) as meter:
                async with noting_stalls(stalls):
                    await asyncio.gather(*(client.submit(effect) for effect in effects))
            counted = await facts(url)
        check_arrived(files, counted)
    return [meter.figures | stalls | {"requests": counted["submits"]}]
