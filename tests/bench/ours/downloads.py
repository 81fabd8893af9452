"""Clips fetched into files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from kling_effects_async import Video
from tests.bench.downloaded import check_whole
from tests.bench.meter import Meter, noting_stalls
from tests.bench.orders import Figures, Order
from tests.bench.ours.client import new_client

__all__ = ["measure"]


async def measure(order: Order, url: str) -> list[Figures]:
    """The figures of all downloads; the client itself keeps 8 moving at once."""
    with TemporaryDirectory(prefix="kling-bench-") as folder:
        async with new_client(order, url) as client:
            await client.download(Video(url=f"{url}/media/warm-up.mp4"), Path(folder, "warm-up"))
            targets = [Path(folder, f"{number}.mp4") for number in range(order.count)]
            stalls: Figures = {}
            with Meter(is_profiled=order.is_profiled) as meter:
                async with noting_stalls(stalls):
                    await asyncio.gather(
                        *(
                            client.download(Video(url=f"{url}/media/{target.name}"), target)
                            for target in targets
                        )
                    )
        check_whole(targets)
    return [meter.figures | stalls]
