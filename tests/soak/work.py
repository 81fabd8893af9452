"""The work of the soak test: many callers of one client, some of whom are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

from kling_effects_async import (
    BearerToken,
    ClientClosedError,
    Done,
    EffectResult,
    EffectsClient,
    KlingEffectsError,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
    SlotPolicy,
    SubmitPolicy,
)
from tests.soak.service import KEY, TIMEOUT_S

__all__ = ["Callers", "finish", "new_client"]

_CALLERS = 48
_BATCH = 4
_CANCELLED, _IN_BATCHES, _DOWNLOADED = 0.15, 0.15, 0.1
# A task takes a fifth of a second at most, and waiting for a slot about as long.
_MAX_WAIT_S = 0.5


def new_client(url: str, journal: Path) -> EffectsClient:
    """A client whose pauses are short."""
    return EffectsClient(
        BearerToken(KEY),
        service=Service.gateway(url),
        journal=journal,
        retry=RetryPolicy(
            attempts=3,
            base_s=0.01,
            max_pause_s=0.1,
            answer_timeout_s=TIMEOUT_S,
            submit_timeout_s=TIMEOUT_S,
        ),
        slots=SlotPolicy(start=20),
        poll=PollPolicy(shortest_s=0.05, max_interval_s=0.5),
        submit=SubmitPolicy(settle_pause_s=0.05, cancel_grace_s=0.5),
    )


class Callers:
    """Coroutines that each run one effect after another.

    Args:
        names: makes a new name at each call.
        count: called for each task that has ended.

    Attributes:
        are_stopped: they begin nothing new; to be set before the client is closed.
    """

    def __init__(
        self,
        client: EffectsClient,
        *,
        names: Callable[[], str],
        count: Callable[[], object],
        folder: Path,
        random: Random,
    ) -> None:
        self._client = client
        self._name = names
        self._count = count
        self._folder = folder
        self._random = random
        self.are_stopped: bool = False

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """They work inside the block; at its end they stop with what they are doing."""
        tasks = [asyncio.create_task(self._work()) for _ in range(_CALLERS)]
        try:
            yield
        finally:
            self.are_stopped = True
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _work(self) -> None:
        while not self.are_stopped:
            draw = self._random.random()
            with suppress(KlingEffectsError, TimeoutError):  # the journal has what is unfinished
                if draw < _CANCELLED:
                    await self._run_impatiently()
                elif draw < _CANCELLED + _IN_BATCHES:
                    await self._run_batch()
                else:
                    await self._run_one()

    async def _run_one(self) -> None:
        name = self._name()
        result = await self._client.run(_effect(name), external_task_id=name)
        self._count()
        if not self.are_stopped and self._random.random() < _DOWNLOADED:
            await self._download(result)

    async def _run_impatiently(self) -> None:
        async with asyncio.timeout(self._random.uniform(0, _MAX_WAIT_S)):
            await self._run_one()

    async def _run_batch(self) -> None:
        name = self._name()
        effects = [_effect(f"{name}-{number}") for number in range(_BATCH)]
        async for outcome in self._client.run_many(effects, run=name):
            if isinstance(outcome, Done):
                self._count()

    async def _download(self, result: EffectResult) -> None:
        path = self._folder / f"{result.task_id}.mp4"
        try:
            await self._client.download(result.video, path)
        finally:
            for file in self._folder.glob(f"{path.name}*"):
                file.unlink()


async def finish(client: EffectsClient, count: Callable[[], object]) -> None:
    """Finish what earlier openings of the client left."""
    with suppress(ClientClosedError):
        async for outcome in client.resume():
            if isinstance(outcome, Done):
                count()


def _effect(name: str) -> SingleImageEffect:
    return SingleImageEffect("squish", image=f"https://img.example/{name}.jpg")
