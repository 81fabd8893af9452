"""The batch that is killed: a process that runs the same jobs at each start."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import backoff  # noqa: F401  # the client imports it when it is used; here, once before all forks
from attrs import frozen

import kling_effects_async.transport.upload  # noqa: F401  # as backoff
from kling_effects_async import (
    BearerToken,
    EffectsClient,
    KlingEffectsError,
    PollPolicy,
    RetryPolicy,
    Service,
    SingleImageEffect,
)
from kling_effects_async.journal.job import JobState
from kling_effects_async.journal.sqlite.store import SqliteStore
from kling_effects_async.policy import SlotPolicy, SubmitPolicy
from tests.crash.deaths import Death, DoomedJournal
from tests.crash.processes import LIFE_S, stay_with_parent
from tests.crash.service import KEY, TIMEOUT_S

__all__ = ["ALL_SUCCEEDED", "SOME_UNCERTAIN", "Batch", "work"]

# Exit codes of the batch.
ALL_SUCCEEDED, SOME_UNCERTAIN = 0, 3


@frozen(kw_only=True)
class Batch:
    """The same jobs at each start."""

    url: str
    journal: Path
    names: Sequence[str]
    on_uncertain: str = "raise"

    def client(self, journal: SqliteStore) -> EffectsClient:
        return EffectsClient(
            BearerToken(KEY),
            service=Service.gateway(self.url),
            journal=journal,
            retry=RetryPolicy(
                attempts=3,
                base_s=0.005,
                max_pause_s=0.02,
                answer_timeout_s=TIMEOUT_S,
                submit_timeout_s=TIMEOUT_S,
            ),
            slots=SlotPolicy(start=4),
            poll=PollPolicy(shortest_s=0.03, max_interval_s=0.3),
            submit=SubmitPolicy(settle_pause_s=0.03, on_uncertain=self.on_uncertain),
        )


def work(batch: Batch, death: Death | None, told: Connection) -> None:
    """The process of a batch; its exit code tells how far it came."""
    sys.exit(asyncio.run(_work(batch, death, told)))


async def _work(batch: Batch, death: Death | None, told: Connection) -> int:
    parting = asyncio.create_task(stay_with_parent())
    async with (
        asyncio.timeout(LIFE_S),
        DoomedJournal(batch.journal, death) as journal,
        batch.client(journal) as client,
    ):
        told.send("working")
        await asyncio.gather(_resume(client), *(_run(client, name) for name in batch.names))
        code = await _see_through(client, journal, len(batch.names))
    parting.cancel()
    return code


async def _run(client: EffectsClient, name: str) -> None:
    effect = SingleImageEffect("squish", image=f"https://img.example/{name}.jpg")
    with suppress(KlingEffectsError):  # the journal tells where the job stands
        await client.run(effect, external_task_id=name)


async def _resume(client: EffectsClient) -> None:
    async for _outcome in client.resume():
        pass


async def _see_through(client: EffectsClient, journal: SqliteStore, jobs: int) -> int:
    in_vain = 0
    while in_vain < 2:
        await _resume(client)
        counts = await journal.counts()
        if counts[JobState.SUCCEEDED] == jobs:
            return ALL_SUCCEEDED
        in_vain += counts[JobState.SUCCEEDED] + counts[JobState.UNCERTAIN] == jobs
    return SOME_UNCERTAIN
