"""Many tasks from submit to end, as somebody good at aiohttp would write it.

With a list: one coroutine asks for the newest page each half second, and for older ones while
tasks are missing. Without: each task has its own poller, once a second.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import aiohttp
from attrs import evolve
from yarl import URL

from tests.bench.control import request_figures, reset
from tests.bench.meter import Meter
from tests.bench.orders import Figures, Order
from tests.bench.plain.session import new_session
from tests.bench.work import SCENE, image_url

__all__ = ["measure", "run"]

_PAGE_PAUSE_S = 0.5
_QUERY_PAUSE_S = 1.0
_PAGE_SIZE = 500
_ENDS = ("succeed", "failed")


async def measure(order: Order, url: str) -> list[Figures]:
    """The figures of each batch."""
    async with new_session() as warm:
        await run(warm, evolve(order, count=1, shortest_s=0, longest_s=0), 0, url)
    async with new_session() as session:
        return [await _batch(session, order, number, url) for number in range(order.batches)]


async def _batch(session: aiohttp.ClientSession, order: Order, number: int, url: str) -> Figures:
    await reset(url)
    with Meter(is_profiled=order.is_profiled) as meter:
        known_at = await run(session, order, number, url)
    return meter.figures | await request_figures(url, known_at)


async def run(
    session: aiohttp.ClientSession,
    order: Order,
    number: int,
    url: str,
    pause_s: float = _QUERY_PAUSE_S,
) -> dict[str, float]:
    """When each result was known, by task id."""
    effects = f"{url}/v1/videos/effects"
    places = asyncio.Semaphore(order.slots or order.count)
    watcher = _PageWatcher(session, effects)
    known_at: dict[str, float] = {}

    async def see_through(image: str) -> None:
        async with places:
            task_id = await _submit(session, effects, image)
            if order.has_list:
                task = await watcher.ended(task_id)
            else:
                task = await _poll(session, effects, task_id, pause_s)
            if not task["task_result"]["videos"]:
                raise RuntimeError(f"task {task_id} has no video")
            known_at[task_id] = time.monotonic()

    images = [image_url(n, length_s) for n, length_s in enumerate(order.lengths_s(number))]
    async with watcher:
        await asyncio.gather(*map(see_through, images))
    return known_at


async def _submit(session: aiohttp.ClientSession, effects: str, image: str) -> str:
    order = {"effect_scene": SCENE, "input": {"image": image}}
    async with session.post(effects, json=order) as response:
        answer = json.loads(await response.read())
    task_id: str = answer["data"]["task_id"]
    return task_id


async def _poll(
    session: aiohttp.ClientSession, effects: str, task_id: str, pause_s: float
) -> dict[str, Any]:
    url = URL(f"{effects}/{task_id}", encoded=True)
    while True:
        await asyncio.sleep(pause_s)
        async with session.get(url) as response:
            task: dict[str, Any] = json.loads(await response.read())["data"]
        if task["task_status"] in _ENDS:
            return task


class _PageWatcher:
    """One question for everybody who waits; runs inside its ``async with``."""

    def __init__(self, session: aiohttp.ClientSession, effects: str) -> None:
        self._session = session
        self._effects = effects
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def __aenter__(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def __aexit__(self, *_reason: object) -> None:
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching

    async def ended(self, task_id: str) -> dict[str, Any]:
        self._waiting[task_id] = asyncio.get_running_loop().create_future()
        return await self._waiting[task_id]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_PAGE_PAUSE_S)
            missing = set(self._waiting)
            number = 0
            while missing:
                number += 1
                page = await self._page(number)
                for task in page:
                    missing.discard(task["task_id"])
                    if task["task_status"] in _ENDS and task["task_id"] in self._waiting:
                        self._waiting.pop(task["task_id"]).set_result(task)
                if len(page) < _PAGE_SIZE:
                    break

    async def _page(self, number: int) -> list[dict[str, Any]]:
        query = f"?pageNum={number}&pageSize={_PAGE_SIZE}"
        async with self._session.get(URL(self._effects + query, encoded=True)) as response:
            page: list[dict[str, Any]] = json.loads(await response.read())["data"]
        return page
