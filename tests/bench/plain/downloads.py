"""Clips fetched into files that have their name only once they are whole and on the disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tests.bench.downloaded import check_whole
from tests.bench.meter import Meter, noting_stalls
from tests.bench.orders import Figures, Order
from tests.bench.plain.session import new_session

__all__ = ["measure"]

_CHUNK_BYTES = 2**18
_PARALLEL = 8


async def measure(order: Order, url: str) -> list[Figures]:
    """The figures of all downloads."""
    places = asyncio.Semaphore(_PARALLEL)
    with TemporaryDirectory(prefix="kling-bench-") as folder:
        async with new_session(read_bufsize=_CHUNK_BYTES) as session:

            async def fetch(target: Path) -> None:
                async with places:
                    await _fetch(session, f"{url}/media/{target.name}", target)

            await fetch(Path(folder, "warm-up"))
            targets = [Path(folder, f"{number}.mp4") for number in range(order.count)]
            stalls: Figures = {}
            with Meter(is_profiled=order.is_profiled) as meter:
                async with noting_stalls(stalls):
                    await asyncio.gather(*map(fetch, targets))
        check_whole(targets)
    return [meter.figures | stalls]


async def _fetch(session: aiohttp.ClientSession, url: str, target: Path) -> None:
    part = target.with_suffix(".part")
    descriptor = await asyncio.to_thread(os.open, part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        async with session.get(url) as response:
            response.raise_for_status()
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                await asyncio.to_thread(os.write, descriptor, chunk)
        await asyncio.to_thread(_publish, descriptor, part, target)
    finally:
        os.close(descriptor)


def _publish(descriptor: int, part: Path, target: Path) -> None:
    os.fsync(descriptor)
    os.replace(part, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
